#!/usr/bin/env bash
# The command line's promises: cli_test.sh REPRISE GROUP. Guests are a few bytes of code behind a Multiboot header.
set -u
reprise=$1 group=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() { echo "FAIL: $*" >&2; failures=$((failures + 1)); }

bytes() { printf "$(printf '%s' "$1" | tr -d ' \n' | sed 's/../\\x&/g')"; }

# guest NAME CODE...: an image for 1 MiB whose code runs in 32-bit protected mode.
guest() {
    local name=$1; shift
    { bytes '02b0ad1b 03000100 fb4f51e4 00001000 00001000 00000000 00000000 20001000'; bytes "$*"; } > "$name"
}
guest exit5 b005 e6f4 f4                       # out 0xf4, 5
guest exit255 b0ff e6f4 f4
guest triple 0f0b                              # ud2 without an IDT
guest forever ebfe
guest dead fa f4                               # cli; hlt
guest sleeper fb f4 ebfd                       # sti; hlt for ever
guest hello 66baf803 b068 ee b069 ee b00a ee b000 e6f4 f4
guest debugcon b064 e6e9 b00a e6e9 b000 e6f4 f4
# Counts its starts at 0x5000, resets by 0xcf9 until the third.
guest resets fe0500500000 803d0050000003 740a 66baf90c b006 ee f4 ebfe b000 e6f4 f4
guest reset 66baf90c b006 ee f4
# Echoes COM1 until it reads 'q', then exits with 7.
guest echo 66bafd03 ec a801 74f7 66baf803 ec 3c71 7403 ee ebeb b007 e6f4 f4
# #UD whose handler is the same ud2: the IDT stands at 0x100080, its descriptor at 0x100060.
many() { printf "$1%.0s" $(seq "$2"); }
guest storm 0f011d60001000 0f0b "$(many 90 55)" ff0080001000 "$(many 00 26)" "$(many 00 48)" 27001000008e1000
guest poweroff 66ba0406 66b80034 66ef f4

# run CODE ARGUMENTS...: the exit code must be CODE; output to out and err.
run() {
    local want=$1 got; shift
    timeout 60 "$reprise" "$@" >out 2>err </dev/null
    got=$?
    [ $got -eq "$want" ] || { fail "exit code $got instead of $want: reprise $*"; cat err >&2; }
}

# refused PATTERN ARGUMENTS...: a usage error whose one line says PATTERN and what to do (after the last ';').
refused() {
    local pattern=$1; shift
    run 2 "$@"
    [ "$(wc -l < err)" -eq 1 ] || { fail "not one line: reprise $*"; cat err >&2; }
    grep -q -- "$pattern" err || { fail "no \"$pattern\" for: reprise $*"; cat err >&2; }
    grep -q ';' err || { fail "no advice for: reprise $*"; cat err >&2; }
    [ ! -s out ] || fail "output on stdout: reprise $*"
}

test_usage() {
    refused 'verb is missing'
    refused 'did you mean `reprise run`' rnu
    refused 'no verb' --kernel exit5
    refused 'nothing to boot' run
    refused 'a seed and kinds' run --kernel exit5 --chaos 1,irqs
    refused 'from 1M to 1G' run --kernel exit5 --shadow-memory 512K
    refused 'from 1M to 256M' run --kernel exit5 --code-cache 1G
    refused 'unknown option' replay exit5 --chaos 1
    refused 'did you mean --kernel' run --kernle exit5
    refused 'did you mean --kernel exit5' run exit5
    refused 'unknown option --xyzzy' run --xyzzy
    refused 'value is missing' run --kernel
    refused 'given twice' run --kernel exit5 --kernel exit5
    refused 'takes no value' run --kernel exit5 --debug-exit=1
    refused 'not a size' run --kernel exit5 -m lots
    refused 'not a size' run --kernel exit5 -m 99999999999G
    refused 'multiple of 1M' run --kernel exit5 -m 512
    refused 'more than the 512G' run --kernel exit5 -m 1024G
    refused 'did you mean "interp"' run --kernel exit5 --engine interpret
    refused 'choose one of: .*pentium' run --kernel exit5 --cpu z80z80z80
    refused 'at least 1' run --kernel exit5 --max-insns 0
    refused 'greater than 0' run --kernel exit5 --timeout 0
    refused 'greater than 0' run --kernel exit5 --timeout nan
    refused 'did you mean exceptions' run --kernel exit5 --trace exeptions
    refused 'leave one of them out' run --kernel exit5 --initrd a --module b
    refused 'both write' run --kernel exit5 --serial same --stats same
    refused 'knows one shell' --completion fish
    run 11 run --kernel exit5 --debug-exit --serial=none -m16M
}

