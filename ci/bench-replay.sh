# What recording, replay and going back cost, by Reprise and by QEMU. Sourced by ci/bench; uses its variables images, out,
# raw, reprise, cache, scale, and the functions of bench-engines.sh.
# shellcheck shell=bash disable=SC2154

# The command line of a Debian guest, for both.
replay_boot() {
    replay_options=(--kernel "$cache/guests/$1/vmlinuz" --initrd "$out/initrd-$1" -m 256M
        --append "console=ttyS0 nokaslr rdinit=/bench bench.scale=$scale")
    qemu_replay=("${qemu[@]}" -m 256 -kernel "$cache/guests/$1/vmlinuz" -initrd "$out/initrd-$1"
        -append "console=ttyS0 nokaslr rdinit=/bench bench.scale=$scale")
}

# put_whole FLAVOUR WHAT: the times of the run that "$out/engine" tells of, if it ended well.
put_whole() {
    if grep -q '^whole .* 0$' "$out/engine"; then
        sed -n "s/^whole \([^ ]*\) \([^ ]*\) \([^ ]*\) .*/replay $1 $2 \1 \2 \3/p" "$out/engine" >>"$raw"
    else
        failed replay "Debian $1, $2: $(tail -n 1 "$out/engine")"
        return 1
    fi
}

# put_log WHAT LOG: instructions, bytes of the file, bytes of what came in.
put_log() {
    "$reprise" info "$2" --json >"$out/info.json" && python3 - "$1" "$out/info.json" >>"$raw" <<'PYTHON'
import json, sys
log = json.load(open(sys.argv[2]))
events = log["events"]
print("log", sys.argv[1], log["instructions"], log["log_bytes"],
      sum(events[source]["bytes"] for source in ("serial", "keyboard", "time")))
PYTHON
}

# Reprise on one kernel: unrecorded, recorded, replayed; recorded with a hash every million instructions, verified.
# Several times over, because what they are compared for are a few hundredths.
measure_reprise_replay() {
    local engine=$1 flavour=$2
    for _ in $(seq "$replay_turns"); do
        run_reprise "$engine" 900 "${replay_options[@]}" --no-record >"$out/engine" || true
        put_whole "$flavour" unrecorded || return 0
        run_reprise "$engine" 900 "${replay_options[@]}" --record "$out/$flavour.rlog" >"$out/engine" || true
        put_whole "$flavour" recorded || return 0
        stopwatch 900 "$reprise" replay "$out/$flavour.rlog" --engine "$engine" >"$out/engine" || true
        put_whole "$flavour" replayed || return 0
        run_reprise "$engine" 900 "${replay_options[@]}" --record "$out/hashed.rlog" --checkpoint 1M >"$out/engine" || true
        put_whole "$flavour" recorded-hashed || return 0
        stopwatch 900 "$reprise" replay "$out/hashed.rlog" --engine "$engine" --verify >"$out/engine" || true
        put_whole "$flavour" verified || return 0
    done
    put_log "$flavour" "$out/$flavour.rlog" || failed replay "Debian $flavour: the log cannot be read"
}

# Logs of guests that compute, and of guests that do nothing but what is synchronous.
measure_logs() {
    local engine=$1 name
    for name in hash sort lz bytecode; do
        rm -f "$out/one.rlog"
        run_reprise "$engine" 300 --kernel "$images/bench64.elf" --append "n=$((20 * work)) $name" -m 64M --debug-exit \
            --debug-console none --record "$out/one.rlog" >"$out/engine" || true
        put_log "compute:$name" "$out/one.rlog" || failed replay "the log of $name"
    done
    for name in int80 fault pte cr3 out in mmio timer; do
        rm -f "$out/one.rlog"
        run_reprise "$engine" 300 --kernel "$images/events32.elf" --append "n=$event_work $name" -m 64M --debug-exit \
            --debug-console none --record "$out/one.rlog" >"$out/engine" || true
        put_log "events:$name" "$out/one.rlog" || failed replay "the log of $name"
    done
}

