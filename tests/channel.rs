//! What channels promise to Rust programs: order, capacity, sizes, time, closing, places in the ring.

#[path = "channel/common.rs"]
mod common;
#[path = "channel/ends.rs"]
mod ends;
#[path = "channel/messages.rs"]
mod messages;
mod support;
#[path = "channel/waiting.rs"]
mod waiting;

use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(20);

fn main() {
    support::run(&[
        ("what_cannot_be_is_refused_at_once", messages::refused_arguments),
        ("the_capacity_is_exact_and_a_value_that_finds_no_room_comes_back", messages::exact_capacity),
        ("values_come_out_in_order_in_rings_of_any_size_also_where_laps_wrap", messages::order),
        ("a_ring_of_a_million_passes_its_laps", messages::a_million),
        ("messages_of_all_sizes_keep_their_bytes_and_their_sizes", messages::sizes),
        ("an_empty_message_is_a_message", messages::empty_message),
        ("a_message_that_does_not_fit_stays", messages::too_small),
        ("slots_are_aligned_for_what_fits_in_them", messages::alignment),
        ("a_message_written_in_place_is_read_in_place", messages::in_place),
        ("a_slot_or_a_message_that_is_dropped_changes_nothing", messages::dropped),
        ("time_limits_end_calls_and_not_too_early", waiting::time_limits),
        ("who_sleeps_for_a_message_is_woken_by_a_put", waiting::consumer_woken),
        ("who_sleeps_for_room_is_woken_by_a_get", waiting::producer_woken),
        ("without_waiting_no_system_call_is_made", waiting::no_system_call),
        ("a_closed_channel_gives_what_is_left_then_says_so", waiting::closed),
        ("closing_wakes_who_sleeps_on_either_side", waiting::close_wakes),
        ("a_put_that_returned_before_a_close_is_got_and_one_that_failed_is_not", waiting::close_races),
        ("a_signal_ends_a_wait_only_if_the_thread_asked_for_it", ends::interrupted),
        ("two_threads_of_a_process_may_be_the_two_sides", ends::threads),
        ("the_ends_may_go_from_thread_to_thread", ends::moved_ends),
        ("channels_leave_nothing_behind", ends::no_leaks),
    ]);
}
