//! The suite every store must pass: each case is a sentence, driven through the trait alone. A store's tests give it a
//! way to make a fresh [`Fixture`] and call [`store_suite!`](crate::store_suite).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is test code: it may fail loudly")]
#![allow(missing_docs, reason = "the cases' names are sentences")]

pub mod batches;
pub mod claims;
pub mod endings;
pub mod family;
mod kit;
pub mod letters;
pub mod limits;
pub mod losses;
pub mod memos;
pub mod operations;
pub mod ownership;
pub mod schedules;
pub mod views;
pub mod waits;

use std::sync::Arc;
use std::time::Duration;

use stent_core::{Store, Timestamp};

/// A fresh, empty store under test, and what a test moves around it. Dropping it cleans up.
pub trait Fixture {
    /// The store, as the process under test has it. The same handle each time.
    fn store(&self) -> Arc<dyn Store>;

    /// Another handle on the same database, as another process has it. The same handle each time; that of
    /// [`store`](Self::store) itself where there can be no other process, as for a database in memory.
    fn second(&self) -> Arc<dyn Store>;

    /// Moves the store's wall clock on, for all handles. Real time may pass as well, unless the clock is frozen.
    fn advance(&self, by: Duration);

    /// Freezes the store's wall clock at this time, for all handles: it moves by [`advance`](Self::advance) and by this
    /// alone from here on.
    fn set_clock(&self, now: Timestamp);
}

/// Lists the cases of each group once: for the macro that makes tests of them, and to be counted.
macro_rules! suite {
    ($d:tt $($group:ident { $($case:ident)* })*) => {
        /// Expands to one `#[test]` for each case of the suite. The argument makes a fresh [`Fixture`](suite::Fixture):
        /// a function or a closure without arguments.
        #[macro_export]
        macro_rules! store_suite {
            ($d make:expr) => {
                $($(
                    #[test]
                    fn $case() {
                        let fixture = ($d make)();
                        $d crate::suite::$group::$case(&fixture);
                    }
                )*)*
            };
        }

        /// The cases, by name.
        pub const CASES: &[&str] = &[$($(stringify!($case)),*),*];
    };
}

