#!/usr/bin/env bash
# A guest that goes on from a snapshot is the guest that was never interrupted: snapshot_test.sh REPRISE GUESTS [short]
set -u
reprise=$1 guests=$2 short=${3:-}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() { echo "FAIL: $*" >&2; failures=$((failures + 1)); }
run() { timeout 100 "$reprise" "$@" --serial none --debug-console none --timeout 90 --stats stats.json </dev/null >out 2>err; }
state() { grep -h -E '"(instructions|virtual_seconds|state_hash)"' stats.json | tr -d ' \n'; }

# from SUITE ENGINE ICOUNT...: snapshots at these places, one of them of a machine that comes from a snapshot itself
from() {
    local suite=$1 engine=$2 at expected; shift 2
    run run --kernel "$guests/$suite.elf" --debug-exit -m 64M --engine "$engine" --no-record
    expected=$(state)
    [ -n "$expected" ] || fail "$suite: no result"
    for at; do
        run run --kernel "$guests/$suite.elf" --debug-exit -m 64M --engine interp --no-record --snapshot-to snapshot --at "$at"
        [ "$(state)" = "$expected" ] || fail "$suite: taking a snapshot at $at shows"
        run run --restore snapshot --engine "$engine"
        [ "$(state)" = "$expected" ] || fail "$suite: from $at with $engine: $(state) instead of $expected"
        run run --restore snapshot --engine "$engine" --snapshot-to second --max-insns $((at + 12345))
        run run --restore second
        [ "$(state)" = "$expected" ] || fail "$suite: from $at and $((at + 12345)): $(state) instead of $expected"
    done
}
from tasks sbe 150000
if [ -z "$short" ]; then
    from paging64 interp 1 777777 2000000
    from smc32 sbe 3 500000 1400000
    from tasks sbe 90000
    from fpu64 interp 100000
    from fpu32 sbe 100000
    from pic sbe 3000000
fi

# Of a recorded run.
run run --kernel "$guests/smc64.elf" --debug-exit -m 16M --record log
expected=$(state)
run replay log --to 400000 --snapshot-to snapshot || fail "replay with --snapshot-to"
run run --restore snapshot
[ "$(state)" = "$expected" ] || fail "from a replay: $(state) instead of $expected"

# A place of a recorded run: what its registers say is what they say in a run that ends there.
timeout 60 "$reprise" seek log 400000 >out 2>err || fail "seek"
cp err err2
grep -q 'at instruction 400000' err && grep -q '^  rip ' err || { fail "seek says"; cat err >&2; }
timeout 60 "$reprise" seek log >out 2>err
[ $? -eq 2 ] || fail "seek without an icount"
timeout 60 "$reprise" seek log 400000 --engine interp --verify 2>other >out && grep -q 'hashes are equal' other || fail "seek --verify"
[ "$(grep '^  r' err2)" = "$(grep '^  r' other)" ] || fail "seek with another engine comes to another place"
timeout 60 "$reprise" seek --help | grep -q 'ICOUNT' || fail "seek --help"

# Leaving a recorded run: what follows is another run, whose log holds the beginning of the first.
printf '\x02\xb0\xad\x1b\x03\x00\x01\x00\xfb\x4f\x51\xe4%b%b%b%b%b%b' '\0\0\x10\0' '\0\0\x10\0' '\0\0\0\0' '\0\0\0\0' \
    '\x20\0\x10\0' '\x66\xba\xfd\x03\xec\xa8\x01\x74\xf7\x66\xba\xf8\x03\xec\x3c\x71\x74\x03\xee\xeb\xeb\xb0\x07\xe6\xf4\xf4' >echo
[ "$(printf abcq | timeout 60 "$reprise" run --kernel echo --debug-exit --record first -m 16M 2>err)" = abc ] || fail "echo"
went=$(printf 'xyq' | timeout 60 "$reprise" replay first --to 2000005 --go-live --record second 2>err)
[ $? -eq 15 ] && [ "$went" = axy ] || { fail "--go-live: $went"; cat err >&2; }
again=$(timeout 60 "$reprise" replay second --verify 2>err </dev/null)
[ $? -eq 15 ] && [ "$again" = axy ] || { fail "the log of a run that left another: $again"; cat err >&2; }

# refused CODE PATTERN ARGUMENTS...: one line that says PATTERN and what to do
refused() {
    local code=$1 pattern=$2; shift 2
    run "$@"
    [ $? -eq "$code" ] || fail "not exit code $code: $*"
    [ "$(wc -l <err)" -eq 1 ] && grep -q -- "$pattern.*;" err || { fail "no \"$pattern\": $*"; cat err >&2; }
}
head -c 1000 snapshot >cut
refused 2 'damaged or cut off' run --restore cut
refused 2 'is no snapshot' run --restore "$guests/smc64.elf"
refused 2 'cannot be recorded' run --restore snapshot --record x
refused 2 '--at says when' run --kernel "$guests/smc64.elf" --at 5
refused 2 'is not said' replay log --snapshot-to x
refused 2 'where is not said' replay log --go-live
refused 2 'are for a run that goes live' replay log --to 5 --record x
refused 8 'nonexistent' run --restore snapshot --snapshot-to /nonexistent/x
[ $failures -eq 0 ]
