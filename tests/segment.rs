//! What segments promise: to be found whole or not at all, to be refused when they are not what they should be, and to
//! have each object made once.

#[path = "segment/common.rs"]
mod common;
#[path = "segment/foreign.rs"]
mod foreign;
#[path = "segment/making.rs"]
mod making;
#[path = "segment/room.rs"]
mod room;
#[path = "segment/sharing.rs"]
mod sharing;
mod support;

fn main() {
    support::run(&[
        ("an_unrelated_program_finds_what_another_made", making::unrelated),
        ("an_object_is_made_by_exactly_one_of_64_processes", making::race),
        ("objects_have_names_and_sizes_and_an_end", making::objects),
        ("a_maker_of_objects_that_is_killed_leaves_no_half_made_one", making::killed_makers),
        ("a_name_that_is_none_is_refused", making::names),
        ("a_size_that_cannot_be_is_refused", making::sizes),
        ("a_taken_name_stays_who_has_it", making::taken),
        ("unlinked_it_goes_on_for_those_who_have_it", making::unlinked),
        ("what_is_no_segment_is_refused", foreign::hostile),
        ("what_is_no_manager_is_refused", foreign::no_manager),
        ("holes_are_filled_before_use", room::holes),
        ("a_full_file_system_is_an_error_and_no_signal", room::full),
        ("a_manager_in_a_full_file_system_is_an_error_and_no_signal", room::full_manager),
        ("a_creator_killed_at_any_system_call_leaves_a_whole_one_or_none", room::killed_creators),
        ("its_descriptor_is_enough", sharing::by_descriptor),
        ("another_pid_namespace_is_refused", sharing::other_namespace),
        ("what_is_scribbled_over_is_an_error", sharing::scribbled),
        ("nothing_is_left_of_it", sharing::nothing_left),
    ]);
}
