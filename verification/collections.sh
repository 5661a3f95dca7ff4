#!/bin/sh
# Kills a process at every instruction of every operation of collections: see verification/README.md.
# Usage: verification/collections.sh [part of an operation's name]
# FORQ_CRASH_STRIDE=1 kills whoever recovers after every point, and at every one of its own, not only after every 25th; FORQ_CRASH_FROM=1 begins with another one than the first.
set -eu
cd "$(dirname "$0")/.."

# The code that users get; and sleeps bounded by 60 s, so that the bound hides no death that was not told.
RUSTFLAGS="${RUSTFLAGS:-} -Clink-arg=-Wl,-z,now --cfg forq_steady --cfg forq_long_sleeps"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/crash_points"
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
FORQ_CRASH_POINTS=collections
export RUSTFLAGS CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_DEBUG FORQ_CRASH_POINTS
cargo test --quiet --release --features capi --test collections -- "$@"
