//! What queues promise: capacity, order, time, ends, deaths, memory.

#[path = "queue/ending.rs"]
mod ending;
#[path = "queue/memory.rs"]
mod memory;
#[path = "queue/messages.rs"]
mod messages;
#[path = "queue/people.rs"]
mod people;
mod support;
#[path = "queue/waiting.rs"]
mod waiting;

fn main() {
    support::run(&[
        ("a_queue_holds_exactly_its_capacity", messages::exact_capacity),
        ("counts_go_on_where_they_wrap", messages::wrapping),
        ("a_million_messages_fit_where_so_many_were_asked_for", messages::large_capacity),
        ("what_cannot_be_is_refused", messages::refused_arguments),
        ("a_message_has_any_length_up_to_the_limit", messages::sizes),
        ("what_does_not_fit_is_refused_and_stays", messages::too_large),
        ("what_one_producer_puts_comes_out_in_its_order", messages::order),
        ("every_message_of_many_producers_reaches_one_of_many_consumers", messages::crowd),
        ("large_messages_are_never_torn_by_many", messages::torn),
        ("batches_are_taken_whole_or_as_far_as_there_is_room", messages::batches),
        ("a_batch_waits_for_room_and_a_taker_for_its_first_message", messages::waiting_batches),
        ("batches_of_several_producers_do_not_mix_while_there_is_room", messages::unmixed_batches),
        ("statistics_are_exact", messages::statistics),
        ("time_limits_end_waits_and_not_too_early", waiting::time_limits),
        ("the_put_after_the_last_waits_until_one_is_taken", waiting::full),
        ("a_sleeping_consumer_is_woken_by_a_put", waiting::woken_by_put),
        ("a_sleeping_producer_is_woken_by_a_get", waiting::woken_by_get),
        ("each_put_wakes_one_of_many_sleepers", waiting::woken_one_by_one),
        ("an_uncontended_use_makes_no_system_call", waiting::no_system_call),
        ("a_wait_ends_by_a_signal_only_if_the_thread_asked_for_it", waiting::interrupted),
        ("threads_that_are_to_be_interrupted_are_woken_too", waiting::listening_threads),
        ("a_call_in_a_signal_handler_is_told_of_a_deadlock", waiting::handler),
        ("a_stopped_idle_consumer_stops_nobody", people::stopped_consumer),
        ("a_stopped_idle_producer_stops_nobody", people::stopped_producer),
        ("those_behind_a_stopped_consumer_are_woken", people::behind_a_stopped_consumer),
        ("those_behind_a_stopped_producer_are_woken", people::behind_a_stopped_producer),
        ("a_leader_killed_in_its_sleep_is_followed", people::killed_leader),
        ("a_follower_killed_in_its_sleep_takes_no_wake_up_along", people::killed_follower),
        ("killed_sleepers_of_both_sides_leave_nothing_behind", people::killed_one_after_the_other),
        ("sleepers_that_gave_up_leave_nothing_behind", people::gave_up),
        ("children_of_children_use_it", people::generations),
        ("threads_and_processes_share_it", people::threads),
        ("a_close_tells_all_who_wait", ending::told),
        ("what_is_left_comes_out_after_a_close", ending::left),
        ("a_close_ends_a_batch_and_tells_how_far_it_came", ending::closed_batch),
        ("no_message_is_lost_to_a_close", ending::close_in_a_crowd),
        ("a_join_waits_until_all_is_done", ending::join),
        ("no_more_is_done_than_was_put", ending::overflow),
        ("a_task_whose_consumer_died_stays_unfinished", ending::dead_consumer),
        ("joiners_of_several_processes_are_all_woken", ending::joiners),
        ("a_queue_in_the_caller_s_memory_is_found_at_any_address", memory::two_addresses),
        ("memory_in_which_no_queue_can_be_is_refused", memory::refused),
        ("any_bytes_in_memory_are_a_queue_or_refused", memory::arbitrary),
        ("dropping_a_queue_unmaps_it", memory::dropped),
        ("a_queue_that_was_moved_is_the_same", memory::moved),
    ]);
}