# steps_back WHO FLAVOUR ARGUMENTS...: of bench-reverse.
steps_back() {
    local who=$1 flavour=$2; shift 2
    timeout 900 "$repo/ci/bench-reverse" "$@" >"$out/steps" 2>"$out/stderr" ||
        failed "$who" "Debian $flavour: steps back: $(tail -n 1 "$out/stderr")"
    sed "s/^/reverse $who $flavour /" "$out/steps" >>"$raw"
}

# Steps back from the same distance as QEMU's, and from the end of the run; the memory of checkpoints on the way.
measure_reprise_reverse() {
    local engine=$1 flavour=$2 server length
    length=$("$reprise" info "$out/$flavour.rlog" --json | sed -n 's/^ *"instructions": \([0-9]*\),$/\1/p')
    rm -f "$out/socket"
    stopwatch 900 "$reprise" replay "$out/$flavour.rlog" --engine "$engine" --serial none --checkpoint-memory 256M \
        --gdb "unix:$out/socket" >"$out/server" &
    server=$!
    steps_back reprise "$flavour" "$out/socket" 100 seek $((length * 9 / 10))
    wait $server || true
    sed -n "s/^whole [^ ]* [^ ]* \([0-9]*\) .*/checkpoints $flavour 256 \1/p" "$out/server" >>"$raw"
}

# Where Reprise's run ends: an address in the kernel that both come to. QEMU replays from its start for each step.
last_rip() {
    local length
    length=$("$reprise" info "$out/$1.rlog" --json | sed -n 's/^ *"instructions": \([0-9]*\),$/\1/p')
    "$reprise" replay "$out/$1.rlog" --serial none --to $((length - 1)) 2>&1 |
        sed -n 's/^ *rip \([0-9a-f]*\) .*/\1/p' | head -n 1
}

# QEMU's own: with -icount alone, recorded, replayed; then steps back.
measure_qemu_replay() {
    local flavour=$1 icount="shift=auto,rr=record,rrfile=$out/rr.bin,rrsnapshot=init" server disk
    disk=(-drive "file=$out/rr.qcow2,if=none,id=rr" -device "virtio-blk-pci,drive=rr")
    qemu-img create -q -f qcow2 "$out/rr.qcow2" 64M
    stopwatch 900 "${qemu_replay[@]}" -icount shift=auto >"$out/engine" || true
    put_whole "$flavour" qemu-icount || return 0
    stopwatch 900 "${qemu_replay[@]}" -icount "$icount" "${disk[@]}" >"$out/engine" || true
    put_whole "$flavour" qemu-recorded || return 0
    icount=${icount/rr=record/rr=replay}
    stopwatch 900 "${qemu_replay[@]}" -icount "$icount" "${disk[@]}" >"$out/engine" || true
    put_whole "$flavour" qemu-replayed || true
    rm -f "$out/socket"
    timeout 900 "${qemu_replay[@]/stdio/null}" -icount "$icount" "${disk[@]}" -S \
        -chardev "socket,path=$out/socket,server=on,wait=off,id=gdb" -gdb chardev:gdb </dev/null >"$out/server" 2>&1 &
    server=$!
    steps_back qemu "$flavour" "$out/socket" 1 break "$(last_rip "$flavour")"
    kill $server 2>/dev/null || true
    wait $server 2>/dev/null || true
}

measure_replay() {
    local flavour engine=${reprise_options[sbe]:+sbe}
    engine=${engine:-interp}
    measure_logs "$engine"
    for flavour in 686 amd64; do
        [ -s "$out/initrd-$flavour" ] || continue
        replay_boot "$flavour"
        printf '  Debian %s: record, replay, step back\n' "$flavour"
        measure_reprise_replay "$engine" "$flavour"
        [ "$1" = 1 ] || continue
        [ ! -s "$out/$flavour.rlog" ] || measure_reprise_reverse "$engine" "$flavour"
        [[ " ${engines[*]} " != *" qemu "* ]] || measure_qemu_replay "$flavour"
    done
}
