"""Faults that tests of their subject drive already, in more detail: fault -> the test."""

HELD_BY = {
    "HTTP mirror that answers with an error page and status 200":
        "test_fetch.py::test_a_mirror_that_fails_is_skipped_with_a_reason",
    "no network": "test_fetch.py::test_without_a_network_the_program_names_all_it_tried_and_keeps_"
        "the_old_folder",
    "archive that leaves the folder by a link":
        "test_fetch.py::test_a_link_in_place_of_a_member_is_not_followed",
    "archive that unpacks to more than is known":
        "test_fetch.py::test_a_gzip_bomb_is_refused_at_the_known_size",
    "loss that is no number":
        "test_stages.py::test_a_training_that_cannot_be_is_one_line_and_leaves_the_last_network",
    "last batch of one image":
        "test_efficientnet.py::test_a_last_batch_of_one_image_can_be_trained",
    "AUROC without anomalies":
        "test_stages.py::test_without_anomalies_and_with_few_images_all_that_needs_neither_is_"
        "measured",
    "bad data behind the last good outputs":
        "test_stages.py::test_bad_data_is_one_line_and_leaves_the_last_good_outputs",
    "too many bad files": "test_photos.py::test_too_many_bad_files_end_with_code_3_and_leave_their_"
        "list",
    "interruption of `belong score`":
        "test_scoring.py::test_after_an_interruption_the_tables_are_those_of_a_run_without_one",
    "crash that left half a batch":
        "test_scoring.py::test_half_a_batch_that_a_crash_left_is_scored_again",
    "shut folder": "test_incoming.py::test_a_folder_that_is_shut_is_listed_with_the_reason",
}  # fmt: skip
