#!/bin/sh
# Builds the example both ways, and runs both: Rust's main with a C producer, and C's main with a Rust consumer.
set -eu
cd "$(dirname "$0")"
target="${CARGO_TARGET_DIR:-../../target/mixed}"
export CARGO_TARGET_DIR="$target"
cargo run --quiet --release
cargo rustc --quiet --release --lib --crate-type staticlib
${CC:-cc} -std=c11 -Wall -Wextra -Werror -O2 -I../../include c/main.c c/producer.c "$target/release/libmixed.a" -pthread -lm -ldl -o "$target/mixed_c"
"$target/mixed_c"
