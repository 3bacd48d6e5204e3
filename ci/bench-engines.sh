# How ci/bench runs each engine. Sourced by it; uses its variables images, out, reprise, cache, repo, scale.
# shellcheck shell=bash disable=SC2154

# Reprise's engines by the name of their column, and the options that choose them.
declare -A reprise_options=()
engines=() # every column but native, in order

# add_reprise NAME OPTIONS
add_reprise() {
    engines+=("$1")
    reprise_options[$1]=$2
}

# What this build offers: every engine of `reprise list`, and where `run --help` has an option for the translator's
# way to memory, each of its ways.
find_reprise_engines() {
    local engine ways
    ways=$("$reprise" run --help |
        grep -oE -- '--[a-z-]+ ([a-z]+\|)*(table\|([a-z]+\|)*window|window\|([a-z]+\|)*table)' || true)
    for engine in $("$reprise" list | sed -n '/^Engines/,/^$/s/^  \([^ ]*\) .*/\1/p'); do
        if [ "$engine" = bochs ]; then # the reference's processor, for comparisons of states; Bochs itself has a column
            continue
        elif [[ $engine == interp-* ]]; then # the interpreter over parts of the translator, to test these
            absent "$engine" "it is for tests; --engine $engine='--engine $engine' adds it"
        elif [ "$engine" = sbe ] && [ -n "$ways" ]; then
            add_reprise sbe-table "--engine sbe ${ways%% *} table"
            add_reprise sbe-window "--engine sbe ${ways%% *} window"
        else
            add_reprise "$engine" "--engine $engine"
        fi
    done
}

# The other engines: those that are installed.
find_other_engines() {
    if command -v qemu-system-x86_64 >/dev/null; then engines+=(qemu qemu-icount); else absent qemu "not installed"; fi
    if [ -x "$images/bench-unicorn" ]; then engines+=(unicorn); else absent unicorn "its library is not installed"; fi
    if command -v bochs-bin >/dev/null; then engines+=(bochs); else absent bochs "not installed"; fi
}

# can ENGINE hot|events|linux 32|64: whether this makes sense at all. Unicorn has no devices; a window is for
# addresses of 32 bits; a kernel without a 32-bit code segment was named by find_native.
can() {
    case $1,$2,$3 in
        unicorn,events,*|unicorn,linux,*|native,events,*|native,linux,*) return 1 ;;
        sbe-window,*,64) return 1 ;;
        bochs,linux,32) [ -n "$bochs_linux" ] ;;
        bochs,linux,64) return 1 ;; # no goal asks for it, and it takes long
        *) return 0 ;;
    esac
}

# stopwatch SECONDS COMMAND...: standard error goes to a file that a failure shows.
stopwatch() { "$images/bench-stopwatch" "$@" </dev/null 2>"$out/stderr"; }

qemu=(qemu-system-x86_64 -accel tcg -display none -net none -no-reboot -serial stdio)
qemu_icount=(-icount "shift=0,sleep=off")
debug_exit=(-device "isa-debug-exit,iobase=0xf4,iosize=4")

# run_reprise ENGINE SECONDS OPTIONS...
run_reprise() {
    local options engine=$1 seconds=$2; shift 2
    read -ra options <<<"${reprise_options[$engine]}"
    stopwatch "$seconds" "$reprise" run "${options[@]}" "$@"
}

# run_image ENGINE SECONDS IMAGE "COMMAND LINE": a guest of guests/bench.
run_image() {
    local engine=$1 seconds=$2 image=$images/$3
    case $engine in
        qemu) stopwatch "$seconds" "${qemu[@]}" "${debug_exit[@]}" -cpu max -m 64M -kernel "$image.elf" -append "$4" ;;
        qemu-icount) stopwatch "$seconds" "${qemu[@]}" "${qemu_icount[@]}" "${debug_exit[@]}" -cpu max -m 64M \
            -kernel "$image.elf" -append "$4" ;;
        bochs) run_bochs "$seconds" "$image.disk" "$4" ;;
        *) run_reprise "$engine" "$seconds" --kernel "$image.elf" --append "$4" -m 64M --debug-exit \
            --debug-console none ;;
    esac
}

