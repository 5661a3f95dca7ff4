#!/bin/sh
# The crash points must find faults: builds the library with one planted fault at a time (`forq_fault`
# in src/sync and src/queue), and succeeds only if each run reports a lost wake-up, an untold death or an account that does not close.
set -eu
cd "$(dirname "$0")/.."

flags="${RUSTFLAGS:-} --cfg forq_long_sleeps -Clink-arg=-Wl,-z,now"
target="${CARGO_TARGET_DIR:-target}"
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
FORQ_CRASH_POINTS=long
# One finding is enough.
FORQ_CRASH_POINTS_FIRST=1
export CARGO_PROFILE_RELEASE_DEBUG FORQ_CRASH_POINTS FORQ_CRASH_POINTS_FIRST

missed=0
for fault in no_pending late_pending no_will two_steps early_claim early_step no_pass_on; do
    RUSTFLAGS="$flags --cfg forq_fault=\"$fault\""
    CARGO_TARGET_DIR="$target/planted_$fault"
    export RUSTFLAGS CARGO_TARGET_DIR
    # The rows that come to it, where it is late in the table.
    rows=""
    case $fault in
        early_claim) rows=condvar ;;
        early_step | no_pass_on) rows="queue of" ;;
    esac
    # A build that fails finds nothing.
    cargo test --quiet --release --features capi --test crash_points --no-run
    log="$CARGO_TARGET_DIR/crash_points.log"
    if cargo test --quiet --release --features capi --test crash_points -- "$rows" >"$log" 2>&1; then
        echo "planted fault $fault: NOT FOUND"
        missed=1
    elif grep -E '^FAILED .*(lost wake-up|untold death|account)' "$log" | head -n 1 | grep . ; then
        echo "planted fault $fault: found"
    else
        echo "planted fault $fault: the run failed for another reason, see $log"
        missed=1
    fi
done
exit $missed
