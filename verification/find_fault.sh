# Sourced: a planted fault (`forq_fault`) that a test program must find. It is for forq alone, not for what it depends on: a wrapper of the compiler
# adds it, one a fault, since what cargo remembers of a build is the wrapper's path.
planted="${CARGO_TARGET_DIR:-target}/planted"
mkdir -p "$planted"
planted="$(cd "$planted" && pwd)"
missed=0

find_fault() { # the fault, the test that must fail, what it says then, and a part of its cases' names
    RUSTC_WORKSPACE_WRAPPER="$planted/$1"
    printf '#!/bin/sh\nexec "$@" --cfg forq_fault=\\"%s\\"\n' "$1" >"$RUSTC_WORKSPACE_WRAPPER"
    chmod +x "$RUSTC_WORKSPACE_WRAPPER"
    export RUSTC_WORKSPACE_WRAPPER
    # A build that fails finds nothing.
    cargo test --quiet --release --test "$2" --no-run
    log="$planted/$1.$2.log"
    # Where kills are random, whether one meets it is chance.
    passed=0
    while [ $passed -lt 3 ] && cargo test --quiet --release --test "$2" -- "${4:-}" >"$log" 2>&1; do passed=$((passed + 1)); done
    if [ $passed = 3 ]; then
        echo "planted fault $1: NOT FOUND by $2"
        missed=1
    elif grep -aqE "$3" "$log"; then
        echo "planted fault $1: found by $2"
    else
        echo "planted fault $1: $2 failed for another reason, see $log"
        missed=1
    fi
    unset RUSTC_WORKSPACE_WRAPPER
}