# run_kernel ENGINE BITS ITERATIONS NAME: a kernel of guests/bench, wherever it can run.
run_kernel() {
    case $1 in
        native) stopwatch 600 "$images/bench-native$2" "$images/kernels$2.bin" "$3" "$4" ;;
        x32) stopwatch 600 "$images/bench-native64" "$images/kernelsx32.bin" "$3" "$4" ;;
        unicorn) stopwatch 600 "$images/bench-unicorn" "$images/kernels$2.bin" "$3" "$4" ;;
        *) run_image "$1" 600 "bench$2" "n=$3 $4" ;;
    esac
}

# start_bochs SECONDS BOCHSRC: in $out/bochs. Debian's Bochs always has its debugger, which waits for a command; COM1
# is file descriptor 3, the screen goes to a file. Its exit code tells nothing: its last words do, of its shutdown
# port or of ACPI.
start_bochs() {
    echo c >"$out/bochs/continue"
    # shellcheck disable=SC2016 # the inner shell expands it
    stopwatch "$1" env -C "$out/bochs" TERM=xterm \
        sh -c 'exec bochs-bin -q -f "$0" -rc continue 3>&1 >screen 2>&1' "$2" | sed '/^whole/s/ [^ ]*$/ 0/' || return
    grep -qE "soft power off|shutdown requested" "$out/bochs/screen"
}

# run_bochs SECONDS DISK "COMMAND LINE": it boots the image from a disk, and the command line stands in the image.
run_bochs() {
    local at
    rm -rf "$out/bochs"
    mkdir -p "$out/bochs"
    cp "$2" "$out/bochs/disk"
    at=$(grep -obUa 'command line is:' "$out/bochs/disk" | cut -d: -f1)
    printf '%s\0' "$3" | dd of="$out/bochs/disk" bs=1 seek=$((at + 16)) conv=notrunc status=none
    start_bochs "$1" "$repo/guests/bench/bochsrc"
}

# The initial RAM disk of a Debian guest, with guest-bench as /bench: the kernel unpacks one archive after the other.
make_initrd() {
    local root=$out/initrd
    mkdir -p "$root"
    cp "$repo/ci/guest-bench" "$root/bench"
    (cd "$root" && echo bench | cpio --quiet -o -H newc -R 0:0 | gzip -9n) |
        cat "$cache/guests/$1/initrd" - >"$out/initrd-$1"
}

# run_linux ENGINE FLAVOUR
run_linux() {
    local kernel=$cache/guests/$2/vmlinuz initrd=$out/initrd-$2 append="console=ttyS0 rdinit=/bench bench.scale=$scale"
    local boot=(-m 512 -kernel "$kernel" -initrd "$initrd" -append "$append")
    case $1 in
        qemu) stopwatch 1200 "${qemu[@]}" "${boot[@]}" ;;
        qemu-icount) stopwatch 1200 "${qemu[@]}" "${qemu_icount[@]}" "${boot[@]}" ;;
        bochs) run_bochs_linux "$kernel" "$initrd" "$append" ;;
        *) run_reprise "$1" 1800 --kernel "$kernel" --initrd "$initrd" --append "$append" -m 512M \
            --stats "$out/stats.json" ;;
    esac
}

# run_bochs_linux KERNEL INITRD "COMMAND LINE": Bochs has no boot protocol for kernels, so GRUB on a CD does it.
run_bochs_linux() {
    local folder=$out/bochs
    rm -rf "$folder"
    mkdir -p "$folder/cd/boot/grub"
    cp "$1" "$folder/cd/boot/vmlinuz"
    cp "$2" "$folder/cd/boot/initrd"
    printf 'set timeout=0\nmenuentry debian {\nlinux /boot/vmlinuz %s\ninitrd /boot/initrd\n}\n' "$3" \
        >"$folder/cd/boot/grub/grub.cfg"
    grub-mkrescue -o "$folder/cd.iso" "$folder/cd" >"$out/stderr" 2>&1 || return
    sed -e 's/^memory:.*/memory: guest=512, host=512/; s/^boot:.*/boot: cdrom/' \
        -e 's/^ata0-master:.*/ata0-master: type=cdrom, path=cd.iso, status=inserted/' \
        -e 's/^panic:.*/panic: action=report/; s/ignore_bad_msrs=0/ignore_bad_msrs=1/' \
        "$repo/guests/bench/bochsrc" >"$folder/bochsrc"
    start_bochs 7200 bochsrc
}
