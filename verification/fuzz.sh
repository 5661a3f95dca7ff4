#!/bin/sh
# Fuzzes what arbitrary bytes in shared memory do, under AddressSanitizer: see verification/README.md.
# Usage: verification/fuzz.sh [seconds for each target, 60 if not given]
# What is found is left in verification/fuzz/artifacts; inputs that reach more code come to the kept corpus with FORQ_FUZZ_KEEP=1.
set -eu
cd "$(dirname "$0")/fuzz"
seconds="${1:-60}"

machine="$(uname -m)"
if [ "$machine" != x86_64 ]; then
    echo "not run: set up for x86_64 only"
    exit 0
fi
# As cargo-fuzz does it; the sanitizer comes with stable compilers, but asking for it does not.
RUSTC_BOOTSTRAP=1
RUSTFLAGS="-Zsanitizer=address --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-../../target}/fuzz"
export RUSTC_BOOTSTRAP RUSTFLAGS CARGO_TARGET_DIR
cargo build --quiet --release --target "$machine-unknown-linux-gnu"

for target in open scribbled_manager scribbled_segment; do
    echo "fuzzing $target for $seconds s"
    mkdir -p "corpus/$target" "artifacts/$target"
    work="$(mktemp -d)"
    log="$(mktemp)"
    # New inputs go to the first directory.
    if ! "$CARGO_TARGET_DIR/$machine-unknown-linux-gnu/release/$target" -max_total_time="$seconds" -timeout=20 \
        -max_len=4096 -print_final_stats=1 -artifact_prefix="artifacts/$target/" "$work" "corpus/$target" >"$log" 2>&1; then
        tail -n 60 "$log"
        exit 1
    fi
    grep -E "stat::number_of_executed_units|DONE" "$log" || true
    if [ "${FORQ_FUZZ_KEEP:-0}" = 1 ]; then
        "$CARGO_TARGET_DIR/$machine-unknown-linux-gnu/release/$target" -merge=1 "corpus/$target" "$work" >/dev/null 2>&1
    fi
    rm -rf "$work" "$log"
done
