#!/usr/bin/env bash
# Promises of recording and replay: replay_test.sh REPRISE GROUP [IMAGE]. Small guests are a few bytes of code behind a
# Multiboot header; IMAGE is one of guests/.
set -u
reprise=$1 group=$2 image=${3:-}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset REPRISE_RECORD
export XDG_STATE_HOME=$work/state
failures=0

fail() { echo "FAIL: $*" >&2; failures=$((failures + 1)); }
bytes() { printf "$(printf '%s' "$1" | tr -d ' \n' | sed 's/../\\x&/g')"; }
# guest NAME CODE...: an image for 1 MiB whose code runs in 32-bit protected mode.
guest() {
    local name=$1; shift
    { bytes '02b0ad1b 03000100 fb4f51e4 00001000 00001000 00000000 00000000 20001000'; bytes "$*"; } > "$name"
}
# All engines that are ours: the reference `bochs` has its own tests, and after a triple fault another state.
engines() { "$reprise" list | awk '/^Engines/ { on = 1; next } /^$/ { on = 0 } on && $1 != "bochs" { print $1 }'; }
hash_of() { grep -h state_hash "$1"; }

# code WANT COMMAND...: its exit code must be WANT; stderr in err.
code() {
    local want=$1 got; shift
    timeout 300 "$@" 2>err
    got=$?
    [ $got -eq "$want" ] || { fail "exit code $got instead of $want: $*"; cat err >&2; }
}
says() { grep -q -- "$1" err || { fail "no \"$1\" on stderr"; cat err >&2; }; }

# repeats LOG: on every engine the replay ends like the run (exit code in run.code, output in run.out and run.debug, statistics
# in run.json), and every state hash is equal.
repeats() {
    local log=$1 engine
    for engine in $(engines); do
        code "$(cat run.code)" "$reprise" replay "$log" --engine "$engine" --verify --stats replay.json \
            --debug-console replay.debug >replay.out
        says 'state hashes are equal'
        cmp -s run.out replay.out || fail "another output on $engine"
        cmp -s run.debug replay.debug || fail "another debug output on $engine"
        [ "$(hash_of run.json)" = "$(hash_of replay.json)" ] || fail "another last state on $engine"
    done
}

# records LOG OPTION...: on every engine, with what stands on stdin; what each records must repeat on all.
records() {
    local log=$1 engine; shift
    cat > input
    for engine in $(engines); do
        timeout 300 "$reprise" run --engine "$engine" --record "$log" --stats run.json --debug-console run.debug "$@" \
            >run.out 2>run.err <input
        echo $? > run.code
        repeats "$log"
    done
}

test_suite() {
    printf 'help\nmem\necho one two\ncpuid\npoweroff\n' |
        records suite.log --kernel "$image" -m 64M --debug-exit --checkpoint 10K --max-insns 20M
    grep -q 'end\|Hello' run.out run.debug || fail 'the guest did not speak'
}

# Counts its starts at 0x5000, resets by 0xcf9 until the third; echoes until 'q'; sleeps between timer ticks; fails.
make_guests() {
    guest resets fe0500500000 803d0050000003 740a 66baf90c b006 ee f4 ebfe b000 e6f4 f4
    guest reset 66baf90c b006 ee f4
    guest echo 66bafd03 ec a801 74f7 66baf803 ec 3c71 7403 ee ebeb b007 e6f4 f4
    guest triple 0f0b
    guest dead fa f4
    guest forever ebfe
    guest exit5 b005 e6f4 f4
    guest hello 66baf803 b068 ee b069 ee b00a ee b000 e6f4 f4
    guest poweroff 66ba0406 66b80034 66ef f4
}

# Every way to end.
test_endings() {
    make_guests
    local name
    for name in resets triple dead exit5 hello poweroff; do
        records $name.log --kernel $name --debug-exit </dev/null
    done
    records reset.log --kernel reset --reset exit </dev/null
    grep -qx 14 run.code || fail 'the reset did not end the run'
    records limit.log --kernel forever --max-insns 1234567 </dev/null
    grep -qx 6 run.code || fail 'no limit was reached'
    printf 'abc\001x\377q' | records echo.log --kernel echo -m 16M --debug-exit --checkpoint 20K
    grep -qx 15 run.code || fail 'the input did not reach the guest'
}

