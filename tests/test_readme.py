"""What the README says is what the pipeline made.

The committed README is held to the committed results, so that experiments in the working tree,
which change reports/ and params.yaml, do not matter.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from stages.readme import results
from tests.imports import ROOT


def committed(path: str) -> str:
    return subprocess.run(
        ["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


README = committed("README.md")
NUMBERS = json.loads(committed("reports/metrics.json"))


def generated(name: str) -> str:
    found = re.search(
        rf"<!-- {name}: generated -->\n(.*?)\n<!-- {name}: end -->", README, re.DOTALL
    )
    assert found, f"README.md has no part {name}"
    return found[1]


def test_the_table_of_results_is_made_from_the_committed_metrics() -> None:
    params = YAML(typ="safe", pure=True).load(committed("params.yaml"))
    assert generated("results") == results(NUMBERS, params), "make readme"


def test_the_pipeline_is_drawn_as_dvc_draws_it(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    drawn = subprocess.run(
        ["dvc", "dag", "--md"],
        cwd=tmp_path / "clone",
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert generated("pipeline") == drawn.stdout.strip(), "make readme"


def test_the_example_of_metrics_diff_starts_from_the_committed_metrics() -> None:
    rows = re.findall(r"reports/metrics\.json +([\w.]+) +([\d.]+) ", generated("diff"))
    assert len(rows) >= 3
    for key, shown in rows:
        value: object = NUMBERS
        for part in key.split("."):
            assert isinstance(value, dict)
            value = value[part]
        assert float(shown) == value, key


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
