"""Evaluate detectors on the feature vectors of any network."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from belong.calibration import conformal
from belong.calibration.sample_size import least_to_calibrate
from belong.calibration.verdict import decide
from belong.commands.arguments import MOST_ROWS
from belong.commands.evaluate.inputs import PathOf, Rows, Vectors, rows_of, sets_of
from belong.commands.evaluate.panel import Detectors, Panel, fit_rows
from belong.commands.evaluate.scoreboard import scoreboard, scoreboard_text
from belong.detectors.panel import complete
from belong.detectors.temperature_scaling import best_temperature
from belong.evaluation import open_set_metrics
from belong.runtime.arguments import as_path, check_flag, check_place, check_share, check_whole
from belong.runtime.errors import InputError
from belong.runtime.progress import bar
from belong.runtime.storage import save_csv, save_json, save_text, whole_file, whole_folder
from belong.runtime.text import counted, printable

ALPHA = 0.025
TEST = "normal_test"
IN_MEMORY = 2**30  # bytes of scores; a larger array is kept in a temporary file
MOST_VERDICTS = 20_000_000  # rows of verdicts.csv that are written by default
ROWS_OF_TABLE = 100_000  # verdicts written at a time
FOR_TEMPERATURE = 20_000  # held-out rows that the temperature is fitted to
# Maximum share of test rows that equal a training row; a smaller share is reported.
MOST_KNOWN = 0.5
MIX = np.uint64(0x9E3779B97F4A7C15)  # an odd number with random bits


@dataclass(frozen=True)
class Scored:
    """The scores of n rows.

    Attributes:
        scores: detector -> (n,) float32, higher is more anomalous.
        predicted: (n,) int64, the predicted class; None without logits.
        confidence: (n,) float32, the largest probability; None without logits.
        tempered: (n,) float32, the confidence at the fitted temperature; None without one.
        known: (n,) bool, whether a training row is equal.
    """

    scores: Mapping[str, np.ndarray]
    predicted: np.ndarray | None
    confidence: np.ndarray | None
    tempered: np.ndarray | None
    known: np.ndarray

    def __len__(self) -> int:
        return len(self.known)


@dataclass(frozen=True)
class Evaluation:
    """The result of `belong.evaluate`.

    Attributes:
        scoreboard: a row for each detector and set of anomalies, the best detector first; columns
            `detector`, `anomalies`, `n_anomalies`, `auroc` with the ends of its 95% interval
            `auroc_low` and `auroc_high`, `fpr95`, `aupr_normal`, `aupr_anomaly`, `oscr`,
            `false_accept` and `false_reject` at the calibrated threshold, `threshold`, `aurc`,
            `augrc`. Metrics that cannot be measured are NaN.
        left_out: detector -> the reason why it was not fitted.
        notes: further remarks, in sentences.
        summary: statistics of the data and of the classifier, as in summary.json.
        panel: the fitted detectors.
        calibration: detector -> (k,) scores of the held-out normal rows.
        scored: set -> the scores of its rows; `normal_test` has only rows that do not calibrate.
        places: set -> the indices of these rows in the input.
    """

    scoreboard: pd.DataFrame
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    summary: Mapping[str, Any]
    panel: Panel
    calibration: Mapping[str, np.ndarray] = field(repr=False)
    scored: Mapping[str, Scored] = field(repr=False)
    places: Mapping[str, np.ndarray] = field(repr=False)

    @property
    def text(self) -> str:
        """The scoreboard and the notes as text, as `belong evaluate` prints them.

        Example:
            >>> import numpy as np
            >>> rng = np.random.default_rng(0)
            >>> train, test, odd = rng.normal([[[0]], [[0]], [[4]]], size=(3, 200, 5))
            >>> result = belong.evaluate(train, test, odd, labels=np.arange(200) % 2)
            >>> print(result.text.splitlines()[0])
            | detector | anomalies | AUROC | 95% interval | FPR95 | AUPR | OSCR | false rejects |
            >>> print(result.text.splitlines()[-1])
            left out: mahalanobis_layers: needs maps and hidden
        """
        return "\n".join([self.table, *self.remarks])

    @property
    def table(self) -> str:
        """The scoreboard as a Markdown table."""
        return scoreboard_text(self.scoreboard)

    @property
    def remarks(self) -> list[str]:
        """The notes and the detectors that were left out, a sentence each."""
        reasons: dict[str, list[str]] = {}
        for name, why in self.left_out.items():
            reasons.setdefault(why, []).append(name)
        left_out = [f"left out: {', '.join(names)}: {why}" for why, names in reasons.items()]
        return [*self.notes, *left_out]

    def verdicts(self) -> pd.DataFrame:
        """Return the verdict of each detector on each row: the table verdicts.csv.

        Columns: `set`, `row` (index in the input), `predicted` (the class, if there are logits),
        and for each detector `_score`, `_p_value` and `_belongs`.
        """
        parts = [_verdicts(self, name, slice(None)) for name in self.scored]
        return pd.concat(parts, ignore_index=True)

    def save(self, folder: PathOf, *, verdicts: bool | None = None) -> None:
        """Write scoreboard.csv, scoreboard.txt, summary.json, report.html and verdicts.csv.

        Args:
            folder: a new folder.
            verdicts: whether to write verdicts.csv; None: up to 20 million verdicts.

        Raises:
            InputError: the folder exists.
        """
        path = new_folder(folder)
        with whole_folder(path) as part:
            write(self, part, title=path.name, verdicts=verdicts)

    @property
    def has_few_verdicts(self) -> bool:
        """Whether verdicts.csv is written by default."""
        return sum(map(len, self.scored.values())) * len(self.calibration) <= MOST_VERDICTS


def write(
    evaluation: Evaluation, folder: Path, *, title: str, verdicts: bool | None = None
) -> None:
    """Write the files of `Evaluation.save` to an existing folder; `title` is that of the report."""
    from belong.commands.evaluate.page import report_page  # imported here: it imports jinja2

    save_csv(folder / "scoreboard.csv", evaluation.scoreboard)
    save_text(folder / "scoreboard.txt", evaluation.text + "\n")
    save_json(folder / "summary.json", evaluation.summary)
    save_text(folder / "report.html", report_page(evaluation, title=title))
    if evaluation.has_few_verdicts if verdicts is None else verdicts:
        _save_verdicts(evaluation, folder / "verdicts.csv")


def _save_verdicts(evaluation: Evaluation, path: Path) -> None:
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        header = True
        for name, one in evaluation.scored.items():
            for at in range(0, len(one), ROWS_OF_TABLE):
                part = _verdicts(evaluation, name, slice(at, at + ROWS_OF_TABLE))
                part.to_csv(file, index=False, header=header, float_format="%.6g")
                header = False


def _verdicts(evaluation: Evaluation, name: str, rows: slice) -> pd.DataFrame:
    one = evaluation.scored[name]
    columns: dict[str, Any] = {"set": name, "row": evaluation.places[name][rows]}
    if one.predicted is not None:
        columns["predicted"] = one.predicted[rows]
    for detector, held_out in evaluation.calibration.items():
        scores = np.asarray(one.scores[detector][rows])
        limit = conformal.threshold(held_out, alpha=evaluation.summary["alpha"])
        columns[f"{detector}_score"] = scores
        columns[f"{detector}_p_value"] = conformal.p_values(held_out, scores)
        columns[f"{detector}_belongs"] = decide(scores, limit)
    return pd.DataFrame(columns)


def new_folder(folder: PathOf) -> Path:
    """Return the path of a folder that does not exist.

    Raises:
        InputError: it exists.
    """
    path = as_path("output", folder)
    check_place(path.parent)
    if path.exists() or path.is_symlink():
        raise InputError(f"{printable(path)}: exists already; expected the name of a new folder")
    return path


def evaluate(
    normal_train: Vectors | Panel,
    normal_test: Vectors,
    anomalies: Vectors | Mapping[str, Vectors],
    *,
    labels: Any = None,
    weight: Any = None,
    bias: Any = None,
    calibration: Vectors | None = None,
    detectors: Detectors = None,
    alpha: float = ALPHA,
    output: PathOf | None = None,
    verdicts: bool | None = None,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
) -> Evaluation:
    """Evaluate detectors on the feature vectors of any network.

    A set of rows is an array or tensor of features (n, d), a mapping, or a file. A mapping has the
    keys `features` (n, d), `logits` (n, c), `labels` (n,), `hidden` (n, e), a layer before the
    features, and `maps` (n, m), an early layer; the values are arrays, tensors or files. A file is
    .npy, .npz, .safetensors, or a folder of .npy files; large .npy and .safetensors files are read
    in parts. Logits are computed from `weight` and `bias` if both are passed. Nothing is fitted or
    tuned on anomalies or test rows.

    Args:
        normal_train: the rows that the detectors are fitted to; or a fitted panel.
        normal_test: normal rows used in no training of the network or a detector; with `labels`
            the classifier is measured too.
        anomalies: a set of rows; or a mapping of several sets by name.
        labels: (n,) labels of the training rows, whole numbers of at least 0, if `normal_train` has
            none.
        weight: (c, d) weight of the network's last layer.
        bias: (c,) bias of the network's last layer.
        calibration: held-out normal rows that set the thresholds. None: a random half of
            `normal_test` sets the thresholds, and verdicts are counted on the other half.
        detectors: names of the panel; or a mapping of names to None, to a detector of
            `belong.detectors.panel` with other parameters, or to an object with
            `fit(features, labels)` and `score(features)` -> (n,). None: all detectors.
        alpha: promised false-rejection rate, between 0 and 1.
        output: a new folder for scoreboard.csv, scoreboard.txt, summary.json, report.html and
            verdicts.csv. None writes nothing.
        verdicts: whether to write verdicts.csv; None: up to 20 million verdicts.
        most_rows: maximum number of training rows; a larger set is sampled at random.
        seed: random seed of the sample and of the calibration half.

    Returns:
        The scoreboard, the detectors that were left out, and the verdicts.

    Raises:
        InputError: the vectors do not fit together, hold a value that is not finite, or are too few
            to calibrate; a file is missing; `output` exists; more than half of the rows of a set
            occur in `normal_train`.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> train, test, odd = rng.normal([[[0]], [[0]], [[4]]], size=(3, 200, 5))
        >>> result = belong.evaluate(train, test, odd, labels=np.arange(200) % 2)
        >>> best = result.scoreboard.iloc[0]
        >>> best["detector"], round(float(best["auroc"]), 3)
        ('gmm', 1.0)
        >>> result.left_out["energy"]
        'needs logits'
        >>> belong.evaluate(train, test[:, 1:], odd)
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: normal_test: features: expected 5 columns, as the training
        rows have, got 4
    """
    check_share("alpha", alpha)
    check_whole("most_rows", most_rows)
    check_whole("seed", seed, least=0)
    if verdicts is not None:
        check_flag("verdicts", verdicts)
    if output is not None:
        new_folder(output)
    test, sets = rows_of(TEST, normal_test), sets_of(anomalies)
    if TEST in sets:
        raise InputError(f"anomalies: {TEST!r} is the name of the normal rows; expected another")
    held_out_rows = None if calibration is None else rows_of("calibration", calibration)
    places = _held_out(held_out_rows or test, held_out_rows is None, alpha, seed)
    if isinstance(normal_train, Panel):
        for name, value in (
            ("labels", labels), ("weight", weight), ("bias", bias), ("detectors", detectors)
        ):  # fmt: skip
            if value is not None:
                raise InputError(f"{name}: expected None, as the fitted panel has its own")
        panel, trained = normal_train, np.empty(0, np.uint64)
    else:
        train = rows_of("normal_train", normal_train, labels=labels)
        panel = fit_rows(
            train, weight=weight, bias=bias, detectors=detectors, most_rows=most_rows, seed=seed
        )
        trained = _hashes(train)
    temperature = _temperature(panel, held_out_rows or test, places)
    total = len(test) + sum(map(len, sets.values())) + len(held_out_rows or ())
    with bar(total, "score", "row") as progress:

        def scored(rows: Rows) -> Scored:
            return _scored(panel, rows, trained, temperature, progress)

        of_test = scored(test)
        of_sets = {name: scored(rows) for name, rows in sets.items()}
        held_out = (scored(held_out_rows) if held_out_rows else of_test).scores
    notes = [*panel.notes, *_known_rows(TEST, of_test)]
    for name, one in of_sets.items():
        notes += _known_rows(name, one)
        if len(one) == 1:
            notes.append(f"{name}: 1 row; its AUROC has no interval")
    test_rows = np.arange(len(test))
    calibrated = {name: np.asarray(x[places]) for name, x in held_out.items()}
    if held_out_rows is None:
        test_rows = np.setdiff1d(test_rows, places)
        notes.append(
            f"a random half of {TEST}, {counted(len(places), 'row')}, sets the thresholds; "
            f"false rejects are counted on the other {len(test_rows):,}"
        )
    classes = None if test.labels is None else test.labels.numpy()
    right = None
    if classes is not None and of_test.predicted is not None:
        right = of_test.predicted == classes
    board = scoreboard(
        of_test.scores,
        {name: one.scores for name, one in of_sets.items()},
        right,
        calibrated,
        test_rows,
        alpha=alpha,
    )
    summary = {
        "alpha": alpha,
        "calibration_rows": len(places),
        "rows": {TEST: len(test), **{name: len(one) for name, one in of_sets.items()}},
        "widths": dict(panel.widths),
        "classifier": _classifier(of_test, right, temperature),
        "detectors": list(panel.detectors),
        "left_out": dict(panel.left_out),
        "notes": notes,
        "seed": seed,
    }
    scored_sets = {TEST: _part_of(of_test, test_rows), **of_sets}
    numbers = {TEST: test_rows} | {name: np.arange(len(one)) for name, one in of_sets.items()}
    evaluation = Evaluation(
        board, panel.left_out, tuple(notes), summary, panel, calibrated, scored_sets, numbers
    )
    if output is not None:
        evaluation.save(output, verdicts=verdicts)
    return evaluation


def _held_out(rows: Rows, half: bool, alpha: float, seed: int) -> np.ndarray:
    """Return the sorted indices of the calibration rows: all of `rows`, or a random half.

    Raises:
        InputError: there are too few rows.
    """
    n = len(rows)
    count = n // 2 if half else n
    least = least_to_calibrate(alpha)
    if count < least:
        of_test = f" (half of {n:,})" if half else ""
        raise InputError(
            f"{rows.name}: expected at least {least} calibration rows for alpha {alpha:g}, got "
            f"{count:,}{of_test}"
        )
    selection = np.random.default_rng(seed).permutation(n)[:count]
    return np.sort(selection)


def _temperature(panel: Panel, rows: Rows, places: np.ndarray) -> float | None:
    """Fit the temperature to the labels of the held-out rows; None without labels or logits."""
    if rows.labels is None:
        return None
    sample = places[:: -(-len(places) // FOR_TEMPERATURE)]
    layers = complete(rows.take(sample), panel.head, name=f"{rows.name}: ")
    if "logits" not in layers:
        return None
    labels = rows.labels[torch.from_numpy(sample)]
    _check_classes(rows, layers["logits"].shape[1])
    return best_temperature(layers["logits"], labels)


def _check_classes(rows: Rows, c: int) -> None:
    """Refuse labels beyond the c logits."""
    if rows.labels is not None and int(rows.labels.max()) >= c:
        raise InputError(
            f"{rows.name}: labels: expected 0 to {c - 1}, for {c} logits, got "
            f"{int(rows.labels.max())}"
        )


def _scored(
    panel: Panel, rows: Rows, train_hashes: np.ndarray, temperature: float | None, progress: Any
) -> Scored:
    """Score all rows in parts; `train_hashes` are the sorted hashes of the training rows."""
    n, names = len(rows), list(panel.detectors)
    scores = _numbers((len(names), n))
    is_known = np.zeros(n, bool)
    predicted = np.empty(n, np.int64)
    confidence, tempered = np.empty(n, np.float32), np.empty(n, np.float32)
    for start, layers, part in panel.scores(rows):
        count = len(next(iter(layers.values())))
        stop = start + count
        for place, name in enumerate(names):
            scores[place, start:stop] = part[name]
        if len(train_hashes):
            is_known[start:stop] = np.isin(_hashed(layers), train_hashes)
        if (logits := layers.get("logits")) is not None:
            predicted[start:stop] = logits.argmax(dim=1).numpy()
            confidence[start:stop] = logits.softmax(dim=1).amax(dim=1).numpy()
            if temperature is not None:
                scaled = logits / temperature
                tempered[start:stop] = scaled.softmax(dim=1).amax(dim=1).numpy()
        progress.update(count)
    by_name = {name: scores[place] for place, name in enumerate(names)}
    if "logits" not in panel.widths:
        return Scored(by_name, None, None, None, is_known)
    return Scored(by_name, predicted, confidence, tempered if temperature else None, is_known)


def _numbers(shape: tuple[int, int]) -> np.ndarray:
    """Return a float32 array for scores; a large one is kept in a temporary file."""
    if 4 * shape[0] * shape[1] <= IN_MEMORY:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # the mapping keeps the file until the array is freed
        if hasattr(os, "posix_fallocate"):  # writing to a mapping on a full disk ends the process
            os.posix_fallocate(file.fileno(), 0, 4 * shape[0] * shape[1])
        return np.memmap(file, np.float32, "w+", shape=shape)


def _part_of(one: Scored, places: np.ndarray) -> Scored:
    def part(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[places]

    scores = {name: x[places] for name, x in one.scores.items()}
    return Scored(
        scores, part(one.predicted), part(one.confidence), part(one.tempered), one.known[places]
    )


def _hashes(rows: Rows) -> np.ndarray:
    """Return the hashes of all rows, sorted."""
    return np.sort(np.concatenate([_hashed(layers) for _, layers in rows.parts()]))


def _hashed(layers: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Return a 64-bit hash of each row's features, or else of its first layer: (n,) uint64.

    Equal rows have equal hashes. Among 10 million different rows, the probability that two have the
    same hash is below 1 in 100,000.
    """
    rows = layers.get("features", next(iter(layers.values())))
    bits = (rows + 0.0).numpy().view(np.uint32).astype(np.uint64)  # + 0: minus 0 is 0
    mixed = bits * MIX
    mixed ^= mixed >> np.uint64(32)  # fill the low bits, which are 0 in rounded numbers
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, size=rows.shape[1], dtype=np.uint64)
    return np.asarray(mixed @ (2 * factors + 1))


def _known_rows(name: str, one: Scored) -> list[str]:
    """Report test rows that equal a training row.

    Raises:
        InputError: more than half of the rows do.
    """
    count = int(one.known.sum())
    if not count:
        return []
    first = int(one.known.argmax())
    sentence = (
        f"{name}: {count:,} of {counted(len(one), 'row')} occur in normal_train, the first is "
        f"row {first}"
    )
    if count > MOST_KNOWN * len(one):
        raise InputError(f"{sentence}; expected rows used in no training")
    return [sentence]


def _classifier(
    test: Scored, right: np.ndarray | None, temperature: float | None
) -> dict[str, float] | None:
    """Return the accuracy and calibration error of the network; None without labels or logits."""
    if right is None or test.confidence is None:
        return None
    numbers = {
        "accuracy": float(right.mean()),
        "ece": open_set_metrics.calibration_error(test.confidence, right),
    }
    if temperature is not None and test.tempered is not None:
        numbers["temperature"] = temperature
        numbers["ece_at_temperature"] = open_set_metrics.calibration_error(test.tempered, right)
    return numbers