# A run that is killed leaves a log that replays to its last chunk, on every engine to the same state.
test_killed() {
    make_guests
    local engine state=
    "$reprise" run --kernel forever --record killed.log --checkpoint 100K --serial none >/dev/null 2>&1 </dev/null &
    sleep 2
    kill -KILL $!
    wait $! 2>/dev/null
    "$reprise" info killed.log > info || fail 'no information about a killed run'
    grep -q 'cut off' info || fail 'a killed run is not said to be cut off'
    for engine in $(engines); do
        code 18 "$reprise" replay killed.log --engine "$engine" --verify --stats replay.json --serial none >/dev/null
        says 'was not written to its end'
        grep -q '^reprise: [1-9][0-9]* state hashes are equal' err || fail 'no state hash was compared'
        [ -n "$state" ] || state=$(hash_of replay.json)
        [ "$state" = "$(hash_of replay.json)" ] || fail "another state on $engine"
    done
    # Cut off anywhere: a prefix, or a refusal that gives a reason.
    local size part got; size=$(stat -c %s killed.log)
    for part in 0 1 7 12 15 16 40 $((size / 3)) $((size / 2)) $((size - 1)); do
        head -c $part killed.log > part.log
        timeout 300 "$reprise" replay part.log --verify --serial none >/dev/null 2>err
        got=$?
        case $got in
            18) says 'state hashes are equal' ;;
            2) says ';' ;;
            *) fail "a log of $part bytes gives exit code $got"; cat err >&2 ;;
        esac
    done
    { head -c $((size / 2)) killed.log; printf 'x'; tail -c +$((size / 2 + 2)) killed.log; } > damaged.log
    code 18 "$reprise" replay damaged.log --verify --serial none
    says 'is damaged'
}

# A log cut off anywhere is a prefix, or refused with a reason. REPRISE_TRUNCATE_STEP: bytes from one place to the next
# (1: every place, which takes some minutes).
test_truncated() {
    make_guests
    local size part got step=${REPRISE_TRUNCATE_STEP:-97}
    { printf ab; sleep 0.6; printf c; sleep 0.6; printf q; } |
        "$reprise" run --kernel echo -m 16M --debug-exit --record whole.log --checkpoint 500K >whole.out 2>/dev/null
    "$reprise" log whole.log > whole.events
    size=$(stat -c %s whole.log)
    for part in $(seq 0 "$step" $((size - 1))); do
        head -c "$part" whole.log > part.log
        timeout 100 "$reprise" replay part.log --verify >part.out 2>err
        got=$?
        case $got in
            18) says 'was not written to its end'; says 'state hashes are equal' ;;
            15) says 'state hashes are equal' ;; # only the index is missing
            2) says ';' ;;
            *) fail "a log of $part bytes gives exit code $got"; cat err >&2 ;;
        esac
        [ $got -eq 2 ] && continue
        cmp -s part.out <(head -c "$(stat -c %s part.out)" whole.out) || fail "from $part bytes another output is replayed"
        "$reprise" log part.log > part.events 2>err || fail "the events in $part bytes cannot be read"
        cmp -s part.events <(head -n "$(wc -l <part.events)" whole.events) || fail "other events are in $part bytes"
    done
}

# A replay behind a live run sees all of it.
test_follow() {
    make_guests
    { printf 'one'; sleep 2; printf 'two'; sleep 2; printf 'q'; } |
        "$reprise" run --kernel echo --debug-exit --record live.log --serial stdio >run.out 2>/dev/null & local run=$!
    until [ -s live.log ]; do sleep 0.1; done
    code 15 "$reprise" replay live.log --follow --verify >replay.out
    wait $run
    [ "$(cat replay.out)" = onetwo ] || fail 'the follower saw something else'
    code 15 "$reprise" replay live.log --follow >replay.out
}

