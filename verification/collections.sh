#!/bin/sh
# Kills a process at every instruction of every operation of collections: see verification/README.md.
# Usage: verification/collections.sh [part of an operation's name]
# FORQ_CRASH_STRIDE=1 kills whoever recovers after every point, and at every one of its own, not only after every 25th; FORQ_CRASH_FROM=1 begins with another one than the first.
set -eu
cd "$(dirname "$0")"

# As in crash_points.sh.
RUSTFLAGS="${RUSTFLAGS:-} -Clink-arg=-Wl,-z,now --cfg forq_steady --cfg forq_long_sleeps"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-../target}/crash_points"
export RUSTFLAGS CARGO_TARGET_DIR
cargo run --quiet --release --bin collections -- "$@"
