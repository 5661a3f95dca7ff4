//! What pipes promise to Rust programs.

#[path = "pipe/descriptors.rs"]
mod descriptors;
#[path = "pipe/ends.rs"]
mod ends;
#[path = "pipe/messages.rs"]
mod messages;
mod support;
#[path = "pipe/writers.rs"]
mod writers;

use std::time::Duration;

const INLINE: usize = 64 << 10;
const MEBIBYTE: usize = 1 << 20;
const MOMENT: Duration = Duration::from_millis(20);

fn main() {
    support::run(&[
        ("messages_keep_their_boundaries_and_their_bytes", messages::boundaries),
        ("a_child_answers_messages_of_all_sizes", messages::echo),
        ("an_empty_message_is_not_the_end", messages::empty_message),
        ("the_wrong_direction_is_refused", messages::one_way),
        ("a_message_that_does_not_fit_stays", messages::too_small),
        ("time_limits_end_calls_and_nothing_was_sent_or_taken", messages::time_limits),
        ("a_full_pipe_takes_messages_again_once_there_is_room", messages::full),
        ("slow_receivers_hold_senders_of_large_messages_up", messages::bounded_memory),
        ("messages_of_several_writers_are_not_torn", writers::several_writers),
        ("a_killed_sender_s_message_is_whole_or_not_there", writers::killed_senders),
        ("killed_receivers_leave_the_rest_to_the_others", writers::killed_receivers),
        ("receivers_that_share_an_end_get_each_message_once", writers::shared_end),
        ("what_was_sent_before_the_end_arrives_before_it", ends::pending_then_end),
        ("sending_to_nobody_is_an_error_and_no_signal", ends::no_sigpipe),
        ("the_death_of_the_other_process_ends_the_stream", ends::killed_peer),
        ("siblings_do_not_keep_the_ends_open", ends::siblings),
        ("a_pool_forked_in_between_does_not_keep_the_ends_open", ends::pool_in_between),
        ("a_sibling_s_copy_of_an_end_says_that_the_other_is_gone", ends::captured_end),
        ("threads_may_spawn_piped_children_at_the_same_time", ends::spawning_threads),
        ("a_child_with_a_pipe_is_refused_beside_threads", ends::beside_threads),
        ("children_of_plain_forks_have_copies", ends::plain_fork),
        ("descriptors_arrive_in_their_turn_and_close_on_exec", descriptors::descriptors),
        ("without_room_for_a_descriptor_the_message_stays", descriptors::no_descriptor_left),
        ("a_limit_on_file_sizes_is_an_error_and_no_signal", descriptors::file_size_limit),
        ("poll_tells_messages_and_the_end", descriptors::polling),
        ("waiting_for_many_tells_which_are_ready", descriptors::waiting),
        ("a_packet_that_forq_did_not_make_is_refused", descriptors::foreign_packets),
        ("read_and_write_take_and_send_messages", descriptors::read_and_write),
        ("an_interruptible_thread_is_told_of_signals", descriptors::interrupted),
        ("thousands_of_listed_ends_are_found_again", descriptors::many_ends),
        ("pipes_leave_nothing_behind", descriptors::no_leaks),
    ]);
}