test_images() {
    make_guests
    mkdir there
    cp exit5 there/kernel
    ln -s there/kernel linked
    code 11 "$reprise" run --kernel linked --debug-exit --record by-name.log </dev/null
    code 11 "$reprise" run --kernel linked --debug-exit --record embedded.log --embed --module "hello with text" </dev/null
    mkfifo pipe; cat exit5 > pipe &
    code 11 "$reprise" run --kernel pipe --debug-exit --record pipe.log </dev/null
    cd /
    code 11 "$reprise" replay "$work/by-name.log" --verify 2>"$work/err"
    cd "$work" || exit 1
    rm linked hello
    code 11 "$reprise" replay by-name.log --verify
    cp triple there/kernel
    code 2 "$reprise" replay by-name.log
    says 'is not the file that the run began with'
    rm -r there
    code 2 "$reprise" replay by-name.log
    says 'No such file'
    code 11 "$reprise" replay embedded.log --verify
    code 11 "$reprise" replay pipe.log --verify
    # Images that change while the guest runs are not booted again.
    guest slow-reset fe0500500000 b900000004 e2fe 66baf90c b006 ee f4
    { sleep 0.05; cp exit5 other; mv other slow-reset; } &
    code 8 "$reprise" run --kernel slow-reset --record changed.log --timeout 60 </dev/null
    says 'is not the file'
    wait
}

# Virtual time follows real time; what it did is in the log.
test_wall() {
    make_guests
    local begin end
    # Waits until the real-time clock's seconds have changed, twice.
    guest seconds b302 b000 e670 e471 88c1 b000 e670 e471 38c8 74f6 88c1 fecb 75f0 b001 e6f4 f4
    begin=$(date +%s%N)
    records wall.log --kernel seconds --debug-exit --clock wall --checkpoint 1M </dev/null
    end=$(date +%s%N)
    grep -qx 3 run.code || fail 'the guest did not see its seconds pass'
    [ $((end - begin)) -gt 900000000 ] || fail 'real time did not pass'
    "$reprise" log wall.log --source time > times
    [ -s times ] || fail 'no adjustment of time is in the log'
    "$reprise" info wall.log | grep -q 'follows real time' || fail 'the log does not say which clock it had'
    records virtual.log --kernel hello --debug-exit </dev/null
    "$reprise" log virtual.log --source time > times
    [ ! -s times ] || fail 'virtual time was adjusted'
}

test_ring() {
    make_guests
    code 11 "$reprise" run --kernel exit5 --debug-exit </dev/null
    says 'runs are recorded in'
    code 1 "$reprise" run --kernel hello --debug-exit >run.out </dev/null
    [ ! -s err ] || { fail 'the announcement comes twice'; cat err >&2; }
    code 1 "$reprise" replay --last >replay.out
    cmp -s run.out replay.out || fail '--last is another run'
    "$reprise" info --last --json | grep -q '"complete": true' || fail 'the ring has no complete run'
    local before; before=$(ls state/reprise | wc -l)
    code 11 "$reprise" run --kernel exit5 --debug-exit --no-record </dev/null
    REPRISE_RECORD=off code 11 "$reprise" run --kernel exit5 --debug-exit </dev/null
    code 2 "$reprise" run --kernel missing </dev/null
    code 2 "$reprise" run --kernel exit5 --serial nowhere/out </dev/null
    [ "$(ls state/reprise | wc -l)" -eq "$before" ] || fail 'a run was recorded that should not'
    # At most 64 logs; the oldest go, but not one that is being written.
    local n
    for n in $(seq 10 99); do : > "state/reprise/20000101T0000$n.000-1.rlog"; done
    code 11 "$reprise" run --kernel exit5 --debug-exit </dev/null
    [ "$(ls state/reprise | wc -l)" -eq 64 ] || fail "the ring holds $(ls state/reprise | wc -l) logs"
    [ ! -e state/reprise/20000101T000010.000-1.rlog ] || fail 'the oldest log is still there'
    truncate -s 300M state/reprise/20000101T000099.000-1.rlog
    code 11 "$reprise" run --kernel exit5 --debug-exit </dev/null
    [ ! -e state/reprise/20000101T000099.000-1.rlog ] || fail 'the ring is larger than 256 MiB'
    # Without a place for it, nothing is recorded, and nothing is said.
    XDG_STATE_HOME=/proc/nowhere code 11 "$reprise" run --kernel exit5 --debug-exit </dev/null
    [ ! -s err ] || { fail 'a ring that cannot be made is complained about'; cat err >&2; }
    XDG_STATE_HOME=$work/empty code 2 "$reprise" replay --last
    says 'holds no runs'
}

