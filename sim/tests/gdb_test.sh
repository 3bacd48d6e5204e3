#!/usr/bin/env bash
# Debian's own gdb against the server: gdb_test.sh REPRISE GUESTS GROUP
# GUESTS holds the suites' images (NAME.elf) and what they were made of, with symbols (guest_NAME).
set -u
reprise=$1 guests=$2 group=$3
command -v gdb >/dev/null || { echo "SKIP: gdb is not installed"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
server= failures=0

fail() { echo "FAIL: $*" >&2; failures=$((failures + 1)); }

# serve ARGUMENTS...: reprise in the background, listening at ./socket
serve() {
    rm -f socket
    timeout 120 "$reprise" "$@" --serial none --debug-console none --gdb unix:socket >server.out 2>server.err &
    server=$!
    for _ in $(seq 400); do [ -S socket ] && return; sleep 0.05; done
    fail "no socket: reprise $*"; cat server.err >&2
}

# served CODE: the server's exit code
served() {
    local got
    wait "$server"
    got=$?
    [ $got -eq "$1" ] || { fail "exit code $got instead of $1"; cat server.err >&2; }
}

# debug SUITE: runs the commands on standard input; what gdb says goes to ./said. The description of the target is 64-bit in
# every mode, which gdb takes for a 32-bit program only when it is told so.
debug() {
    { echo 'set pagination off'; echo 'set confirm off'; echo 'set architecture i386:x86-64'; echo 'target remote ./socket'; cat; } >commands
    timeout 100 gdb -nx -batch -x commands "$guests/guest_$1" >said 2>&1 </dev/null
}

# says PATTERN...: each is in ./said, one after the other
says() {
    local pattern from=1 line
    for pattern; do
        line=$(tail -n +$from said | grep -n -m1 -E -- "$pattern" | cut -d: -f1)
        [ -n "$line" ] || { fail "no \"$pattern\" after line $from of:"; cat -n said >&2; return; }
        from=$((from + line))
    done
}

exceptions=(run --kernel "$guests/exceptions64.elf" --debug-exit -m 16M)

test_breakpoints() {
    serve "${exceptions[@]}"
    debug exceptions64 <<'GDB'
print/x $cs
break trap_is
continue
print $cpl
x/s $rdi
info breakpoints
delete
hbreak run
continue
delete
stepi
set $before = $icount
stepi 100
print $icount - $before
continue
GDB
    says '_start' '= 0x10' 'Breakpoint 1, .*trap_is' '= 0' '#DE by zero in ring 0' 'already hit 1 time' 'Breakpoint 2, .*run' \
        '= 100$' 'exited with code 01'
    served 1
}

test_watchpoints() {
    serve "${exceptions[@]}"
    debug exceptions64 <<'GDB'
watch *(int *)&trap_count
continue
continue
delete
rwatch *(int *)&trap_count
continue
delete
awatch *(int *)&trap_count
continue
delete
watch *(int *)&trap_count if *(int *)&trap_count == 1
continue
print *(int *)&trap_count
kill
GDB
    says 'Old value = 0' 'New value = 1' 'Old value = 1' 'New value = 0' 'read watchpoint' 'Value = ' 'Hardware access' \
        'New value' 'New value = 1' '= 1$'
    served 10
}

test_registers() {
    serve "${exceptions[@]}"
    debug exceptions64 <<'GDB'
break trap_is
continue
set $rax = 0x1234567890abcdef
print/x $rax
set $r15 = 42
print $r15
set $xmm3.v4_int32[1] = 77
print $xmm3.v4_int32
print $st0
print/x $fctrl
print/x $mxcsr
print/x $efer & 0x500
print/x $cr0 & 0x80000001
set $eflags = $eflags | 1
print $eflags
python
try:
    gdb.execute("set $cr0 = 0")
except gdb.error as e:
    print("refused:", e)
end
info registers cs gs_base gdtr_limit
info threads
detach
GDB
    says '= 0x1234567890abcdef' '= 42' '\{0, 77, 0, 0\}' '= 0$' '= 0x40' '= 0x1f80' '= 0x500' '= 0x80000001' 'CF' 'refused: .*register' \
        'cs +0x8 ' 'gdtr_limit' 'vCPU 0, CPL 0, running' 'detached'
    served 1
}

test_memory() {
    serve "${exceptions[@]}"
    debug exceptions64 <<'GDB'
break trap_is
continue
set var *(long *)0x5000 = 0x1122334455667788
x/2xw 0x5000
python
for address in ("0xfee00000", "0xffffffff12345678", "0x8000000000000000"):
    try:
        gdb.execute("x/1xb " + address)
    except gdb.MemoryError as e:
        print(e)
end
maintenance packet Qqemu.PhyMemMode:1
x/1xw 0x5000
monitor phys off
monitor tlb 0x5000
monitor registers
monitor devices
monitor help
kill
GDB
    says '0x55667788.*0x11223344' 'Cannot access memory at address 0xfee00000' 'Cannot access memory at address 0xffffffff12345678' \
        'Cannot access memory at address 0x8000000000000000' 'received: "OK"' '0x55667788' 'virtual' '0000005000  page of' \
        '64-bit' '8259A master' 'disassemble'
    served 10
}

# 16-bit code: RIP is an offset into CS, as in the processor; breakpoints are at linear addresses.
test_real_mode() {
    serve run --kernel "$guests/realmode.elf" --debug-exit -m 16M
    debug realmode <<'GDB'
hbreak *0x8400
continue
print/x $rip
print/x $cs_base
print/x $cs
print $cr0 & 1
monitor disassemble 0x400 1
monitor registers
set $at = $icount
stepi
print $icount - $at
delete
continue
GDB
    says 'SIGTRAP' '= 0x400' '= 0x8000' '= 0x800$' '= 0$' '0800:00000400  ' 'real-address' '= 1$' 'exited with code 01'
    served 1
}

test_protected_mode() {
    serve run --kernel "$guests/exceptions32.elf" --debug-exit -m 16M
    debug exceptions32 <<'GDB'
break *(&main)
continue
print/x $efer
print $rip == (long)&main
set $variable = (long)&trap_count
watch *(int *)$variable
continue
print $cs
monitor registers
kill
GDB
    says '= 0x0' '= 1$' 'New value = 1' '= 8$' 'protected'
    served 10
}

test_interrupt() {
    # A Multiboot image for 1 MiB whose code is a jump to itself.
    printf '\x02\xb0\xad\x1b\x03\x00\x01\x00\xfb\x4f\x51\xe4%b%b%b%b%b\xeb\xfe' '\0\0\x10\0' '\0\0\x10\0' '\0\0\0\0' \
        '\0\0\0\0' '\x20\0\x10\0' >forever
    serve run --kernel forever -m 16M
    debug hello <<'GDB'
shell (sleep 1; kill -INT $PPID) &
continue
print $icount > 0
kill
GDB
    says 'SIGINT' '= 1$'
    served 10
}

# The last write of a variable, found backwards from the end, is the last one met on the way forwards.
test_reverse() {
    timeout 100 "$reprise" run --kernel "$guests/exceptions64.elf" --debug-exit -m 16M --serial none --debug-console none \
        --record run.log
    [ $? -eq 1 ] || fail "recording"
    serve replay run.log
    debug exceptions64 <<'GDB'
reverse-stepi
watch *(int *)&trap_count
commands
silent
set $last = $icount
continue
end
continue
printf "last write ends at %ld\n", $last
delete
set $end = $icount
watch *(int *)&trap_count
reverse-continue
print $last - $icount
print *(int *)&trap_count
stepi
print *(int *)&trap_count
delete
break main
reverse-continue
print $rip == (long)&main
reverse-continue
print $icount
python
try:
    gdb.execute("set var *(int *)0x5000 = 1")
except gdb.error as e:
    print("refused:", e)
end
monitor seek 100000
maintenance flush register-cache
print $icount
reverse-stepi
print $icount
continue
print $icount == $end
kill
GDB
    says 'No more reverse-execution history' 'last write ends at [0-9]+' 'Old value = 1' 'New value = 0' '= 1$' '= 0$' '= 1$' \
        'Breakpoint .*main' '= 1$' 'No more reverse-execution history' '= 0$' 'refused: ' '= 100000' '= 99999' \
        'No more reverse-execution history' '= 1$'
    served 0
}

# The same in a run that is only being recorded: back into its past, forwards to the present, and on.
test_live_reverse() {
    serve "${exceptions[@]}" --record run.log
    debug exceptions64 <<'GDB'
watch *(int *)&trap_count
continue
continue
continue
set $present = $icount
delete
break run
reverse-continue
print $icount < $present
print *(int *)&trap_count
reverse-stepi
python
try:
    gdb.execute("set var *(int *)0x5000 = 1")
except gdb.error as e:
    print("refused:", e)
end
delete
continue
print $icount == $present
set var *(int *)0x5000 = 1
break trap_is
continue
python
try:
    gdb.execute("reverse-stepi")
except gdb.error as e:
    print(e)
end
delete
continue
GDB
    says 'New value = 1' 'New value = 0' 'New value = 1' 'Breakpoint .*run' '= 1$' '= 1$' 'refused: ' \
        'No more reverse-execution history' '= 1$' 'Breakpoint 3, .*trap_is' 'cannot go back' 'exited with code 01'
    served 1
}

"test_$group"
exit $((failures > 0))
