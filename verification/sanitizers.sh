#!/usr/bin/env bash
# The library itself under sanitizers: one that is not instrumented hides its faults. See verification/README.md.
# Parts may be named: verification/sanitizers.sh c_programs processes threads
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. verification/c_programs.sh
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
target=x86_64-unknown-linux-gnu
built=${CARGO_TARGET_DIR:-target}
# The sanitizers come with the stable compiler, which lets them be used only so.
export RUSTC_BOOTSTRAP=1

step() { printf -- '-- %s\n' "$*"; }

# As verification/hostile.sh builds, and where: what that has built is used. The standard library is as it is shipped.
with_address() {
    CARGO_TARGET_DIR=$built/hostile RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address" CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 "$@" --target $target
}

c_programs() {
    step "AddressSanitizer in library and program, UndefinedBehaviorSanitizer in the program: the C tests and the examples"
    with_address cargo clib --quiet
    # Signals that a task dies of are its own business.
    export ASAN_OPTIONS=handle_segv=0:handle_abort=0 UBSAN_OPTIONS=print_stacktrace=1
    LIBRARY=$built/hostile/$target/release/libforq.a LIMIT=300 RUN=
    COMPILE="clang -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
    # no_malloc replaces malloc, as the sanitizer does.
    without no_malloc | run_programs
}

processes() {
    step "AddressSanitizer: Rust programs of many processes"
    local tests="" name
    for name in channel manager_processes pipe pool process queue segment value; do tests="$tests --test $name"; done
    # shellcheck disable=SC2086
    with_address cargo test --quiet --release $tests >"$WORK/log" 2>&1 || { cat "$WORK/log"; return 1; }
    grep passed "$WORK/log"
}

# Everything is instrumented, std too. Fences it does not know: see verification/README.md. What the kernel writes it does not see: so `two_steps`.
threads() {
    step "ThreadSanitizer: threads over every primitive, and that planted faults are found"
    local program=$built/threads/$target/release/forq-threads fault cases
    CARGO_TARGET_DIR=$built/threads RUSTFLAGS="-Zsanitizer=thread --cfg forq_planted --cfg forq_fault=\"two_steps\"" \
        cargo build --quiet --release -Zbuild-std --target $target --manifest-path verification/threads/Cargo.toml
    export TSAN_OPTIONS=exitcode=66
    FORQ_ROUNDS=30000 timeout 300 "$program"
    while read -r fault cases; do
        local code try
        # Whether the threads meet is chance, above all where they share a processor with others.
        for try in 1 2 3 4 5 6 7 8 9 10; do
            code=0
            FORQ_FAULT=$fault FORQ_ROUNDS=4000 timeout 100 "$program" "$cases" >"$WORK/log" 2>&1 || code=$?
            [ $code = 0 ] || break
        done
        [ $code = 66 ] && grep -q 'WARNING: ThreadSanitizer: data race' "$WORK/log" || { cat "$WORK/log"; printf '%s is not found\n' "$fault"; return 1; }
        printf '%s: found\n' "$fault"
    done <<'FAULTS'
relaxed_take mutex
relaxed_release mutex
relaxed_semaphore semaphore
relaxed_event event
relaxed_barrier barrier
relaxed_position channels
FAULTS
}

all="c_programs processes threads"
for part in ${*:-$all}; do "$part"; done
printf 'sanitizers: all as it should be\n'
