#!/bin/sh
# Runs the models of the locks under loom, and shows that they find each planted fault. LOOM_MAX_PREEMPTIONS is
# the bound on preemptions: 2 unless given. Fails if a model does, if one takes too long, or if a fault is not found.
set -eu
cd "$(dirname "$0")/.."

export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-2}"
limit="${FORQ_LOOM_SECONDS:-600}"
target="${CARGO_TARGET_DIR:-$PWD/target}/loom"

# The models' program; loom ends it by abort when it finds something, so each run is one of its own.
program=$(RUSTFLAGS="${RUSTFLAGS:-} --cfg loom" cargo test --quiet --release --no-run --message-format json \
    --manifest-path verification/loom/Cargo.toml --target-dir "$target" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -n "$program" ] || { echo "the models did not build"; exit 1; }

echo "models, with at most $LOOM_MAX_PREEMPTIONS preemptions"
timeout "$limit" "$program"

missed=0
find_fault() { # the fault, the model that must fail, and how
    log="$target/$1.log"
    if FORQ_FAULT=$1 timeout "$limit" "$program" --exact "$2" >"$log" 2>&1; then
        echo "planted fault $1: NOT FOUND by $2"
        missed=1
    elif grep -q "$3" "$log"; then
        echo "planted fault $1: found by $2"
    else
        echo "planted fault $1: $2 failed for another reason, see $log"
        missed=1
    fi
}
# A holder that does not see what the last one wrote; one that does not show it.
find_fault relaxed_take mutex::two_threads_count_exactly "Causality violation"
find_fault relaxed_release mutex::two_threads_count_exactly "Causality violation"
# A waiter that falls asleep on what it has not looked at; one that is counted only when the mutex is free; one that
# gives up without looking once more.
find_fault sleeps_unchecked condvar::a_notify_under_the_mutex_reaches_the_waiter deadlock
find_fault arrives_late condvar::a_notify_under_the_mutex_reaches_the_waiter deadlock
find_fault leaves_blindly condvar::a_time_out_uses_up_no_notify_that_comes_at_that_moment deadlock
# All that they hand on, handed on by nothing.
find_fault relaxed_semaphore semaphore::two_threads_share_one_permit "Causality violation"
find_fault relaxed_event event::what_was_written_before_it_was_set_is_seen "Causality violation"
find_fault relaxed_barrier barrier::two_parties_see_what_both_wrote "Causality violation"
# The channel: slots handed over by a position that orders nothing; a side that looks at its gate before its position is seen; a sleeper that
# makes no barrier for both.
find_fault relaxed_position channel::a_ring_of_one_slot_passes_two_messages "Causality violation"
find_fault no_light_barrier channel::a_ring_of_one_slot_passes_two_messages deadlock
find_fault no_heavy_barrier channel::a_ring_of_one_slot_passes_two_messages deadlock
exit $missed
