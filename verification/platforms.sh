#!/usr/bin/env bash
# The C library for machines other than this one, in the hands of the C tests and examples: i686, which runs here, and aarch64, which qemu-user runs.
# See docs/c.md. Needs what .ci/run installs. Parts may be named: verification/platforms.sh i686 aarch64
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. verification/c_programs.sh
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
# What a crashing task leaves is nobody's.
ulimit -c 0

step() { printf -- '-- %s\n' "$*"; }

i686() {
    step "i686: no lock is known to the kernel, deaths are found by looking"
    local target=i686-unknown-linux-gnu libc=/usr/i686-linux-gnu/lib
    CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER=i686-linux-gnu-gcc cargo clib --quiet --target $target --target-dir target/platforms
    LIBRARY=target/platforms/$target/release/libforq.a LIMIT=300 RUN=
    COMPILE="i686-linux-gnu-gcc -O2 -Wl,--dynamic-linker=$libc/ld-linux.so.2 -Wl,-rpath,$libc"
    all_programs | run_programs
    looked
}

aarch64() {
    step "aarch64 under qemu-user: no forked child can be told by a wiped page, no lock is known to the kernel"
    local target=aarch64-unknown-linux-gnu
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        cargo clib --quiet --target $target --target-dir target/platforms --no-default-features -- --cfg forq_panic_handler
    LIBRARY=target/platforms/$target/release/libforq.a LIMIT=400
    # qemu-user keeps a record of each page of a pool's arena, 7 MB of them for each GB, which each fork copies: a limit on addresses
    # keeps arenas small. It executes no program of its own kind: execl.c has it executed with that (the example segment).
    RUN="prlimit --as=4294967296 qemu-aarch64 -L /usr/aarch64-linux-gnu"
    COMPILE="aarch64-linux-gnu-gcc -O2 -DEMULATED=1 -Wl,--wrap=execl verification/platforms/execl.c"
    all_programs | run_programs
    looked
}

# verification/c_library/looked.c says so of every machine that lacks robust lists.
looked() {
    $COMPILE -std=c11 -Wall -Wextra -Werror -Iinclude verification/c_library/looked.c "$LIBRARY" -pthread -o "$WORK/looked"
    $RUN "$WORK/looked"
}

all="i686 aarch64"
for part in ${*:-$all}; do "$part"; done
printf 'platforms: all as it should be\n'
