#!/bin/sh
# Lets a stranger write into a queue, and into a channel, while it is used, and finds queues in arbitrary bytes, under AddressSanitizer: no
# call reads or writes where it must not. FORQ_SECONDS: for how long each (20 unless given). Exits 0 only if all held.
set -eu
cd "$(dirname "$0")/.."

target=x86_64-unknown-linux-gnu
# The sanitizer comes with the stable compiler, which lets it be used only so. The standard library is as it is shipped: it
# touches no shared memory.
RUSTC_BOOTSTRAP=1
RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/hostile"
CARGO_PROFILE_RELEASE_LTO=off
CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
FORQ_SECONDS="${FORQ_SECONDS:-20}"
export RUSTC_BOOTSTRAP RUSTFLAGS CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_LTO CARGO_PROFILE_RELEASE_CODEGEN_UNITS FORQ_SECONDS

cargo test --quiet --release --target "$target" --test queue_hostile
cargo test --quiet --release --target "$target" --test queue -- any_bytes_in_memory
cargo test --quiet --release --target "$target" --test channel_hostile
cargo test --quiet --release --target "$target" --test channel_faults -- any_bytes_left_there