test_images() {
    mkdir directory
    head -c 600 /dev/zero > short
    head -c 100000 /dev/zero > zeros
    head -c 20 exit5 > truncated
    truncate -s 3M large
    truncate -s 1M mebi
    : > empty
    refused 'No such file' run --kernel missing
    refused 'is a directory' run --kernel directory
    refused 'too short' run --kernel short
    refused 'too short' run --kernel empty
    refused 'neither a Linux bzImage' run --kernel zeros
    refused 'cut off' run --kernel truncated
    refused 'larger than the guest' run --kernel large -m 2M
    refused 'larger than the guest' run --kernel /dev/zero -m 2M
    refused 'No such file' run --kernel exit5 --initrd missing
    refused 'takes no initrd' run --kernel exit5 --initrd zeros
    refused 'No such file' run --kernel exit5 --module 'missing and its text'
    refused 'does not begin with a file' run --kernel exit5 --module ' x'
    refused 'does not fit' run --kernel exit5 -m 2M --module 'zeros text' --module mebi
    printf 'a' > unreadable; chmod 0 unreadable
    [ "$(id -u)" -eq 0 ] || refused 'Permission denied' run --kernel unreadable
    mkfifo pipe; cat exit5 > pipe &
    run 11 run --debug-exit --kernel pipe
}

test_exit_codes() {
    run 11 run --kernel exit5 --debug-exit
    run 255 run --kernel exit255 --debug-exit
    run 4 run --kernel triple
    local pattern
    for pattern in 'triple fault' '06 #UD .*0010:100020' 'ud2' 'rip 0000000000100020'; do
        grep -q "$pattern" err || fail "no \"$pattern\" in the crash dump"
    done
    run 12 run --kernel dead
    run 12 run --kernel sleeper
    run 14 run --kernel reset --reset exit
    run 1 run --kernel resets --debug-exit
    run 0 run --kernel poweroff
    run 12 run --kernel exit5 # without --debug-exit the port does nothing, and the guest halts
    timeout 60 "$reprise" run --kernel forever --serial none 2>err & local pid=$!
    sleep 1
    local child; child=$(pgrep -P $pid -f -- 'run --kernel forever') && kill -TERM "$child"
    wait $pid; local got=$?
    [ $got -eq 10 ] || fail "SIGTERM gives $got"
}

test_limits() {
    run 6 run --kernel forever --max-insns 1000000 --stats s.json
    grep -q '"instructions": 1000000,' s.json || fail 'not exactly a million instructions'
    run 6 run --kernel forever --max-insns 1M --stats t.json
    [ "$(grep state_hash s.json)" = "$(grep state_hash t.json)" ] || fail 'two equal runs differ'
    run 6 run --kernel forever --timeout 0.3
    run 6 run --kernel storm --timeout 0.3
    # Garbage: this program's own bytes, which are no kernel's. However it ends, the host does not.
    local start code
    for start in 1000 50000 90000; do
        { head -c 32 dead; tail -c +$start "$reprise" | head -c 60000; } > garbage
        timeout 60 "$reprise" run --kernel garbage --serial none --timeout 0.5 --reset exit 2>err </dev/null
        code=$?
        case $code in 0|4|6|12|14) ;; *) fail "garbage from $start ends with $code"; cat err >&2 ;; esac
    done
    sleep 5 | timeout 60 "$reprise" run --kernel sleeper --timeout 0.3 2>err
    [ ${PIPESTATUS[1]} -eq 6 ] || fail 'no time limit while waiting for input'
}

