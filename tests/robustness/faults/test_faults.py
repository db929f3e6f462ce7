"""Every fault is answered as promised; nothing is lost, nothing half written, no trace shown."""

import ast
from pathlib import Path

import pytest

from tests.imports import ROOT
from tests.robustness.faults.elsewhere import HELD_BY
from tests.robustness.faults.fault import Answer, Fault, answer_to
from tests.robustness.faults.table import FAULTS, GROUPS, markdown
from tests.small_bundle import make_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_answered_as_promised(name: str, model: Path, tmp_path: Path) -> None:
    fault = FAULTS[name]
    answer = answer_to(fault, tmp_path, model)
    assert answer.keeps(fault), answer
    assert answer.lost_files == []
    assert answer.left_files == []


@pytest.mark.parametrize("name", HELD_BY)
def test_the_test_that_holds_a_fault_is_there(name: str) -> None:
    file, _, test = HELD_BY[name].partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_fault_stands_twice() -> None:
    assert len(FAULTS) == sum(map(len, GROUPS.values()))


def test_the_committed_table_is_that_of_these_faults_all_kept() -> None:
    answers = [
        (fault, Answer(fault.code, "", fault.says, lost_files=[], left_files=[]))
        for fault in FAULTS.values()
    ]
    committed = (ROOT / "reports" / "faults.md").read_text(encoding="utf-8")
    assert markdown(answers) == committed, "python -m tests.robustness.faults reports/faults.md"


@pytest.mark.parametrize(
    ("code", "output", "message"),
    [(0, "", "right"), (2, "", "wrong"), (2, "Traceback (most recent call last)", "right")],
)
def test_another_code_other_words_or_a_trace_break_a_promise(
    code: int, output: str, message: str
) -> None:
    fault = Fault("any", lambda _folder, _model: [], "right", 2)
    assert not Answer(code, output, message, lost_files=[], left_files=[]).keeps(fault)
    assert Answer(2, "", "right", lost_files=[], left_files=[]).keeps(fault)
