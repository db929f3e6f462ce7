"""docs/evaluate.md: its Python and its shell lines run, and its table is that of the panel."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from belong.commands.main import main
from belong.detectors.panel import PANEL
from belong.detectors.registry import DETECTORS
from reproduction.panel_table import page
from tests.imports import ROOT

PAGE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
N, D, C = 120, 8, 4


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.pipeline
def test_the_python_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = np.arange(N) % C
    features, of_test = (rng.normal(labels[:, None], 1, (N, D)) for _ in range(2))

    def loader(scale: float, n: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(scale * torch.randn(30, 3, 32, 32), torch.arange(30) % C) for _ in range(n)]

    names: dict[str, Any] = {
        "train": loader(1, 4), "test": loader(1, 3), "svhn": loader(3, 1), "features": features,
        "labels": labels, "new": rng.normal(9, 1, (20, D)), "features_of_test": of_test,
    }  # fmt: skip
    classifier, three_lines, own_detector, saved = blocks("python")
    assert len([line for line in classifier.splitlines() if line]) < 20
    exec(classifier, names)  # noqa: S102  (the project's own page)
    result = names["result"]
    assert len(result.panel.detectors) >= 25
    for name in ("scoreboard.csv", "scoreboard.txt", "report.html", "summary.json", "verdicts.csv"):
        assert (tmp_path / "out" / name).is_file(), name
    exec(three_lines, names)  # noqa: S102
    assert names["scores"].shape == (20,)
    exec(own_detector, names)  # noqa: S102
    assert set(names["result"].scoreboard["detector"]) == {"norm", "energy"}
    exec(saved, names)  # noqa: S102
    assert set(names["scores"]) == {"mahalanobis", "feature_knn"}
    assert names["result"].scoreboard["auroc"].max() > 0.99


def test_the_shell_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels, weight = np.arange(N) % C, np.eye(C, D)
    train, test = (rng.normal(2 * weight[labels], 1) for _ in range(2))
    np.savez("train.npz", features=train, labels=labels, weight=weight, bias=np.zeros(C))
    np.savez("test.npz", features=test, labels=labels)
    np.save("svhn.npy", rng.normal(3, 1, (30, D)))
    Path("more").mkdir()
    save_file({"features": rng.normal(0, 5, (30, D))}, "more/noise.safetensors")
    (lines,) = blocks("sh")
    for line in lines.splitlines():
        program, *words = shlex.split(line)
        assert (program, main(words)) == ("belong", 0), line
    assert Path("again/report.html").is_file()


def test_the_table_of_the_detectors_is_that_of_the_panel() -> None:
    assert page(PAGE) == PAGE, "python -m reproduction.panel_table docs/evaluate.md"


def test_the_readme_says_how_many_detectors_there_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f": {len(DETECTORS) + 1} in the pipeline, {len(PANEL)} on\n  [features of your" in readme