test_outputs() {
    mkdir directory
    refused 'is a directory' run --kernel exit5 --stats directory
    refused 'No such file' run --kernel exit5 --stats nowhere/stats.json
    refused 'No such file' run --kernel exit5 --serial nowhere/log
    refused 'No such file' run --kernel exit5 --trace io,nowhere/log
    echo kept > old
    refused 'No such file' run --kernel exit5 --serial old --stats nowhere/stats.json
    grep -q kept old || fail 'an output was truncated though another was refused'
    refused 'No such file' run --kernel missing --serial old --stats old.json
    grep -q kept old && [ ! -e old.json ] || fail 'a refused run touched its outputs'
    run 1 run --kernel hello --debug-exit
    [ "$(cat out)" = hi ] || fail 'no serial output on stdout'
    run 1 run --kernel hello --debug-exit --serial old
    [ "$(cat old)" = hi ] && [ ! -s out ] || fail 'no serial output in a file'
    run 1 run --kernel hello --debug-exit --serial none
    [ ! -s out ] || fail '--serial none speaks'
    run 1 run --kernel debugcon --debug-exit --debug-console log
    [ "$(cat log)" = d ] || fail 'no debug console output'
    if [ -e /dev/full ]; then
        timeout 60 "$reprise" run --kernel hello --debug-exit > /dev/full 2>err </dev/null
        [ $? -eq 8 ] || fail 'a full disk goes unnoticed'
        timeout 60 "$reprise" --help > /dev/full 2>err
        [ $? -eq 8 ] || fail 'a full disk goes unnoticed by --help'
    fi
    printf 'abcq' | timeout 60 "$reprise" run --kernel echo --debug-exit >out 2>err
    [ $? -eq 15 ] && [ "$(cat out)" = abc ] || fail 'piped input does not reach the guest'
}

test_stats() {
    run 11 run --kernel exit5 --debug-exit --stats pools.txt --engine sbe --shadow-memory 2M --code-cache 1M
    grep -q '"shadow_tables_limit": 2097152' pools.txt || fail '--shadow-memory does not show'
    grep -q '"code_cache_limit": 1048576' pools.txt || fail '--code-cache does not show'
    run 11 run --kernel exit5 --debug-exit --stats s.json
    local key
    for key in instructions exits exceptions virtual_seconds host_seconds mips peak_memory_bytes state_hash stop \
        exit_code; do
        grep -q "\"$key\":" s.json || fail "no $key in the statistics"
    done
    grep -q '"stop": "debug-exit"' s.json && grep -q '"exit_code": 11' s.json || fail 'wrong ending in the statistics'
    if command -v python3 >/dev/null; then
        python3 -m json.tool s.json >/dev/null || fail 'the statistics are not JSON'
    fi
    run 4 run --kernel triple --stats s.json
    grep -q '"6 #UD": 1' s.json && grep -q '"stop": "triple-fault"' s.json || fail 'the triple fault is not counted'
    [ "$(ls -a | grep -c 's.json')" -eq 1 ] || fail 'a temporary file stays behind'
}

test_trace() {
    run 1 run --kernel hello --debug-exit --serial none --trace io,trace.txt
    grep -q 'io write 03f8 68' trace.txt || fail 'no port write traced'
    run 11 run --kernel exit5 --debug-exit --trace insn
    grep -q 'b0 05 .*mov al, 0x05' err || fail 'no instruction traced'
    run 4 run --kernel triple --trace exceptions
    grep -q 'exception 06 #UD' err || fail 'no exception traced'
    run 1 run --kernel hello --debug-exit --stats plain.json
    run 1 run --kernel hello --debug-exit --stats traced.json --trace all,trace.txt
    [ "$(grep state_hash plain.json)" = "$(grep state_hash traced.json)" ] || fail 'tracing changes the guest'
}

