"""All faults, and the table of what was answered."""

from collections.abc import Sequence

import pandas as pd

from tests.robustness.faults import (
    data_sets,
    features,
    images,
    machine,
    models,
    network,
    params,
    pipeline,
    training,
)
from tests.robustness.faults.elsewhere import HELD_BY
from tests.robustness.faults.fault import Answer, Fault

GROUPS = {
    "uploads": images.FAULTS,
    "data sets": data_sets.FAULTS,
    "features": features.FAULTS,
    "training": training.FAULTS,
    "parameters": params.FAULTS,
    "models": models.FAULTS,
    "pipeline": pipeline.FAULTS,
    "network": network.FAULTS,
    "machine": machine.FAULTS,
}
FAULTS = {fault.name: fault for group in GROUPS.values() for fault in group}


def rows(answers: Sequence[tuple[Fault, Answer]]) -> pd.DataFrame:
    """Return a row for each fault that was driven, and for each that another test holds."""
    groups = {fault.name: name for name, group in GROUPS.items() for fault in group}
    driven = [
        {
            "group": groups[fault.name],
            "fault": fault.name,
            "promised": fault.promise,
            "answered as promised": answer.keeps(fault),
            "files lost": len(answer.lost),
            "files left": len(answer.left),
            "stack traces": int(answer.shows_a_trace),
        }
        for fault, answer in answers
    ]
    elsewhere = [
        {"group": "held by another test", "fault": name, "promised": f"tests/{test}"}
        for name, test in HELD_BY.items()
    ]
    return pd.DataFrame([*driven, *elsewhere])


def markdown(answers: Sequence[tuple[Fault, Answer]]) -> str:
    """Return the page that is committed: totals, and what is promised of each fault."""
    table = rows(answers)
    kept = int((table["answered as promised"] == True).sum())  # noqa: E712
    lost, left, traces = (
        int(table[name].sum()) for name in ("files lost", "files left", "stack traces")
    )
    lines = [
        "# What goes wrong, and what is answered",
        "",
        "Made by `python -m tests.robustness.faults reports/faults.md`; every row is a test of "
        "[tests/robustness/faults](../tests/robustness/faults), or of the file that it names.",
        "",
        f"Faults driven through a command: {len(answers)}. Answered as promised: {kept}. "
        f"Files of a person's lost: {lost}. Files left half done: {left}. "
        f"Stack traces shown: {traces}. Held by tests of their subject: {len(HELD_BY)}.",
        "",
        "| | fault | what is promised | kept |",
        "| --- | --- | --- | --- |",
    ]
    for row in table.to_dict("records"):
        is_kept = {True: "yes", False: "**no**"}.get(row["answered as promised"], "there")
        promised = row["promised"].replace("|", "\\|")
        lines.append(f"| {row['group']} | {row['fault']} | {promised} | {is_kept} |")
    return "\n".join(lines) + "\n"
