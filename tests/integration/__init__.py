"""Tests with servers, other processes, whole runs, or many examples. Tests that need none of these are in `tests.unit`.

What Call Metrics promises, and where it is tested:

1.  The whole duration: windows of at most 30 minutes cover every stay, without overlaps or gaps.
    tests/unit/planning/test_windows.py::test_windows_cover_a_stay_exactly
    tests/unit/planning/test_due.py::test_expected_windows_neither_overlap_nor_leave_a_gap
    tests/integration/test_flow.py::test_database_has_the_rows_of_the_source_in_every_timestamp_unit
2.  Never fetched twice, never lost: responses land as they came, and a killed run resumes. Tables follow from them.
    tests/unit/landing/test_writer.py::test_writer_lands_what_was_appended_before_an_error
    tests/integration/landing/test_landing.py::test_landing_returns_any_responses_as_they_were
    tests/integration/test_flow.py::test_rebuild_gives_the_same_tables_without_the_source
    tests/integration/cli/test_backfill.py::test_backfill_resumes_after_being_killed
    tests/integration/cli/test_backfill.py::test_backfills_at_the_same_time_share_the_work
    tests/integration/test_backup.py::test_a_copy_taken_during_a_backfill_is_made_whole_by_the_next_one
    tests/integration/test_retention.py::test_a_day_without_raw_responses_stays_what_it_was
3.  The source may forget data, but we keep it: an empty response or a 404 removes nothing.
    tests/unit/tables/test_flatten.py::test_flatten_keeps_points_that_a_later_response_lacks
    tests/integration/test_flow.py::test_data_remains_after_it_expired_at_the_source
    tests/integration/test_flow.py::test_empty_response_after_a_newer_report_removes_nothing
    tests/integration/test_completeness.py::test_404_after_a_newer_report_removes_nothing
4.  Idempotent: a second run changes no table and requests no metrics.
    tests/integration/test_flow.py::test_second_run_requests_no_metrics_and_changes_no_table
    tests/unit/tables/test_flatten.py::test_flatten_gives_the_same_rows_every_time
5.  Fewest requests: one per window of a publisher, at most one for a user who published nothing, urgent calls first.
    tests/integration/test_flow.py::test_run_sends_one_request_per_window
    tests/integration/test_flow.py::test_windows_are_requested_in_the_order_in_which_calls_expire
    tests/integration/test_participant_stats.py::test_livestream_of_5000_viewers_costs_little_more_than_its_listings
6.  Follows the quota: nearly all of it is used, with almost no 429s, and a 429 costs no attempt.
    tests/unit/extract/test_quota.py::test_limiter_uses_the_quota_and_hardly_ever_exceeds_it
    tests/integration/extract/test_quota.py::test_quota_of_a_server_is_hardly_ever_exceeded
    tests/integration/extract/test_quota.py::test_429_is_waited_out_and_does_not_count_as_an_attempt
7.  One bad window does not affect the rest, and wrong credentials stop at once.
    tests/integration/test_flow.py::test_window_that_always_fails_does_not_affect_the_others
    tests/integration/extract/test_client.py::test_wrong_credentials_stop_with_one_request
8.  Completeness is proven: everything that should exist is listed, with its state.
    tests/unit/planning/test_completeness.py::test_window_is_due_until_its_final_response
    tests/unit/tables/test_joins.py::test_window_has_the_state_of_its_best_response
    tests/integration/test_completeness.py::test_every_call_has_a_row_that_says_what_is_stored
    tests/integration/test_flow.py::test_ninety_days_in_one_run_are_complete
9.  Readers and the writer do not block each other, and locks die with their process.
    tests/integration/warehouse/test_publish.py::test_database_that_is_open_for_writing_is_replaced
    tests/integration/cli/test_rebuild.py::test_rebuild_does_not_wait_for_a_reader
    tests/integration/test_files.py::test_lock_dies_with_its_process
    tests/unit/landing/test_days.py::test_steps_of_one_day_run_one_after_the_other
10. Bounded memory, and progress that ends at its total.
    tests/unit/tables/test_rows.py::test_batches_are_whole_stays_of_about_the_given_size
    tests/unit/extract/test_crawl.py::test_progress_starts_at_zero_and_ends_at_its_total
    tests/bench/ingest.py measures memory for a day and for one four times as large
"""