test_verify() {
    local json
    refused 'two engines' verify --kernel exit5
    refused 'two engines' verify --engines interp --kernel exit5
    refused 'no engine "b"' verify --engines interp,b --kernel exit5
    refused 'neither insn nor block' verify --engines interp,interp --every blcok --kernel exit5
    refused 'unknown option --engine;' verify --engine interp --kernel exit5
    refused 'nothing to boot' verify --engines interp,interp
    refused 'nothere' verify --engines interp,interp --kernel nothere
    run 0 verify --engines interp,interp --every insn --kernel hello --debug-exit
    grep -q '^hi$' out && [ "$(wc -l < out)" -eq 1 ] || fail 'the output of one machine was not shown once'
    grep -q 'interp and interp agree for [0-9]* instructions.*debug-exit' err || fail 'no verdict'
    run 0 verify --engines interp,interp --kernel resets --debug-exit
    run 0 verify --engines interp,interp --kernel forever --max-insns 1M
    grep -q 'agree for 1000000 instructions.*--max-insns' err || fail 'not as far as asked'
    run 6 verify --engines interp,interp --kernel forever --timeout 0.5
    run 0 verify --engines interp,interp --kernel triple --json
    grep -q '"agree": true' out && grep -q '"stop": "triple-fault"' out || fail 'no JSON on stdout'
    [ ! -s err ] || fail 'text beside the JSON'
    run 0 verify --help
    cp out help.txt
    run 0 help verify
    cmp -s out help.txt || fail '`verify --help` and `help verify` differ'
    awk 'length > 100 { exit 1 }' help.txt || fail 'help has lines that are too long'
}

test_help() {
    local word
    run 0 --help
    grep -q 'reprise run --kernel' out || fail 'no example in --help'
    run 0 run --help
    cp out help.txt
    run 0 help run
    cmp -s out help.txt || fail '`run --help` and `help run` differ'
    awk 'length > 100 { exit 1 }' help.txt || fail 'help has lines that are too long'
    run 0 list
    grep -q interp out && grep -q westmere out || fail 'list is incomplete'
    run 0 version
    grep -Eq '^reprise [0-9]+\.[0-9]+' out || fail 'no version'
    run 0 --man
    cp out reprise.1
    if command -v man >/dev/null; then
        MANROFFSEQ='' man --warnings=w -l reprise.1 2>warnings >page || fail 'man refuses the manual page'
        [ ! -s warnings ] || { fail 'the manual page has warnings'; cat warnings >&2; }
    fi
    run 0 --completion bash
    cp out completion
    bash -n completion || fail 'the completion is no shell script'
    for word in $(grep -oE -- '--[a-z-]+' help.txt | sort -u); do
        case $word in --kernel|--initrd|--append|--module|--stats|--debug-exit|--max-insns|--trace|--clock|--record|--cpu)
            grep -q -- "$word" completion || fail "no $word in the completion"
            grep -q -- "$(printf '%s' "$word" | sed 's/-/\\\\-/g')" reprise.1 || fail "no $word in the manual page" ;;
        esac
    done
    (. ./completion; COMP_WORDS=(reprise run --cpu west); COMP_CWORD=3; _reprise
     [ "${COMPREPLY[*]}" = westmere ]) || fail 'completion of --cpu'
}

# on_terminal INPUT ARGUMENTS...: types INPUT a second after the start. The terminal's settings must survive.
on_terminal() {
    local input=$1; shift
    local session="stty -g > before; '$reprise' $*; echo \$? > code; stty -g > after"
    (sleep 1; printf "$input"; sleep 1) | script -qec "$session" /dev/null > screen 2>&1
    cmp -s before after || fail "the terminal is not restored: $*"
}

test_terminal() {
    command -v script >/dev/null || { echo 'no script(1): skipped'; exit 77; }
    on_terminal '\001x' run --kernel forever
    [ "$(cat code)" = 10 ] || fail "Ctrl-A x gives $(cat code)"
    on_terminal '\001x' run --kernel sleeper
    [ "$(cat code)" = 10 ] || fail "Ctrl-A x gives $(cat code) in an idle guest"
    on_terminal '\001h\001s\001x' run --kernel forever
    grep -q 'end the run' screen && grep -q 'virtual seconds' screen || fail 'no help or status'
    on_terminal 'ab\001\001q' run --kernel echo --debug-exit
    [ "$(cat code)" = 15 ] && grep -q "$(printf 'ab\001')" screen || fail 'keys do not reach the guest'
    on_terminal '' run --kernel triple
    [ "$(cat code)" = 4 ] || fail "a triple fault gives $(cat code)"
    on_terminal '' run --kernel forever --timeout 0.5
    [ "$(cat code)" = 6 ] || fail "a time limit gives $(cat code)"
}

"test_$group"
[ $failures -eq 0 ] && echo "$group: all promises kept"
exit $((failures > 0))
