#!/bin/sh
# The crash points must find faults: builds the library with one planted fault at a time (`forq_fault` in src/sync, src/queue, src/channel,
# src/manager and src/pool), and succeeds only if each run reports what is meant: a lost wake-up, an untold death, an account that does not close.
set -eu
cd "$(dirname "$0")/.."

# As in crash_points.sh, so that what forq depends on need not be built again. The fault is for forq alone: a wrapper adds it, one a
# fault, since what cargo remembers of a build is the wrapper's path.
plain="${RUSTFLAGS:-}" flags="${RUSTFLAGS:-} -Clink-arg=-Wl,-z,now --cfg forq_steady"
target="${CARGO_TARGET_DIR:-target}" features="--features capi"
CARGO_PROFILE_RELEASE_DEBUG=line-tables-only
export RUSTFLAGS CARGO_TARGET_DIR
# One finding is enough.
FORQ_CRASH_POINTS_FIRST=1
export CARGO_PROFILE_RELEASE_DEBUG FORQ_CRASH_POINTS FORQ_CRASH_POINTS_FIRST

missed=0
# Says how forq is built next: with which bound on sleeps, or as anybody does; and with which fault.
plant() {
    case $1 in
        long) RUSTFLAGS="$flags --cfg forq_long_sleeps" CARGO_TARGET_DIR="$target/crash_points" ;;
        real) RUSTFLAGS="$flags" CARGO_TARGET_DIR="$target/crash_points_real" ;;
        plain) RUSTFLAGS="$plain" CARGO_TARGET_DIR="$target" ;;
    esac
    mkdir -p "$CARGO_TARGET_DIR/planted"
    here="$(cd "$CARGO_TARGET_DIR/planted" && pwd)"
    RUSTC_WORKSPACE_WRAPPER="$here/$2"
    printf '#!/bin/sh\nexec "$@" --cfg forq_fault=\\"%s\\"\n' "$2" >"$RUSTC_WORKSPACE_WRAPPER"
    chmod +x "$RUSTC_WORKSPACE_WRAPPER"
    export RUSTC_WORKSPACE_WRAPPER
}

# Builds and runs with the fault that was planted: these rows of this test must say so.
find_fault() { # the fault, the test, its rows, what is said
    # A build that fails finds nothing.
    cargo test --quiet --release $features --test "$2" --no-run
    log="$here/$1.log"
    if cargo test --quiet --release $features --test "$2" -- "$3" >"$log" 2>&1; then
        echo "planted fault $1: NOT FOUND"
        missed=1
    elif grep -aE "$4" "$log" | head -n 1 | cut -c 1-200 | grep . ; then
        echo "planted fault $1: found"
    else
        echo "planted fault $1: the run failed for another reason, see $log"
        missed=1
    fi
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
    find_fault "$fault" crash_points "$rows" '^FAILED .*(lost wake-up|untold death|account)'
done

# Those of collections: a declared transaction that nobody does again, or that is no longer declared while it is done again, which
# only a second death shows; a chain of blocks that nobody frees.
FORQ_CRASH_POINTS=collections
for fault in no_replay early_end no_chain; do
    plant long "$fault"
    find_fault "$fault" collections "dict: set, new" '^FAILED .*(account|neither before nor after)'
done

# Those of the pool: a dead worker's items counted twice; its chunk given back to nobody; taken for whole, though it had been cut; a piece
# offered before it is said where it begins; a worker killed on a reading alone. As the tests run by default.
unset FORQ_EVERY FORQ_FROM CARGO_PROFILE_RELEASE_DEBUG
features=""
for fault in counted_twice no_give_back uncut late_place no_condemn; do
    plant plain "$fault"
    case $fault in
        counted_twice) find_fault "$fault" pool_crash_points killed_at_any_instruction_costs_one_item "items are counted twice" ;;
        no_give_back) find_fault "$fault" pool_crash_points killed_at_any_instruction_costs_one_item "never: the job has ended" ;;
        uncut) find_fault "$fault" pool_pieces items_that_fail_in_a_piece "item [0-9]+" ;;
        late_place) find_fault "$fault" pool_crash_points of_a_cut_or_of_taking "item [0-9]+ ran" ;;
        no_condemn) find_fault "$fault" pool_crash_points stopping_an_item "nobody else is" ;;
    esac
done
exit $missed
