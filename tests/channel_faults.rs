//! What channels promise about deaths, stops, forks, and memory that others write to.

#[path = "channel_faults/common.rs"]
mod common;
#[path = "channel_faults/dead.rs"]
mod dead;
#[path = "channel_faults/storm.rs"]
mod storm;
mod support;

use std::time::Duration;

/// So long who waits for a dead process's dead::successor waits for it.
const GRACE: Duration = Duration::from_millis(500);

fn main() {
    support::run(&[
        ("who_waits_for_a_dead_producer_is_told_after_what_is_left", dead::dead_producer),
        ("who_waits_for_a_dead_consumer_is_told_and_the_messages_stay", dead::dead_consumer),
        ("a_successor_that_comes_in_time_is_not_noticed", dead::successor),
        ("an_end_that_was_dropped_where_it_was_used_is_gone", dead::dropped_end),
        ("a_process_that_only_has_copies_is_nobody", dead::mere_copies),
        ("a_producer_killed_inside_a_message_leaves_nothing_of_it", dead::killed_in_place),
        ("a_second_process_on_a_side_is_refused_while_the_first_is_in_a_call", dead::refused_second),
        ("a_side_goes_from_process_to_process_between_calls", dead::handed_over),
        ("what_was_lent_to_a_parent_is_nothing_in_its_child", dead::lent_and_forked),
        ("a_stopped_process_stops_only_itself", dead::stopped),
        ("two_processes_that_keep_putting_each_other_to_sleep_lose_no_wake_up", dead::ping_pong),
        ("where_the_kernel_refuses_barriers_nobody_is_forgotten", dead::refused_barriers),
        ("a_storm_of_kills_hangs_nobody_and_every_account_closes", storm::storm),
        ("whatever_others_write_there_is_an_error_and_no_crash", storm::hostile),
        ("any_bytes_left_there_are_an_error_or_a_message", storm::garbage),
    ]);
}
