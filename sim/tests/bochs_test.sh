#!/usr/bin/env bash
# Bochs' processor as a reference of `reprise verify`:
#   bochs_test.sh PROGRAM GROUP IMAGE [OPTION OF `reprise verify`...]
# agree: no difference that is not explained. again: the same, and some were found in memory. log: over a recorded run with input.
# planted: PROGRAM is verify_faulty, and each kind of fault is found where it is. missing: without the plug-in, the user learns
# what to do.
set -u
program=$1 group=$2 image=$3
shift 3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; cat "$work/report" >&2; exit 1; }
machine=(-m 64M --debug-exit --kernel "$image")

verify() { "$program" verify "$@" >"$work/out" 2>"$work/report" </dev/null; }

agree() {
    verify --engines interp,bochs --every insn "$@" || fail "exit code $?"
    grep -q 'interp and bochs agree for [0-9]* instructions' "$work/report" || fail "they do not agree"
    cat "$work/report"
}

log() {
    printf 'help\nmem\ntime\npoweroff\n' | "$program" run --record "$work/log" "${machine[@]}" >"$work/ran" 2>"$work/report" ||
        fail "the recorded run ends with $?"
    for every in insn block; do
        verify "$work/log" --against bochs --every $every || fail "--every $every: exit code $?"
        cmp -s "$work/ran" "$work/out" || fail "--every $every: the guest writes something else than in the recorded run"
    done
    verify "$work/log" --against interp || fail "against the interpreter: exit code $?"
    grep -q 'sbe and interp agree' "$work/report" || fail "the recording engine is not the other one"
    verify "$work/log" --against bochs --kernel "$image" && fail "--kernel is taken beside a log"
    verify "$work/none" --against bochs && fail "a log that is not there is compared"
    return 0
}

# planted KIND EVERY FOUND WORD
planted() {
    REPRISE_FAULT=$1 verify --engines faulty,bochs --every "$2" "${machine[@]}"
    [ $? = 16 ] || fail "$1, --every $2: exit code $? instead of 16"
    grep -q "differ: the same after $3 instructions, different after $(($3 + 1))\$" "$work/report" || fail "$1, --every $2: not at $3"
    grep -q "^\* $4" "$work/report" || fail "$1, --every $2: no difference in $4"
    grep -q '^row [0-9]* of isa.def' "$work/report" || fail "$1, --every $2: no row of isa.def"
}

case $group in
    agree) agree "${machine[@]}" "$@" ;;
    again) agree "${machine[@]}" "$@"; grep -q "explained: $AGAIN" "$work/report" || fail "nothing is explained by: $AGAIN" ;;
    linux) agree --kernel "$image" "$@" ;;
    log) log ;;
    planted)
        for fault in 'register@123457 block 123457 rbx' 'flag@123457 insn 123457 flags' 'sse@123457 insn 123457 xmm0' \
            'add@123457 insn 123477 flags'; do
            # shellcheck disable=SC2086
            planted $fault
        done
        REPRISE_FAULT=memory@123457 verify --engines faulty,bochs --every insn "${machine[@]}"
        [ $? = 16 ] || fail "memory: exit code $? instead of 16"
        grep -q '^\* memory at 00005000' "$work/report" || fail "memory: not found" ;;
    missing)
        REPRISE_BOCHS=$work/none verify --engines interp,bochs "${machine[@]}"
        [ $? = 2 ] || fail "exit code $? instead of 2"
        grep -q 'plug-in.*ci/bochs' "$work/report" || fail "the message does not say what to do" ;;
    *) echo "unknown group $group" >&2; exit 2 ;;
esac