suite! { $
    ownership {
        a_late_write_after_a_take_over_is_refused_and_changes_nothing
        an_earlier_or_later_epoch_is_refused
        a_task_that_is_not_there_has_no_lease
        a_closed_session_is_refused_everything
        a_session_id_is_taken_once_even_after_it_closed
        what_never_was_a_session_is_gone
        an_ended_task_tells_its_last_owner_how_it_ended
        an_orderly_close_gives_tasks_back_without_a_loss
        a_dead_session_is_seen_by_others_and_a_living_one_is_not
        a_silent_session_is_gone_whatever_the_wall_clock_says
        a_stopped_task_nudges_its_owner_until_it_heeds
    }
    losses {
        a_loss_is_charged_and_the_task_resumes_before_new_ones
        a_session_taken_over_in_part_stays_gone_until_nothing_is_left
        losses_without_progress_add_up_and_progress_clears_them
        the_last_loss_is_a_dead_letter
        the_last_loss_of_a_root_takes_its_children_with_it
        only_a_named_suspect_is_charged
        a_suspect_that_is_cleared_is_charged_like_any_other
        a_retry_clears_losses
        a_suspended_task_is_nobodys_loss
        a_take_over_disowns_what_others_have_ended
    }
    claims {
        a_start_shows_as_pending_and_runs_once_claimed
        a_task_comes_with_all_it_was_started_with
        a_known_id_is_refused_and_a_known_key_answers_the_earlier_execution
        a_start_is_claimed_at_once_only_if_it_may_be
        resuming_comes_first_then_priority_then_age
        age_counts_across_routes
        a_worker_takes_only_what_it_serves
        a_claim_hands_out_at_most_what_was_asked_for
        two_that_claim_at_the_same_time_get_each_task_once
        a_delayed_task_is_not_claimed_early_and_its_time_is_told
        a_due_task_of_others_is_promoted_and_keeps_its_rank
        what_is_promoted_by_hand_is_ready_before_its_time_and_nothing_later_is
        a_suspended_task_resumes_when_its_first_wait_is_due
        a_paused_queue_is_passed_by_until_it_goes_on
        queues_are_listed_and_dropped_when_nothing_lies_in_them
    }
    waits {
        a_signal_before_the_wait_is_there
        a_signal_wakes_a_running_task_which_then_finds_it
        a_signal_and_a_suspension_wake_the_task_in_both_orders
        an_event_and_a_suspension_wake_the_task_in_both_orders
        ten_signals_go_to_ten_waits_in_order
        a_later_wait_does_not_take_an_earlier_waits_signal
        names_have_lines_of_their_own
        a_signal_for_an_abandoned_wait_goes_to_the_next_which_is_woken
        a_wait_whose_time_is_over_leaves_the_line_too
        a_returned_signal_comes_before_later_ones
        signals_to_nobody_and_to_the_ended_are_refused
        a_waiter_that_starts_days_later_gets_every_event_in_order
        an_event_once_had_is_not_had_again_after_a_retry
        old_events_are_pruned_and_later_ones_stay
        a_timer_fires_when_due_and_not_before
        a_time_that_has_passed_is_over_at_once
        what_came_beats_a_time_that_has_passed
        a_place_that_is_taken_refuses_a_delivery_and_keeps_what_came
        an_abandoned_wait_is_forgotten
        the_record_is_what_the_wait_said_it_would_be
    }
    family {
        a_child_is_queued_once_whoever_asks_again
        a_child_in_place_is_in_its_parents_sessions_hands
        a_childs_end_and_its_parents_suspension_wake_the_parent_in_both_orders
        an_end_delivers_itself_to_a_parent_that_is_held
        an_end_that_cannot_be_delivered_wakes_the_parent
        a_child_in_place_may_bring_its_start_with_its_end
        a_refused_start_refuses_the_end_it_came_with
        a_child_that_is_not_there_cannot_be_awaited
        a_cancelled_child_is_a_failure_of_its_parents
        a_parents_end_cancels_all_that_lies_below_it
        an_execution_that_is_cancelled_while_it_starts_children_leaves_none_alive
        a_roots_end_ends_its_execution_and_every_task_of_it
        an_unknown_task_cannot_be_cancelled
        a_wait_for_a_child_may_be_over_before_the_child
        a_retry_of_the_parent_lets_its_children_go_on
    }
    endings {
        a_retry_is_a_new_attempt_and_a_new_run_of_the_same_task
        a_retry_is_not_claimed_early_and_has_no_precedence
        a_result_clears_the_failure_that_was_shown
        a_release_charges_nothing_and_resumes_first
        a_terminal_state_never_changes
        an_expiry_times_out_the_execution_with_all_its_tasks
        a_start_that_comes_too_late_is_cancelled_and_one_in_time_is_not
        a_run_that_takes_too_long_counts_from_the_first_claim
        the_earlier_of_two_deadlines_decides_and_a_tie_times_out
        a_result_after_the_deadline_is_refused_and_ends_the_execution
        the_overdue_are_swept_oldest_deadline_first
        a_delayed_start_can_expire_before_it_is_due
    }
    letters {
        a_replayed_root_goes_on_with_what_it_has_recorded
        a_replay_keeps_the_attempt_unless_it_is_reset_and_may_change_the_queue
        what_has_no_letter_cannot_be_replayed
        a_discarded_letter_leaves_the_task_as_it_is
        a_child_whose_root_failed_too_is_replayed_through_it
        a_child_whose_parent_had_its_failure_runs_by_itself
        a_child_whose_parent_has_not_looked_yet_is_its_child_as_before
        a_replayed_child_still_ends_with_its_ancestors
        a_replayed_root_brings_back_what_was_cancelled_with_it
        a_replayed_root_may_reset_the_attempts_below_it_and_changes_no_queue_but_its_own
        a_replayed_root_leaves_what_ended_before_it
        a_replayed_root_leaves_cancelled_what_its_parent_had_an_end_of
        letters_are_listed_newest_first
    }
    limits {
        a_function_runs_no_more_tasks_than_its_limit
        a_claim_tells_which_of_its_functions_are_limited
        a_start_of_a_limited_function_is_never_claimed_at_once
        a_task_keeps_its_slot_while_it_waits_and_resumes_though_its_function_is_full
        every_end_of_an_attempt_lets_its_slot_go
        the_end_of_an_ancestor_lets_slots_go
        the_last_loss_lets_the_slot_go
        a_task_that_others_ended_holds_its_slot_until_its_owner_heeds
        a_replay_takes_the_slot_of_what_was_cancelled_and_not_heeded
        a_replay_takes_the_slot_of_what_was_put_away_and_not_heeded
        a_replayed_letter_needs_a_slot_like_any_other
        the_replay_of_what_was_put_away_lets_go_of_the_slot_that_its_owner_has_not_heeded
        the_smallest_limit_counts_and_a_lowered_one_lets_nothing_new_begin_above_it
        what_is_claimed_under_no_limit_holds_no_slot
        slots_go_by_rank_and_age_whatever_the_route_and_nobody_else_waits
        those_that_hold_slots_are_claimed_among_those_that_get_one
        a_slot_changes_hands_within_one_batch
        a_child_that_is_in_its_parents_hands_at_once_takes_no_slot
        limits_outlive_no_session_that_published_them
    }
    memos {
        a_settled_key_starts_a_task_as_one_that_has_ended
        falsey_results_are_hits_like_any_other
        a_child_that_hits_is_told_as_ended_and_its_parent_finds_it
        a_task_with_a_memo_starts_in_nobodys_hands
        a_result_that_is_kept_by_hand_is_a_hit_and_takes_no_key_from_anybody
        a_key_stays_with_the_task_that_has_reserved_it
        whoever_comes_while_the_holder_runs_waits_and_gets_its_result
        a_childs_hit_wakes_its_parent
        a_holder_that_ends_without_a_result_hands_the_key_to_the_oldest_who_waits
        an_ancestors_end_hands_the_key_on_too
        a_key_that_nobody_waits_for_is_free_after_a_failure_and_reserved_anew_by_a_replay
        a_waiter_that_ends_leaves_the_line
        an_ancestor_that_holds_the_key_is_named_and_nothing_changes
        a_mark_that_a_waiter_has_does_not_keep_it_from_waiting
        a_result_without_a_reservation_settles_nothing
        a_cached_result_is_a_hit_until_its_time_is_over
        with_both_options_a_key_has_one_result_for_ever
        the_cache_is_cleared_and_pruned_and_keys_stay
        a_full_cache_is_cleared_and_pruned_in_bounded_parts
        reservations_settle_and_pass_on_within_one_batch
        a_hit_after_the_deadline_is_refused_and_ends_the_execution
    }
    batches {
        a_record_comes_back_as_it_was_written
        a_place_is_taken_once
        two_of_a_kind_in_one_batch_both_count
        one_batch_can_hold_a_whole_life
        one_bad_command_in_a_batch_is_refused_alone
        hostile_payloads_and_names_round_trip_exactly
        counters_add_and_state_is_set_within_their_execution
        a_dispatch_is_recorded_with_its_execution_and_never_claimed_at_once
        a_signal_and_an_emit_from_within_arrive
        a_refused_effect_is_a_recorded_failure_and_changes_nothing
        an_empty_batch_is_nothing
        a_large_batch_of_one_task_keeps_its_order
    }
    operations {
        what_ended_long_ago_is_deleted_with_all_that_belongs_to_it
        a_start_key_outlives_its_execution
        what_runs_waits_or_is_still_named_by_its_owner_is_not_deleted
        a_dead_letter_keeps_its_execution_until_it_is_cleaned_or_discarded
        letters_are_cleaned_oldest_first_a_bounded_number_at_once
        a_cleaning_command_looks_at_a_bounded_number_and_says_where_to_go_on
        an_execution_larger_than_one_command_goes_in_parts_its_root_last
        two_that_clean_at_the_same_time_delete_each_execution_once
        a_task_put_away_by_hand_is_a_letter_and_its_owner_is_told
        a_waiting_task_can_be_put_away_and_its_parent_gets_the_failure
        baggage_changes_from_outside_and_from_inside_alike
        two_adds_in_one_batch_and_adds_of_many_at_once_all_count
        counts_are_exact_by_queue_and_state
        progress_is_read_off_tasks_and_steps
    }
    schedules {
        a_schedule_that_says_the_same_already_is_left_as_it_is
        a_change_of_what_is_started_keeps_the_ticks_that_are_owed
        a_tick_starts_what_is_due_and_moves_the_schedule_on
        a_tick_never_comes_early
        of_two_ticks_of_one_time_one_starts_anything
        two_processes_that_tick_at_the_same_time_start_each_tick_once
        a_tick_of_what_was_changed_meanwhile_does_nothing
        a_tick_whose_id_is_known_starts_nothing_and_stays_due
        a_skipped_tick_starts_nothing
        a_schedule_that_rests_is_not_due_and_owes_nothing_when_it_goes_on
        the_next_schedules_come_in_order_of_their_time
        what_a_schedule_started_outlives_it
        a_change_of_schedules_is_news_to_workers
    }
    views {
        executions_are_listed_newest_first_by_state_and_queue
        of_many_executions_those_are_told_that_ended_or_are_unknown
        an_unknown_id_shows_nothing
        a_task_is_found_by_its_id_alone
        sessions_and_what_they_publish_are_listed_while_they_are_open
        a_watcher_learns_of_what_another_process_commits
        what_one_process_committed_the_other_sees_and_goes_on_with
        closing_is_safe_to_repeat
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_that_is_written_is_listed() {
        let sources = [
            include_str!("batches.rs"),
            include_str!("claims.rs"),
            include_str!("endings.rs"),
            include_str!("family.rs"),
            include_str!("letters.rs"),
            include_str!("limits.rs"),
            include_str!("losses.rs"),
            include_str!("memos.rs"),
            include_str!("operations.rs"),
            include_str!("ownership.rs"),
            include_str!("schedules.rs"),
            include_str!("views.rs"),
            include_str!("waits.rs"),
        ];
        let written = sources.iter().flat_map(|source| source.lines()).filter_map(|line| line.strip_prefix("pub fn "));
        let mut written: Vec<_> = written.filter_map(|line| line.split('(').next()).collect();
        let mut listed = super::CASES.to_vec();
        written.sort_unstable();
        listed.sort_unstable();
        assert_eq!(written, listed);
    }
}
