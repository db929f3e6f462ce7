"""The stages of dvc.yaml without DVC: the same programs, in the same order, on the same words."""

from pathlib import Path

import pytest

from belong.runtime.errors import InputError
from stages.sequence import Step, run_steps, steps_to
from tests.imports import ROOT

PIPELINE = ROOT / "dvc.yaml"


def names(*targets: str) -> list[str]:
    return [step.name for step in steps_to(targets, PIPELINE)]


def test_only_what_a_target_needs_is_run_in_the_order_of_the_file() -> None:
    assert names("split") == ["pack", "split"]
    assert names("fit_mahalanobis") == [
        "pack", "split", "derive", "backbone", "embed", "train", "train_autoencoder", "extract",
        "fit_mahalanobis",
    ]  # fmt: skip


def test_two_targets_share_what_both_need() -> None:
    both = names("train_head", "fit_mahalanobis")
    assert both == [*names("fit_mahalanobis"), "train_head"]


def test_a_stage_gets_the_words_of_its_command_with_the_folder_before_them(tmp_path: Path) -> None:
    (derive,) = [step for step in steps_to(["derive"], PIPELINE) if step.name == "derive"]
    assert derive.words == ("params.yaml", "data/images.safetensors", "data/derived.safetensors")
    assert derive.outputs == {"data/derived.safetensors"}
    told: list[Step] = []
    with pytest.raises(InputError, match=f"{tmp_path}/data/images.safetensors: no such file"):
        run_steps([derive], ROOT / "params.yaml", PIPELINE, tmp_path, before=told.append)
    assert told == [derive]


def test_a_stage_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InputError, match="has no stage trian"):
        steps_to(["trian"], PIPELINE)


def test_the_installed_files_are_the_projects_own() -> None:
    for name, own in (("pipeline.yaml", "dvc.yaml"), ("defaults.yaml", "params.yaml")):
        assert (ROOT / "stages" / name).resolve() == ROOT / own
