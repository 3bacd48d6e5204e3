#!/usr/bin/env bash
# Promises of the verbs that look into recorded runs: tools_test.sh REPRISE GUESTS GROUP. GUESTS holds the suites' images.
set -u
reprise=$1 guests=$2 group=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export REPRISE_RECORD=off
failures=0

fail() { echo "FAIL: $*" >&2; failures=$((failures + 1)); }
bytes() { printf "$(printf '%s' "$1" | tr -d ' \n' | sed 's/../\\x&/g')"; }
# code WANT COMMAND...: its exit code must be WANT; output in out, stderr in err.
code() {
    local want=$1 got; shift
    timeout 300 "$@" >out 2>err
    got=$?
    [ $got -eq "$want" ] || { fail "exit code $got instead of $want: $*"; cat err >&2; }
}
says() { grep -q -- "$1" err || { fail "no \"$1\" on stderr"; cat err >&2; }; }
has() { grep -qE -- "$1" out || { fail "no \"$1\" in the output"; head -n 40 out >&2; }; }
is_json() { ! command -v python3 >/dev/null || python3 -c 'import json, sys
for line in open("out"): json.loads(line)' || fail 'not JSON, line by line'; }

# A guest for 1 MiB in 32-bit protected mode: three writes to 0x5000, a line on COM1, and its end by the exit port.
make_log() {
    { bytes '02b0ad1b 03000100 fb4f51e4 00001000 00001000 00000000 00000000 20001000'
      bytes 'c7050050000011000000 c7050050000022000000 fe0501500000 8b1d00500000 66baf803 b068 ee b069 ee b00a ee b000 e6f4 f4'
    } >writes
    code 1 "$reprise" run --kernel writes --debug-exit --record writes.log -m 16M </dev/null
}
suite_log() {
    code 1 "$reprise" run --kernel "$guests/$1.elf" --debug-exit -m 16M --record "$1.log" --serial none --debug-console none </dev/null
}
refusals() {
    local verb=$1; shift
    code 2 "$reprise" "$verb" "$@"; says 'which log is not said'
    code 2 "$reprise" "$verb" writes "$@"; says 'is not a log'
    code 2 "$reprise" "$verb" --nonsense; says 'unknown option'
    code 0 "$reprise" "$verb" --help; has "^Usage: reprise $verb"
    code 0 "$reprise" help "$verb"; has "^Usage: reprise $verb"
}

test_trace() {
    make_log
    code 0 "$reprise" trace writes.log
    has '^ +0 0008:00100020 .*mov \[0x0*5000\], 0x0*11|^ +0 [0-9a-f]{4}:00100020 .*c7 05'
    has 'memory write 5000 \(physical 5000\) 00000022'
    has 'memory read  5001 \(physical 5001\) 00'
    has 'memory write 5001 \(physical 5001\) 01'
    has 'memory read  5000 \(physical 5000\) 00000122'
    has 'io write 03f8 68'
    code 0 "$reprise" trace writes.log --from 1 -n 2 --only insn
    [ "$(awk '{ print $1 }' out | tr '\n' ' ')" = '1 2 ' ] || fail 'not the instructions 1 and 2'
    code 0 "$reprise" trace writes.log --json
    is_json
    has '"kind": "write", "linear": "0x5000", "physical": "0x5000", "size": 4, "value": "0x00000022"'
    code 20 "$reprise" trace writes.log --from 1000; says 'it ends at'
    code 20 "$reprise" trace writes.log --to 1000; says 'it ends at'
    code 2 "$reprise" trace writes.log --from 5 --to 4; says 'lies before'
    code 2 "$reprise" trace writes.log --only memori; says 'did you mean memory'
    # Cut off before its end is recorded.
    "$reprise" run --kernel writes --debug-exit --record more.log -m 16M --checkpoint 3 >/dev/null 2>&1 </dev/null
    local size; size=$(stat -c %s more.log)
    until [ $size -eq 0 ] || "$reprise" info cut.log 2>/dev/null | grep -q 'cut off'; do
        size=$((size - 1))
        head -c $size more.log >cut.log
    done
    code 18 "$reprise" trace cut.log --from 1000000; says 'the log says no more'
    refusals trace
    # Every instruction once, handlers' first ones too; the same on every engine; interrupts are among them.
    suite_log pic
    local length engine
    length=$("$reprise" info pic.log --json | sed -n 's/.*"instructions": \([0-9]*\),.*/\1/p')
    code 0 "$reprise" trace pic.log --only interrupts
    has 'interrupt [0-9a-f]{2} at'
    local first; first=$(awk '{ print $1; exit }' out)
    local from=$((first > 1000 ? first - 1000 : 1))
    local count=$((length - from < 3000 ? length - from : 3000))
    for engine in interp sbe; do
        code 0 "$reprise" trace pic.log --from $from -n $count --engine $engine
        mv out $engine.trace
    done
    cmp interp.trace sbe.trace || fail 'another trace on another engine'
    grep -q interrupt interp.trace || fail 'no interrupt in that stretch'
    grep -E '^ +[0-9]+ [0-9a-f]{4}:' interp.trace | awk '{ print $1 }' >told
    seq $from $((from + count - 1)) >wanted
    # While it is halted nothing executes; else each count occurs once.
    [ -z "$(uniq -d told)" ] || fail 'an instruction is told twice'
    cmp -s told wanted || fail "not every instruction is told: $(diff told wanted | head -n 3)"
    # The line behind an interrupt is the handler, not what was interrupted.
    awk '/interrupt/ { at = $NF; next } at != "" && $2 ~ /^[0-9a-f]+:[0-9a-f]+$/ { if ($2 ~ at "$") bad = 1; at = "" }
        END { exit bad }' interp.trace || fail 'an interrupted instruction is told in place of the handler'
}

test_who_wrote() {
    make_log
    code 0 "$reprise" who-wrote writes.log 5000 --size 4
    has '^ +2 .*inc|^ +2 .*fe 05'
    has 'physical 5000: 00000022 -> 00000122 \(1 bytes at 5001\)'
    code 0 "$reprise" who-wrote writes.log 0x5000 --size 4 --before 2 --physical
    has '^ +1 '
    has '00000011 -> 00000022'
    code 0 "$reprise" who-wrote writes.log 5000 --size 4 --all --json
    is_json
    [ "$(grep -o '"icount": [0-9]*' out | tr '\n' ' ')" = '"icount": 2 "icount": 1 "icount": 0 ' ] || fail 'not the three writes'
    code 0 "$reprise" who-wrote writes.log 5000 --size 1 -n 5
    [ "$(grep -c '^ *physical' out)" -eq 2 ] || fail 'a write beside the byte counts'
    code 20 "$reprise" who-wrote writes.log 6000; says 'nothing has written'
    code 20 "$reprise" who-wrote writes.log 5000 --before 100000; says 'it ends at'
    code 20 "$reprise" who-wrote writes.log fee00000; says 'is not RAM'
    code 2 "$reprise" who-wrote writes.log; says 'one address'
    code 2 "$reprise" who-wrote writes.log xyz; says 'is not an address'
    code 2 "$reprise" who-wrote writes.log 5ffe; says 'cross a page'
    refusals who-wrote
    suite_log exceptions64
    code 20 "$reprise" who-wrote exceptions64.log ffff800012345000 --before 100000; says 'is not mapped'
    # The page walk sets A in the topmost table.
    local cr3
    cr3=$("$reprise" seek exceptions64.log 100000 2>&1 | sed -n 's/.*cr3 \([0-9a-f]*\).*/\1/p')
    code 0 "$reprise" who-wrote exceptions64.log "$cr3" --physical --before 100000 --all --json
    has '"by": "page walk"'
    has '"by": "instruction"'
    # A delivery's frame: the first write behind an exception.
    code 0 "$reprise" trace exceptions64.log --only exceptions
    local at physical engine
    at=$(awk '/exception/ { print $1; exit }' out)
    code 0 "$reprise" trace exceptions64.log --from $((at - 2)) --to $((at + 1)) --only exceptions,memory
    physical=$(awk '/exception/ { on = 1 } on && / write / { sub(/\)/, "", $6); print $6; exit }' out)
    for engine in interp sbe; do
        code 0 "$reprise" who-wrote exceptions64.log "$physical" --physical --before $((at + 1)) --json --all --engine $engine
        grep -q '"by": "delivery".*"vector": ' out || { fail "no delivery wrote $physical on $engine"; head out >&2; }
        mv out $engine.writers
    done
    cmp interp.writers sbe.writers || fail 'other writers on another engine'
}

# core_says FILE GDB-COMMAND...: what gdb says of a core, in out.
core_says() {
    local file=$1 arguments=() command; shift
    for command; do arguments+=(-ex "$command"); done
    timeout 100 gdb -nx -batch -c "$file" "${arguments[@]}" >out 2>&1 </dev/null
}

test_core() {
    command -v gdb >/dev/null || { echo "SKIP: gdb is not installed"; exit 77; }
    make_log
    local name width place code_bytes physical
    for name in exceptions64 exceptions32; do
        suite_log $name
        code 0 "$reprise" core $name.log --at 200000 -o $name.core
        code 0 "$reprise" trace $name.log --from 200000 -n 1 --json --only insn
        place=$(sed -n 's/.*"rip": "0x\([0-9a-f]*\)".*/\1/p' out)
        code_bytes=$(sed -n 's/.*"bytes": "\(..\).*/\1/p' out)
        "$reprise" seek $name.log 200000 2>registers
        core_says $name.core 'print/x $pc' 'x/1xb $pc' 'print/x $sp' 'info threads'
        has "= 0x$place\$"
        has "0x$code_bytes\$"
        width=$([ $name = exceptions64 ] && echo 16 || echo 8)
        has "= 0x$(sed -n 's/.*rsp 0*\([0-9a-f]*\).*/\1/p' registers)\$"
        [ "$(stat -c %b $name.core)" -lt $((8 * 2048)) ] || fail 'the file is not sparse'
    done
    core_says exceptions64.core 'x/4xb 0x0100000000100000' 'print/x $cs'
    has '0x02	0xb0	0xad	0x1b|0x02.*0xb0.*0xad.*0x1b'
    # PAE paging, and a moment without paging.
    suite_log pagingpae
    code 0 "$reprise" core pagingpae.log --at 100000 -o pae.core
    code 0 "$reprise" core writes.log --at 3 -o writes.core
    core_says writes.core 'x/1xw 0x5000' 'print/x $pc'
    has '0x00000122'
    code 0 "$reprise" core writes.log -o end.core
    code 20 "$reprise" core writes.log --at 100000 -o far.core; says 'it ends at'
    [ ! -e far.core ] || fail 'a refused core leaves a file'
    code 2 "$reprise" core writes.log --at 3; says 'add -o FILE'
    code 2 "$reprise" core writes.log --at 3 -o nowhere/core; says 'No such file'
    code 8 "$reprise" core writes.log --at 3 -o /dev/null; says 'is not a plain file'
    [ -c /dev/null ] || fail 'a device was removed'
    refusals core -o x.core
}

test_timeline() {
    command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
    suite_log pic
    make_log
    local axis engine
    for axis in time instructions; do
        for engine in interp sbe; do
            code 0 "$reprise" timeline pic.log --json --axis $axis --width 37 --engine $engine
            mv out $engine.json
        done
        code 0 "$reprise" trace pic.log --only exceptions,interrupts --json
        mv out events
        python3 - $axis <<'PY' || fail "the numbers by $axis are wrong"
import json, sys
a, b = json.load(open("interp.json")), json.load(open("sbe.json"))
events = [json.loads(line) for line in open("events")]
assert a["slices"] == 37 and all(len(a[k]) == 37 for k in ("instructions", "idle_ns", "port_accesses", "console_bytes"))
assert sum(a["instructions"]) == a["total_instructions"] > 0
assert sum(a["instructions"]) + sum(a["idle_ns"]) == a["virtual_ns"]
for kind, key in (("interrupt", "interrupts"), ("exception", "exceptions")):
    for vector in range(32 if key == "exceptions" else 256):
        wanted = [0] * 37
        for e in events:
            if e["kind"] == kind and e["vector"] == vector:
                at = e["icount"] if sys.argv[1] == "instructions" else e["virtual_ns"]
                wanted[min(at * 37 // a["span"], 36)] += 1
        assert a[key].get(str(vector), [0] * 37) == wanted, (key, vector)
assert any(a["interrupts"].values())
if sys.argv[1] == "time":  # an instruction takes a nanosecond, and a slice is no longer than it is
    assert all(i + j <= a["span"] // 37 + 2 for i, j in zip(a["instructions"], a["idle_ns"]))
for key in a:
    assert key == "interpreter_calls" or a[key] == b[key], key
PY
    done
    code 0 "$reprise" timeline writes.log --width 60
    has '^executing .*█'
    has '^ +a .* s  hi$'
    code 0 "$reprise" timeline writes.log -o picture.svg --width 640
    python3 -c 'import xml.dom.minidom as x; d = x.parse("picture.svg"); assert any(t.firstChild and t.firstChild.data == "hi"
        for t in d.getElementsByTagName("text"))' || fail 'the picture is not SVG, or lacks the line'
    # What a guest prints must not become markup, nor steer a terminal: <&ESC[2J"> and a newline.
    { bytes '02b0ad1b 03000100 fb4f51e4 00001000 00001000 00000000 00000000 20001000 66baf803'
      for c in 3c 26 1b 5b 32 4a 22 3e 0a; do bytes "b0$c ee"; done; bytes 'b000 e6f4 f4'; } >markup
    code 1 "$reprise" run --kernel markup --debug-exit --record markup.log -m 16M </dev/null
    code 0 "$reprise" timeline markup.log -o markup.svg
    python3 -c 'import xml.dom.minidom as x; d = x.parse("markup.svg"); assert any(t.firstChild and t.firstChild.data == "<&\">"
        for t in d.getElementsByTagName("text"))' || fail 'output of the guest is not shown as text'
    code 0 "$reprise" timeline markup.log
    ! grep -q "$(printf '\033')" out || fail 'an escape sequence of the guest reaches the terminal'
    code 2 "$reprise" timeline writes.log --width 20; says 'give 38 to'
    code 2 "$reprise" timeline writes.log -o nowhere/picture.svg; says 'No such file'
    code 8 "$reprise" timeline writes.log -o /dev/full; says 'make room'
    refusals timeline
}

"test_$group"
[ $failures -eq 0 ] && echo "$group: all promises kept"
exit $((failures > 0))
