#!/usr/bin/env bash
# The same guest ends in the same state, however it is run:
#   determinism_test.sh REPRISE SLICED_RUN SANITIZED_BUILD|"" IMAGE [OPTION OF `reprise run`]...
# Twice by the command line; cut into pieces of one instruction, and of random sizes; back and forth between checkpoints;
# with the FPU registers in the processor, and parked after every use; and in the sanitized build, if there is one.
set -u
reprise=$1 sliced=$2 sanitized=$3 image=$4
shift 4
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0 expected=
options=(--kernel "$image" -m 64M --serial none --debug-exit "$@")

# agree WHAT STATE: the state (instructions, virtual nanoseconds, hash) is the first one again.
agree() {
    [ -n "$2" ] || { echo "FAIL: $1: no result" >&2; failures=$((failures + 1)); return; }
    [ -n "$expected" ] || { expected=$2; echo "$expected"; }
    [ "$2" = "$expected" ] || { echo "FAIL: $1: $2 instead of $expected" >&2; failures=$((failures + 1)); }
}

# command_line PROGRAM: the state by --stats. The guest's own verdict is somebody else's test, but it must have one.
command_line() {
    local code
    rm -f "$work/stats.json"
    "$1" run "${options[@]}" --timeout 300 --stats "$work/stats.json" >/dev/null 2>"$work/error" </dev/null
    code=$?
    case $code in
        2|5|134|139) echo "exit code $code: $(cat "$work/error")" >&2; return ;;
    esac
    awk -F': *|,' '/"instructions"/ { n = $2 } /"virtual_seconds"/ { sub(/\./, "", $2); sub(/^0+/, "", $2); t = $2 }
        /"state_hash"/ { gsub(/"/, "", $2); h = $2 } END { print n, t, h }' "$work/stats.json"
}

agree "first run" "$(command_line "$reprise")"
agree "second run" "$(command_line "$reprise")"
agree "in one piece" "$("$sliced" whole live "${options[@]}")"
agree "in one piece, FPU parked" "$("$sliced" whole parked "${options[@]}")"
agree "instruction by instruction" "$("$sliced" single live "${options[@]}")"
for seed in 1 2 3; do
    agree "in random pieces (seed $seed)" "$("$sliced" $seed live "${options[@]}")"
done
for seed in 1 2; do
    agree "back and forth between checkpoints (seed $seed)" "$("$sliced" travel:$seed live "${options[@]}")"
done
agree "in random pieces, FPU parked" "$("$sliced" 4 parked "${options[@]}")"
if [ -n "$sanitized" ]; then
    [ -x "$sanitized/reprise" ] || { echo "FAIL: $sanitized has no reprise" >&2; exit 1; }
    agree "sanitized build" "$(command_line "$sanitized/reprise")"
fi
[ $failures -eq 0 ]
