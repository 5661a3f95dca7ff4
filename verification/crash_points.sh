#!/bin/sh
# Kills a process at every instruction of the operations of mutex, semaphore, event and barrier: see verification/README.md.
# Usage: verification/crash_points.sh [part of an operation's or context's name]
# Exits 0 only if it ran and everything held.
set -eu
cd "$(dirname "$0")/.."

# Sleeps bounded by 60 s, so that the bound hides no lost wake-up; all symbols bound at the start, so
# that the dynamic linker is not stepped through. The release profile: the code that users get, here
# with line numbers for reports.
RUSTFLAGS="${RUSTFLAGS:-} --cfg forq_long_sleeps -Clink-arg=-Wl,-z,now"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/crash_points"
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
# A run that is skipped fails.
FORQ_CRASH_POINTS=required
export RUSTFLAGS CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_DEBUG FORQ_CRASH_POINTS

exec cargo test --quiet --release --test crash_points -- "$@"
