#!/usr/bin/env bash
# Promises of the verb `fuzz`: fuzz_guest_test.sh REPRISE IMAGE ELF single|search. IMAGE is guests/fuzzed.c's, ELF has its symbols.
set -u
reprise=$1 image=$2 elf=$3 group=$4
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export REPRISE_RECORD=off
failures=0

fail() { echo "FAIL: $*" >&2; failures=$((failures + 1)); }
# code WANT COMMAND...: its exit code must be WANT; output in out, stderr in err.
code() {
    local want=$1 got; shift
    timeout 900 "$@" >out 2>err </dev/null
    got=$?
    [ $got -eq "$want" ] || { fail "exit code $got instead of $want: $*"; cat err >&2; }
}
says() { grep -q -- "$1" err || { fail "no \"$1\" on stderr"; cat err >&2; }; }
has() { grep -qE -- "$1" out || { fail "no \"$1\" in the output"; cat out >&2; }; }

code 1 "$reprise" run --kernel "$image" -m 16M --debug-exit --record base.rlog --embed --serial none --debug-console none
printf 'RPRSx' >dull
{ printf 'RPRS\002w\310'; printf '%060d' 0; } >deadly

test_single() {
    code 2 "$reprise" fuzz; says 'which guest is not said'
    code 2 "$reprise" fuzz dull --run dull; says 'is not a log'
    code 2 "$reprise" fuzz base.rlog --crash-on '#XX' --run dull; says 'is no exception'
    code 2 "$reprise" fuzz base.rlog --crash-at panic --run dull; says 'name an ELF file with --symbols'
    code 2 "$reprise" fuzz base.rlog --crash-at nowhere --symbols "$elf" --run dull; says 'has no symbol'
    code 2 "$reprise" fuzz base.rlog --target; says 'for afl-fuzz'
    code 20 "$reprise" fuzz base.rlog --at 100M --input-at 100000 --run dull; says 'is over before --at'
    code 20 "$reprise" fuzz base.rlog --at 10 --input-at ffff0000 --run dull; says 'is not in RAM'
    code 0 "$reprise" fuzz --help; has '^Usage: reprise fuzz'

    # A run is the same however often the guest has been somewhere else before.
    code 0 "$reprise" fuzz base.rlog --run dull --repeat 500; has 'no crash: done'
    code 4 "$reprise" fuzz base.rlog --run deadly --json; has '"crash": true, "end": "the guest reports a crash", "value": "0x6"'
    once=$(cat out)
    code 4 "$reprise" fuzz base.rlog --run deadly --engine interp --json
    [ "$(cat out)" = "$once" ] || fail "the interpreter sees $(cat out), the translator $once"

    # Logs repeat it on every engine, from power-on, wherever the place was.
    symbols=(--symbols "$elf" --at-symbol main --input-at packet --length-at packet_size --input-max 256)
    # The guest begins anew at its own FUZZ_BEGIN, which is in main(): --at is behind it.
    code 0 "$reprise" fuzz base.rlog "${symbols[@]}" --run deadly --done-at finished; has 'no crash: done'
    code 4 "$reprise" fuzz base.rlog --run deadly --record deadly.rlog
    at=$("$reprise" log deadly.rlog | awk '$3 == "memory" { print $1; exit }')
    placed=(--symbols "$elf" --at "$at" --input-at packet --length-at packet_size --input-max 256)
    code 4 "$reprise" fuzz base.rlog "${placed[@]}" --run deadly --record placed.rlog
    code 4 "$reprise" fuzz base.rlog "${placed[@]}" --run deadly --record raised.rlog --crash-on '#UD'; has 'CRASH: exception, value 0x6'
    code 4 "$reprise" fuzz base.rlog "${placed[@]}" --run deadly --record hooked.rlog --crash-at on_trap; has 'guest reports a crash'
    code 4 "$reprise" fuzz base.rlog --run deadly --record limit.rlog --max-insns 200 --crash-on-limit
    has 'CRASH: instruction limit.*after 200 instructions'
    for log in deadly placed raised hooked limit; do
        for engine in interp sbe sbe-window; do
            timeout 100 "$reprise" replay $log.rlog --engine $engine --verify --debug-console none >/dev/null 2>err
            says '1 state hashes are equal'
        done
    done
}

# Edges of guest code lead afl-fuzz through the magic to the bug.
test_search() {
    if ! command -v afl-fuzz >/dev/null; then
        echo "fuzz_guest_test: skipped: there is no afl-fuzz (Debian: afl++)" >&2
        exit 77
    fi
    code 4 "$reprise" fuzz --guest base.rlog --minutes 12 --until-crash --json -o out.d
    has '"end": "the guest reports a crash"'
    log=$(ls out.d/crashes/*.rlog | head -n 1)
    timeout 100 "$reprise" replay "$log" --verify --debug-console none >/dev/null 2>err
    says '1 state hashes are equal'
    code 4 "$reprise" fuzz --guest base.rlog --run "$(ls out.d/default/crashes/id* | head -n 1)"
}

"test_$group"
[ $failures -eq 0 ] || { echo "$failures promises of fuzz $group broken" >&2; exit 1; }
echo "fuzz $group: all promises kept"
