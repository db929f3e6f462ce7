"""Hold the findings of a check, and format them as text and tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from belong.runtime.text import counted, in_table

# spoils: a training fails, or its results are wrong. matters: the results are worse than possible,
# or look better than they are. note: for information.
Level = Literal["spoils", "matters", "note"]
LEVELS: dict[Level, str] = {
    "spoils": "spoils the result",
    "matters": "should be fixed",
    "note": "good to know",
}
# Share of the images from which a problem that matters in one image spoils the result.
MANY = 0.02
EXAMPLES = 2


@dataclass(frozen=True)
class Finding:
    """A finding of a check.

    Attributes:
        name: short name for tables, such as `unreadable`.
        level: severity.
        sentence: description with the numbers.
        images: (path, detail) of the affected images; empty if the finding is about all images.
    """

    name: str
    level: Level
    sentence: str
    images: list[tuple[str, str]] = field(default_factory=list)


def graver(count: int, total: int) -> Level:
    """Return the level of a problem that matters in `count` of `total` images."""
    return "spoils" if is_many(count, total) else "matters"


def is_many(count: int, total: int) -> bool:
    """Return whether `count` of `total` images are enough to spoil the result."""
    return count >= MANY * total


def images_finding(
    name: str, level: Level, rows: pd.DataFrame, sentence: str, details: "pd.Series[str] | str" = ""
) -> list[Finding]:
    """Return the finding about the images in `rows`; an empty list if there are none."""
    texts = [details] * len(rows) if isinstance(details, str) else list(details)
    images = list(zip(rows["path"], texts, strict=True))
    return [Finding(name, level, sentence, images)] if images else []


@dataclass(frozen=True)
class Report:
    """The findings of `belong.check`.

    Attributes:
        folder: the checked folder.
        counts: index: the classes; columns `train`, `test`, `unreadable`.
        anomalies: the same for the anomalies; empty if there are none.
        findings: the most serious first.
        sources: path in the findings -> the file, or the pixels (ch, h, w) uint8.
    """

    folder: str
    counts: pd.DataFrame
    anomalies: pd.DataFrame
    findings: list[Finding]
    sources: Mapping[str, Path | np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        folder: str,
        counts: pd.DataFrame,
        anomalies: pd.DataFrame,
        findings: list[Finding],
        sources: Mapping[str, Path | np.ndarray],
    ) -> "Report":
        """Sort the findings by level, then by the number of images."""
        order = list(LEVELS).index
        ranked = sorted(findings, key=lambda one: (order(one.level), -len(one.images)))
        return cls(folder, counts, anomalies, ranked, sources)

    def __len__(self) -> int:
        return len(self.findings)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each finding, the most serious first.

        Columns: `finding` (its name), `level` ("spoils", "matters" or "note"), `sentence`, and
        `images`, the number of affected images. `images()` has a row for each affected image.

        Example:
            >>> report = belong.check("digits", options=belong.CheckOptions(alpha=0.2))
            >>> report.to_pandas()["level"].tolist()
            ['matters', 'note', 'note']
        """
        rows = [(one.name, one.level, one.sentence, len(one.images)) for one in self.findings]
        return pd.DataFrame(rows, columns=["finding", "level", "sentence", "images"])

    @property
    def can_be_trained_on(self) -> bool:
        """Whether no finding spoils the result."""
        return all(finding.level != "spoils" for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        number = {level: sum(one.level == level for one in self.findings) for level in LEVELS}
        if number["spoils"]:
            problems = counted(number["spoils"], "problem")
            return f"Do not train on this folder yet: {problems} would spoil the result."
        if number["matters"]:
            return f"Usable for training, but fix {counted(number['matters'], 'problem')} first."
        return "Ready for training."

    def text(self) -> str:
        """Return the report for a terminal."""
        lines = [f"{self.folder}: {_summed(self.counts)}", *_table(self.counts)]
        if len(self.anomalies):
            lines += [f"anomalies: {_summed(self.anomalies)}"]
        for level, heading in LEVELS.items():
            findings = [one for one in self.findings if one.level == level]
            lines += ["", f"{heading}:"] if findings else []
            for finding in findings:
                lines.append(f"  - {finding.sentence}")
                for path, detail in finding.images[:EXAMPLES]:
                    lines.append(f"      {path}: {detail}" if detail else f"      {path}")
                more = len(finding.images) - EXAMPLES
                lines += [f"      and {more:,} more"] if more > 0 else []
        return "\n".join([*lines, "", self.verdict])

    def about(self) -> dict[str, object]:
        """Return the report without the single images, for JSON."""
        return {
            "folder": self.folder,
            "can_be_trained_on": self.can_be_trained_on,
            "verdict": self.verdict,
            "classes": self.counts.to_dict("index"),
            "anomalies": self.anomalies.to_dict("index"),
            "findings": self.to_pandas().to_dict("records"),
        }

    def images(self) -> pd.DataFrame:
        """Return a row for each image of each finding; columns `path`, `finding`, `detail`."""
        rows = [
            (in_table(path), one.name, detail)
            for one in self.findings
            for path, detail in one.images
        ]
        return pd.DataFrame(rows, columns=["path", "finding", "detail"])


def _summed(counts: pd.DataFrame) -> str:
    whole = counts.sum()
    parts = f"{counted(int(whole['train']), 'image')}"
    if whole["test"]:
        parts = f"{whole['train']:,} training and {whole['test']:,} test images"
    bad = f", {whole['unreadable']:,} unreadable" if whole["unreadable"] else ""
    return f"{parts} in {counted(len(counts), 'class', 'classes')}{bad}"


def _table(counts: pd.DataFrame) -> list[str]:
    rows = counts.loc[:, ["train", *(c for c in ("test", "unreadable") if counts[c].any())]]
    title = []
    if len(rows) > 30:
        rows = rows.sort_values("train").iloc[[*range(10), *range(-10, 0)]]
        title = [f"  the 10 smallest and the 10 largest of {len(counts):,}:"]
    return [*title, *(f"  {line}" for line in rows.rename_axis(None).to_string().splitlines())]
