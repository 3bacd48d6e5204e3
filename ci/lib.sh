# Shared by the scripts of ci/: messages, packages, folders. Sourced, not run.
# shellcheck shell=bash
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${REPRISE_CACHE:-$repo/.cache}
build=${REPRISE_BUILD:-$repo/build}

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Packages of Debian 12 that the build, the tests and the demo need.
packages_build=(gcc libc6-dev cmake ninja-build make binutils libzydis-dev libzstd-dev libgcrypt20-dev)
packages_guests=(cpio xz-utils zstd)
packages_bench=(gcc-multilib qemu-system-x86 qemu-utils bochs bochsbios vgabios bochs-term libunicorn-dev gnuplot-nox python3 grub-pc-bin
                grub-common xorriso mtools)
packages_test=(libcmocka-dev gdb libunicorn-dev qemu-system-x86 qemu-user bochs bochsbios vgabios bochs-term ovmf grub-pc-bin
               grub-efi-amd64-bin grub-common xorriso mtools acpica-tools man-db gcc-multilib python3 afl++)
packages_metal=(qemu-system-x86 qemu-user ovmf grub-pc-bin grub-efi-amd64-bin grub-common xorriso mtools)

# The reference CPU (ci/bochs).
packages_bochs=(g++ make xz-utils)
packages_proofs=(frama-c-base why3 z3 cvc4 cvc5)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"
    else die "needs root to run: $*"; fi
}

# need_packages NAME...: installs what is missing, and says what.
need_packages() {
    local missing=() p
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    mkdir -p "$cache"
    { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$cache/apt.log" 2>&1 ||
        die "could not install ${missing[*]}: see $cache/apt.log (is there a network, and is this Debian 12?)"
}

# configure_and_build FOLDER TARGETS... -- CMAKE-ARGS...
configure_and_build() {
    local folder=$1 targets=(); shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do targets+=("$1"); shift; done
    [ $# -gt 0 ] && shift
    cmake -G Ninja -S "$repo" -B "$folder" "$@" >"$folder.log" 2>&1 || { tail -n 30 "$folder.log" >&2; die "cmake failed: $folder.log"; }
    cmake --build "$folder" ${targets[@]:+--target "${targets[@]}"} >>"$folder.log" 2>&1 ||
        { grep -E -A8 'error|FAILED' "$folder.log" | head -n 60 >&2; die "the build failed: $folder.log"; }
}
