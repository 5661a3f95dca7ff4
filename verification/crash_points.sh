#!/bin/sh
# Kills a process at every instruction of the operations of all primitives: see verification/README.md.
# Usage: verification/crash_points.sh [part of an operation's or context's name]
# FORQ_REAL_BOUND=0: without what is left to the bound on sleeps; 1: only that. Exits 0 only if what was asked for ran and held.
set -eu
cd "$(dirname "$0")/.."

# All symbols bound at the start, so that the dynamic linker is not stepped through. The release profile: the code that
# users get, here with line numbers for reports. The C face, for what only it has: the lock without owner.
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
flags="${RUSTFLAGS:-} -Clink-arg=-Wl,-z,now --cfg forq_steady"
target="${CARGO_TARGET_DIR:-target}"
export CARGO_PROFILE_RELEASE_DEBUG RUSTFLAGS CARGO_TARGET_DIR FORQ_CRASH_POINTS

run() {
    cargo test --quiet --release --features capi --test crash_points -- "$@"
}

# Sleeps bounded by 60 s, so that the bound hides no lost wake-up.
if [ "${FORQ_REAL_BOUND:-also}" != 1 ]; then
    RUSTFLAGS="$flags --cfg forq_long_sleeps"
    CARGO_TARGET_DIR="$target/crash_points"
    FORQ_CRASH_POINTS=long
    run "$@"
fi

# The real bound: the contexts in which something is left to it, and what begins when it passes. A filter may match none of these.
if [ "${FORQ_REAL_BOUND:-also}" != 0 ]; then
    RUSTFLAGS="$flags"
    CARGO_TARGET_DIR="$target/crash_points_real"
    FORQ_CRASH_POINTS=real
    FORQ_REAL_BOUND="${FORQ_REAL_BOUND:-also}"
    export FORQ_REAL_BOUND
    run "$@"
fi
