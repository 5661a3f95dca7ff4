#!/bin/sh
# The crash points must find faults: builds the library with one planted fault at a time (`forq_fault` in src/sync, src/queue, src/channel
# and src/manager), and succeeds only if each run reports a lost wake-up, an untold death, an account that does not close, or a collection that is
# neither as before nor as after.
set -eu
cd "$(dirname "$0")"

# As in crash_points.sh, so that what forq depends on is built once.
flags="${RUSTFLAGS:-} -Clink-arg=-Wl,-z,now --cfg forq_steady"
FORQ_REAL_BOUND=also
# One finding is enough.
FORQ_CRASH_POINTS_FIRST=1
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-../target}/crash_points"
export RUSTFLAGS CARGO_TARGET_DIR FORQ_REAL_BOUND FORQ_CRASH_POINTS_FIRST
logs=$CARGO_TARGET_DIR/planted
mkdir -p "$logs"

missed=0
find_fault() { # the fault, the program that must fail, in which rows, and how; further flags
    RUSTFLAGS="$flags --cfg forq_fault=\"$1\" $5"
    # A build that fails finds nothing.
    cargo build --quiet --release --bin "$2"
    log=$logs/$1.log
    if "$CARGO_TARGET_DIR/release/$2" "$3" >"$log" 2>&1; then
        echo "planted fault $1: NOT FOUND"
        missed=1
    elif grep -aE "^FAILED .*($4)" "$log" | head -n 1 | cut -c 1-200 | grep . ; then
        echo "planted fault $1: found"
    else
        echo "planted fault $1: the run failed for another reason, see $log"
        missed=1
    fi
}

# Twice no_will: the channel's wills are others.
long="--cfg forq_long_sleeps"
for fault in no_pending late_pending no_will channel:no_will two_steps early_claim no_heir early_step no_pass_on early_commit no_accept; do
    # The rows that come to it, where it is late in the table; and the build.
    rows="" bound=$long
    case $fault in
        no_will) rows=semaphore ;;
        two_steps) rows=event ;;
        channel:* | early_commit | no_accept) rows="channel of" ;;
        early_claim) rows=condvar ;;
        no_heir) rows=condvar bound= ;;
        early_step | no_pass_on) rows="queue of" ;;
    esac
    find_fault "${fault#channel:}" crash_points "$rows" "lost wake-up|untold death|account" "$bound"
done

# Those of collections: a declared transaction that nobody does again, or that is no longer declared while it is done again, which
# only a second death shows; a chain of blocks that nobody frees.
for fault in no_replay early_end no_chain; do
    find_fault $fault collections "dict: set, new" "account|neither before nor after" "$long"
done
exit $missed
