#!/bin/sh
# Kills a process at every instruction of the operations of all primitives: see verification/README.md.
# Usage: verification/crash_points.sh [part of an operation's or context's name]
# FORQ_REAL_BOUND=0: without what is left to the bound on sleeps; 1: only that. Exits 0 only if what was asked for ran and held.
set -eu
cd "$(dirname "$0")"

# All symbols bound at the start, so that the dynamic linker is not stepped through.
flags="${RUSTFLAGS:-} -Clink-arg=-Wl,-z,now --cfg forq_steady"
FORQ_REAL_BOUND="${FORQ_REAL_BOUND:-also}"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-../target}/crash_points"
export RUSTFLAGS CARGO_TARGET_DIR FORQ_REAL_BOUND

run() {
    cargo run --quiet --release --bin crash_points -- "$@"
}

# Sleeps bounded by 60 s, so that the bound hides no lost wake-up.
if [ "$FORQ_REAL_BOUND" != 1 ]; then
    RUSTFLAGS="$flags --cfg forq_long_sleeps"
    run "$@"
fi

# The real bound: the contexts in which something is left to it, and what begins when it passes. A filter may match none of these.
if [ "$FORQ_REAL_BOUND" != 0 ]; then
    RUSTFLAGS="$flags"
    run "$@"
fi
