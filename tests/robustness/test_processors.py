"""Every processor computes the same bytes: here and on an emulated one of another maker."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from belong.runtime.errors import InputError
from belong.runtime.portable_math import FAST
from tests.imports import ROOT
from tests.robustness.processors import __main__ as program
from tests.robustness.processors.emulation import (
    HASWELL,
    ROME,
    Processor,
    Run,
    check_emulator,
    compared,
    native,
)
from tests.robustness.processors.page import broken, page

PAGE = ROOT / "reports" / "processors.md"
OWN = replace(HASWELL, name="own", is_emulated=False)
CHOSEN_CODE = {"torch": "AVX2", "NumPy": "X86_V3", "OpenBLAS": "Haswell", "C library": "glibc"}


def a_run(processor: Processor, digests: dict[str, str]) -> Run:
    return Run(processor, CHOSEN_CODE, {"train": 1.0}, digests)


def rows() -> list[list[str]]:
    """Return the cells of the page's table of processes."""
    table = PAGE.read_text(encoding="utf-8").partition("| --- |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[1:]]


def test_an_emulated_processor_of_another_maker_gives_the_bytes_of_this_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        check_emulator()
    except InputError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    assert program.main([str(tmp_path / "page.md"), "--short"]) == 0, capfd.readouterr().err
    assert "| emulated | portable | 1 |" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_the_documented_processors_are_four_and_more_of_two_makers_and_differ_in_nothing() -> None:
    portable = [row for row in rows() if row[3:5] == ["portable", "1"]]
    emulated = [row for row in portable if row[2] == "emulated"]
    assert len(emulated) >= 4
    assert {"Intel", "AMD"} <= {maker for _, maker, *_ in emulated}
    assert {row[7] for row in portable} == {"none"}
    assert min(int(row[6]) for row in portable) > 500


def test_the_documented_comparison_sees_the_differences_of_fast_math() -> None:
    fast = [row for row in rows() if row[3] == "fast"]
    assert fast
    assert all(int(row[7]) > 0 for row in fast)


def test_outputs_that_differ_or_are_missing_are_named() -> None:
    first = a_run(OWN, {"scores: a": "1", "scores: b": "2"})
    other = a_run(ROME, {"scores: a": "3"})
    lines = broken([first, other])
    assert lines == ["EPYC-Rome-v2: scores: a", "EPYC-Rome-v2: scores: b"]
    text = page([first, other], "10.0")
    assert "| scores | 2 | **no**, scores: a, scores: b |" in text


@pytest.mark.parametrize(
    ("processor", "name"),
    [
        (replace(ROME, math=FAST), "scores"),
        (replace(ROME, threads=2), "scores"),
        (ROME, "avoided.safetensors: torch.sqrt/float32"),
        (ROME, "onnx.safetensors: score"),
    ],
)
def test_outputs_that_are_not_promised_may_differ(processor: Processor, name: str) -> None:
    assert broken([a_run(OWN, {name: "1"}), a_run(processor, {name: "2"})]) == []


@pytest.mark.parametrize(("maker", "other"), [("AMD", HASWELL), ("Intel", ROME)])
def test_the_short_form_takes_a_processor_of_another_maker(maker: str, other: Processor) -> None:
    native_processor = replace(OWN, maker=maker)
    assert compared(native_processor, is_short=True) == [native_processor, other]


def test_this_machines_processor_has_a_maker() -> None:
    assert native().maker in {"Intel", "AMD", "Hygon"}


def test_a_machine_without_the_emulator_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match=r"is not installed; `apt-get install qemu-user`"):
        check_emulator()


def test_an_emulator_that_sorts_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(words: Sequence[str], **_: object) -> "subprocess.CompletedProcess[str]":
        output = "qemu-x86_64 version 7.2.22" if "--version" in words else ""
        return subprocess.CompletedProcess(words, "-cpu" in words, output)

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", answer)
    with pytest.raises(InputError, match=r"^qemu-x86_64 7\.2\.22 computes AVX2's gathers wrongly"):
        check_emulator()


def test_belong_uses_no_operation_that_the_page_calls_not_portable() -> None:
    """Those that a name shows: MKL's functions, distances by products, Adam without `fused`."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "belong").rglob("*.py"))
    calls = re.findall(r"torch\.(?:sqrt|acos|asin|atan)\(|\.(?:sqrt|acos|asin|atan)_?\(\)", sources)
    assert calls == []
    exact = 'compute_mode="donot_use_mm_for_euclid_dist"'
    assert sources.count("torch.cdist(") == sources.count(exact) > 0
    optimizers = [
        line for line in sources.splitlines() if re.search(r"(Adam|AdamW|RMSprop)\)?\(", line)
    ]
    assert optimizers
    assert all("fused=True" in line for line in optimizers)
