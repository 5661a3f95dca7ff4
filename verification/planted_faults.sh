#!/bin/sh
# The crash points must find faults: builds the library with one planted fault at a time (`forq_fault`
# in src/sync, src/queue and src/channel), and succeeds only if each run reports a lost wake-up, an untold death or an account that does not close.
set -eu
cd "$(dirname "$0")/.."

# As in crash_points.sh, so that what forq depends on need not be built again. The fault is for forq alone: a wrapper adds it, one a
# fault, since what cargo remembers of a build is the wrapper's path.
flags="${RUSTFLAGS:-} -Clink-arg=-Wl,-z,now --cfg forq_steady"
target="${CARGO_TARGET_DIR:-target}"
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
export RUSTFLAGS CARGO_TARGET_DIR
# One finding is enough.
FORQ_CRASH_POINTS_FIRST=1
export CARGO_PROFILE_RELEASE_DEBUG FORQ_CRASH_POINTS FORQ_CRASH_POINTS_FIRST

missed=0
# Says how forq is built next: with which bound on sleeps, and with which fault.
plant() {
    if [ "$1" = long ]; then
        RUSTFLAGS="$flags --cfg forq_long_sleeps"
        CARGO_TARGET_DIR="$target/crash_points"
    else
        RUSTFLAGS="$flags"
        CARGO_TARGET_DIR="$target/crash_points_real"
    fi
    mkdir -p "$CARGO_TARGET_DIR/planted"
    here="$(cd "$CARGO_TARGET_DIR/planted" && pwd)"
    RUSTC_WORKSPACE_WRAPPER="$here/$2"
    printf '#!/bin/sh\nexec "$@" --cfg forq_fault=\\"%s\\"\n' "$2" >"$RUSTC_WORKSPACE_WRAPPER"
    chmod +x "$RUSTC_WORKSPACE_WRAPPER"
    export RUSTC_WORKSPACE_WRAPPER
}

# Twice no_will: the channel's wills are others.
for fault in no_pending late_pending no_will channel:no_will two_steps early_claim no_heir early_step no_pass_on early_commit no_accept; do
    # The rows that come to it, where it is late in the table; and the build.
    rows="" FORQ_CRASH_POINTS=long
    case $fault in
        channel:* | early_commit | no_accept) rows="channel of" fault="${fault#channel:}" ;;
        early_claim) rows=condvar ;;
        no_heir) rows=condvar FORQ_CRASH_POINTS=real ;;
        early_step | no_pass_on) rows="queue of" ;;
    esac
    plant "$FORQ_CRASH_POINTS" "$fault"
    # A build that fails finds nothing.
    cargo test --quiet --release --features capi --test crash_points --no-run
    log="$here/$fault.log"
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

# Those of collections: a declared transaction that nobody does again, or that is no longer declared while it is done again, which
# only a second death shows; a chain of blocks that nobody frees.
FORQ_CRASH_POINTS=collections
for fault in no_replay early_end no_chain; do
    plant long "$fault"
    cargo test --quiet --release --features capi --test collections --no-run
    log="$here/$fault.log"
    if cargo test --quiet --release --features capi --test collections -- "dict: set, new" >"$log" 2>&1; then
        echo "planted fault $fault: NOT FOUND"
        missed=1
    elif grep -aE '^FAILED .*(account|neither before nor after)' "$log" | head -n 1 | cut -c 1-200 | grep . ; then
        echo "planted fault $fault: found"
    else
        echo "planted fault $fault: the run failed for another reason, see $log"
        missed=1
    fi
done
exit $missed
