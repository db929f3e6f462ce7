"""Faults that tests of their subject drive already, in more detail: fault -> the test."""

HELD_BY = {
    "archive that leaves the folder by a link":
        "data/test_download.py::test_a_link_in_place_of_a_member_is_not_followed",
    "archive that unpacks to more than is known":
        "data/test_download.py::test_a_gzip_bomb_is_refused_at_the_known_size",
    "last batch of one image, in a network with batch normalization":
        "models/test_backbones.py::test_a_last_batch_of_one_image_can_be_trained",
    "bad data behind the last good outputs":
        "pipeline/test_stages.py::test_bad_data_is_one_line_and_leaves_the_last_good_outputs",
    "too many bad files": "pipeline/test_photos.py::test_too_many_bad_files_end_with_code_3_and_leave_their_list",
    "interruption of `belong score`":
        "prediction/test_batch_prediction.py::test_after_an_interruption_the_tables_are_those_of_a_run_without_one",
    "crash that left half a batch":
        "prediction/test_batch_prediction.py::test_half_a_batch_that_a_crash_left_is_scored_again",
    "kill of a stage, and of DVC":
        "pipeline/test_pipeline.py::test_after_a_kill_of_a_stage_or_of_dvc_the_same_command_gives_the_same_bytes",
    "dvc.lock cut off, for make":
        "commands/test_repair.py::test_a_lock_that_dvc_refuses_is_brought_back_as_it_was_committed",
    "kill of `belong score`":
        "pipeline/test_pipeline.py::test_a_scoring_that_was_killed_goes_on_and_gives_the_same_bytes",
    "kill of a grid's worker":
        "pipeline/test_grid_driver.py::test_a_cell_whose_worker_is_killed_is_a_failure_of_that_cell_alone",
    "kill of a training after any epoch":
        "models/test_resuming.py::test_a_training_killed_after_every_epoch_gives_the_bytes_of_one_that_was_not",
    "stage that outlives DVC":
        "runtime/test_process_lock.py::test_a_stage_ends_when_the_program_that_started_it_is_killed",
    "two stages at once into one output":
        "runtime/test_process_lock.py::test_three_stages_at_once_write_one_after_the_other",
    "two grids at once":
        "pipeline/test_grid_driver.py::test_a_second_driver_is_refused_while_one_is_at_work",
    "git that knows nobody, in the grid":
        "pipeline/test_grid_driver.py::test_each_cell_is_an_experiment_and_a_row",
    "disk full, of 16 KiB": "robustness/test_bad_uploads.py::test_a_full_disk_is_one_line_and_with_room_the_same_command_ends_as_if_it_had_not_been",
    "class that may not be read":
        "robustness/test_bad_uploads.py::test_a_class_that_may_not_be_read_stops_a_training_in_one_line",
    "what DVC's cache does not hold completely, and what restores it":
        "commands/test_verify.py::test_what_does_not_match_is_named_with_its_stage_and_what_mends_it",
    "shut folder": "data/test_file_discovery.py::test_a_folder_that_is_shut_is_listed_with_the_reason",
    "kill at any change of the disk: score, watch, export, check, clean, fit":
        "robustness/test_crashes.py::test_after_a_kill_at_any_change_of_the_disk_the_same_command_gives_the_same_bytes",
    "power failure after a command: score, watch, export, check, clean, fit":
        "robustness/test_crashes.py::test_a_power_failure_after_a_command_leaves_all_that_it_has_written",
    "two names that are printed alike, in the gallery":
        "robustness/test_attacks.py::test_beside_each_verdict_of_the_gallery_stands_its_own_picture",
    "two names that are printed alike, in a stream":
        "robustness/test_attacks.py::test_the_times_of_a_stream_are_those_of_its_own_images",
    "one file named twice":
        "robustness/test_attacks.py::test_a_file_that_is_named_twice_has_two_rows",
    "link out of an upload: to a folder, a file, or /":
        "robustness/test_attacks.py::test_a_link_out_of_an_upload_is_told_and_not_followed",
    "link inside of an upload":
        "robustness/test_attacks.py::test_a_link_inside_of_the_folder_is_followed",
    "folder 1,100 levels deep":
        "robustness/test_attacks.py::test_a_folder_may_be_deeper_than_python_calls_functions",
    "lock that is a link, a hard link, or a file of the person's":
        "robustness/test_attacks.py::test_a_lock_writes_over_no_file",
    "lock that is a pipe":
        "robustness/test_attacks.py::test_a_pipe_is_refused_as_a_lock",
    "lock that a killed process of another user left":
        "robustness/test_attacks.py::test_the_lock_that_a_killed_process_of_another_user_left_is_taken_over",
    "hidden folders of the person's own":
        "robustness/test_attacks.py::test_hidden_folders_of_a_persons_own_stay",
    "`.unfinished` that is a link":
        "robustness/test_attacks.py::test_the_folder_of_an_unfinished_run_is_no_link",
    "link under a temporary name":
        "robustness/test_attacks.py::test_links_in_the_place_of_temporary_names_are_removed_and_not_followed",
    "another run before the gallery is written":
        "robustness/test_attacks.py::test_the_gallery_is_written_before_another_run_has_its_turn",
    "pipe, device or hole where a small file is read":
        "robustness/test_attacks.py::test_pipes_devices_and_endless_files_are_not_read",
    "pipes named as IDX files":
        "robustness/test_attacks.py::test_pipes_named_as_idx_files_are_refused",
    "summary.json that is a pipe":
        "robustness/test_attacks.py::test_a_summary_that_is_a_pipe_is_no_summary",
    "control sequences in names, printed":
        "robustness/test_attacks.py::test_a_command_prints_no_control_sequence_of_a_name",
    "control sequences in names, in tables":
        "robustness/test_attacks.py::test_names_do_nothing_to_a_terminal_and_tables_keep_them",
    "standard streams that are closed":
        "robustness/test_attacks.py::test_a_command_works_where_standard_streams_are_closed",
    "alpha of 5e-324, and 10^400 calibration images":
        "robustness/test_attacks.py::test_absurd_numbers_are_refused",
    "damaged model beside a dvc.lock":
        "robustness/test_attacks.py::test_the_model_of_a_folder_is_verified_beside_a_lock_file_too",
    "model from another person: 47 changes of its facts and arrays":
        "prediction/test_hostile_models.py::test_it_is_refused_in_one_line_and_takes_no_memory",
    "model from another person: a file that is a hole of 1 TiB":
        "prediction/test_hostile_models.py::test_a_file_that_claims_more_than_any_model_has_is_not_read",
    "isolation forest that is no forest":
        "prediction/test_hostile_models.py::test_arrays_that_form_no_tree_are_refused",
    "score that is NaN or infinite":
        "prediction/test_hostile_models.py::test_no_score_that_is_not_finite_belongs",
    "score that is NaN, of a member of `combined`":
        "prediction/test_hostile_models.py::test_to_combined_a_score_that_is_not_finite_is_more_surprising_than_any",
    "score that is NaN, of a calibration image":
        "prediction/test_hostile_models.py::test_calibration_scores_that_are_no_numbers_are_refused",
    "detector that fails behind its trial":
        "prediction/test_hostile_models.py::test_a_score_that_is_no_number_is_told_as_the_largest_one_and_rejected",
    "classes called none and all":
        "data/test_dataset.py::test_a_class_that_is_called_as_a_keyword_is_chosen_by_a_list",
    "class called 01, in params.yaml":
        "data/test_dataset.py::test_a_name_that_yaml_takes_for_a_number_is_never_another_class",
}  # fmt: skip
