#!/bin/sh
# The queue with deaths at random: a storm of 10,000 kills, and 100 histories of 10,000 operations that must be those of a first-in
# first-out queue. Then the same with one planted fault at a time (`forq_fault` in src/queue/ring.rs), which must be found.
# FORQ_KILLS and FORQ_HISTORIES set how many. Exits 0 only if all held.
set -eu
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
FORQ_KILLS="${FORQ_KILLS:-10000}" cargo test --quiet --release --test queue_faults
FORQ_HISTORIES="${FORQ_HISTORIES:-100}" cargo test --quiet --release --test queue_histories

missed=0
# The fault is for forq alone, not for what it depends on: a wrapper adds it, one a fault, since what cargo remembers of a build is
# the wrapper's path.
mkdir -p "$target/planted"
here="$(cd "$target/planted" && pwd)"
find_fault() { # the fault, the test that must fail, and how
    RUSTC_WORKSPACE_WRAPPER="$here/$1"
    printf '#!/bin/sh\nexec "$@" --cfg forq_fault=\\"%s\\"\n' "$1" >"$RUSTC_WORKSPACE_WRAPPER"
    chmod +x "$RUSTC_WORKSPACE_WRAPPER"
    export RUSTC_WORKSPACE_WRAPPER
    # A build that fails finds nothing.
    cargo test --quiet --release --test "$2" --no-run
    log="$here/$1.$2.log"
    if cargo test --quiet --release --test "$2" >"$log" 2>&1; then
        echo "planted fault $1: NOT FOUND by $2"
        missed=1
    elif grep -q "$3" "$log"; then
        echo "planted fault $1: found by $2"
    else
        echo "planted fault $1: $2 failed for another reason, see $log"
        missed=1
    fi
}
# Two messages that lie side by side come out the wrong way round, if the second one is there already.
find_fault unordered queue_histories "and got after it"
find_fault unordered queue_faults " after "
# A message is published before it was written.
find_fault early_commit queue_faults torn
exit $missed
