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
    "what DVC's cache does not hold whole, and what mends it":
        "commands/test_verify.py::test_what_does_not_match_is_named_with_its_stage_and_what_mends_it",
    "shut folder": "data/test_file_discovery.py::test_a_folder_that_is_shut_is_listed_with_the_reason",
}  # fmt: skip