test_tools() {
    make_guests
    printf 'abq' | "$reprise" run --kernel echo -m 16M --debug-exit --record a.log --checkpoint 20K >/dev/null 2>&1
    printf 'abq' | "$reprise" run --kernel echo -m 16M --debug-exit --record b.log --checkpoint 10K >/dev/null 2>&1
    printf 'acq' | "$reprise" run --kernel echo -m 16M --debug-exit --record c.log >/dev/null 2>&1
    code 0 "$reprise" diff a.log b.log >out
    grep -q 'no difference' out || fail 'equal runs differ'
    code 16 "$reprise" diff a.log c.log >out
    grep -q "serial *COM1 63 'c'" out || { fail 'the different byte is not shown'; cat out >&2; }
    code 0 "$reprise" info a.log >out
    grep -q 'debug exit' out && grep -q 'serial *3 events' out || { fail 'info lacks the run'; cat out >&2; }
    code 0 "$reprise" log a.log --source serial --json >out
    [ "$(wc -l < out)" -eq 3 ] || fail 'not three inputs in the log'
    if command -v python3 >/dev/null; then
        "$reprise" info a.log --json | python3 -m json.tool >/dev/null || fail 'info --json is not JSON'
        while read -r line; do echo "$line" | python3 -m json.tool >/dev/null || fail 'log --json is not JSON'; done < out
    fi
    code 0 "$reprise" replay a.log --to 60 --trace insn,trace.txt --from 40 --serial none
    says 'at instruction 60'
    [ "$(grep -c . trace.txt)" -ge 20 ] || fail 'no instruction was traced'
    code 2 "$reprise" replay
    says 'which log'
    code 2 "$reprise" replay a.log b.log
    code 2 "$reprise" replay echo
    says 'is not a log'
    code 2 "$reprise" replay missing.log
    code 2 "$reprise" run --kernel echo --record x --no-record </dev/null
    # Another format version and another machine revision are refused by name.
    { head -c 8 a.log; bytes 63000000; tail -c +13 a.log; } > version.log
    code 2 "$reprise" replay version.log
    code 2 "$reprise" run --kernel echo --record /dev/full --debug-exit </dev/null
}

# A fault in an engine or in a device, planted (sim/tests/faulty_engine.c): the hashes tell, and the instruction is found.
test_planted() {
    local kind name
    code 1 "$reprise" run --kernel "$image" -m 64M --debug-exit --record good.log --checkpoint 50K --debug-console none --serial none </dev/null
    code 1 "$reprise" replay good.log --engine faulty --verify --debug-console none --serial none
    for kind in sse:xmm0 device:selftest msr:tsc_aux; do
        name=${kind#*:} kind=${kind%:*}
        REPRISE_FAULT=$kind@123457 code 16 "$reprise" replay good.log --engine faulty --verify --debug-console none --serial none
        says 'the state hash differs'
        says 'it was the same at instruction 100000'
        says 'after 123457 instructions both are the same'
        says "^  $name"
    done
    # Recorded with the fault, replayed without.
    REPRISE_FAULT=msr@123457 code 1 "$reprise" run --engine faulty --kernel "$image" -m 64M --debug-exit --record bad.log \
        --checkpoint 50K --debug-console none --serial none </dev/null
    REPRISE_FAULT=msr@123457 code 16 "$reprise" replay bad.log --engine interp --verify --debug-console none --serial none
    says 'after 123457 instructions both are the same'
    code 16 "$reprise" diff good.log bad.log >out
    grep -q 'the states differ; the last equal state hash is at instruction 100000' out || { fail 'diff'; cat out >&2; }
}

"test_$group"
[ $failures -eq 0 ] && echo "$group: all promises kept"
exit $((failures > 0))
