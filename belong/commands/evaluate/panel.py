"""Fit, save and load a panel of detectors: `belong.fit_panel`."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from belong.commands.arguments import MOST_ROWS
from belong.commands.evaluate.inputs import (
    PathOf,
    Rows,
    Vectors,
    rows_of,
    single,
    whole,
)
from belong.commands.evaluate.panel_file import read_detectors, read_manifest, save_panel
from belong.detectors.panel import (
    LAYERS,
    PANEL,
    Fitted,
    LastLayer,
    Method,
    Sample,
    check_widths,
    complete,
    sample_of,
    views_of,
)
from belong.models.device import callers_settings, use_threads
from belong.runtime.arguments import as_path, check_whole, refuse
from belong.runtime.errors import InputError
from belong.runtime.parallel import in_order
from belong.runtime.progress import bar
from belong.runtime.text import printable

LEAST_OF_CLASS = 50  # minimum sample of a class, if the class has as many rows
JOBS = min(os.cpu_count() or 1, 16)  # parts scored, or detectors fitted, in parallel

# Names of the panel; or a mapping, which may hold detectors of the user.
Detectors: TypeAlias = Sequence[str] | Mapping[str, Any] | None


class OwnDetector:
    """A user's object with `fit(features, labels)` and `score(features)`."""

    def __init__(self, name: str, detector: Any) -> None:
        self.name, self.detector = name, detector

    def fit(self, sample: Sample) -> None:
        """Fit the detector to NumPy arrays, features (n, d) and labels (n,).

        `fit` of the detector may return the fitted detector or change the detector in place.

        Raises:
            InputError: there are no features.
        """
        if "features" not in sample.kinds:
            raise InputError(f"{self.name} needs features")
        labels = sample.training.labels.numpy() if "labels" in sample.kinds else None
        fitted = self.detector.fit(sample.training.views.features.numpy(), labels)
        self.detector = fitted if callable(getattr(fitted, "score", None)) else self.detector

    def score(self, features: Tensor) -> np.ndarray:
        """Return a finite score for each row: (n,) float32.

        Raises:
            InputError: the detector returns anything else.
        """
        scores = self.detector.score(features.numpy())
        values = scores.detach().cpu().numpy() if isinstance(scores, Tensor) else np.asarray(scores)
        expected = f"a finite number for each of {len(features)} rows"
        if values.shape != (len(features),) or values.dtype.kind not in "fiub":
            refuse(f"{self.name}: score", expected, values)
        if not np.isfinite(values).all():
            refuse(f"{self.name}: score", expected, "NaN or infinity")
        return values.astype(np.float32)


@dataclass(frozen=True)
class Panel:
    """Detectors fitted to the training rows of one network.

    Attributes:
        detectors: name -> fitted detector.
        left_out: detector -> the reason why it was not fitted.
        widths: layer -> number of columns.
        head: the last layer of the network, or None.
        notes: further remarks, in sentences.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features, labels = rng.normal(size=(200, 4)), np.arange(200) % 2
        >>> panel = belong.fit_panel(features, labels=labels, detectors=["mahalanobis", "energy"])
        >>> panel.left_out
        {'energy': 'needs logits'}
        >>> panel.save("panel")
        >>> scores = belong.load_panel("panel").score(features[:3])
        >>> {name: x.shape for name, x in scores.items()}
        {'mahalanobis': (3,)}
    """

    detectors: Mapping[str, Fitted | OwnDetector]
    left_out: Mapping[str, str]
    widths: Mapping[str, int]
    head: LastLayer | None
    notes: tuple[str, ...] = ()

    def score(self, rows: Vectors) -> dict[str, np.ndarray]:
        """Return the scores of each detector, higher is more anomalous: (n,) float32.

        Args:
            rows: as `normal_test` of `belong.evaluate`.

        Raises:
            InputError: a layer is missing or has another width, or a value is not finite.
        """
        table = rows_of("rows", rows)
        parts = [scores for _, _, scores in self.scores(table)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.detectors}

    def scores(self, rows: Rows) -> Iterator[tuple[int, dict[str, Tensor], dict[str, np.ndarray]]]:
        """Yield the parts: index of the first row, layers with logits, scores of each detector.

        Raises:
            InputError: see `score`.
        """
        needed_layers = {
            need
            for one in self.detectors.values()
            for need in (one.method.needs if isinstance(one, Fitted) else ("features",))
            if need in LAYERS
        }

        def work(start: int) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
            layers = dict(complete(rows.part(start), self.head, name=f"{rows.name}: "))
            check_widths(layers, self.widths, name=f"{rows.name}: ")
            missing = [name for name in LAYERS if name in needed_layers and name not in layers]
            if missing:
                raise InputError(
                    f"{rows.name}: expected {' and '.join(missing)}, as in the training rows, got "
                    "none"
                )
            views = views_of({name: x for name, x in layers.items() if name in self.widths})
            with torch.no_grad():
                return layers, {name: one.scores_of(views) for name, one in fitted.items()}

        fitted = {name: one for name, one in self.detectors.items() if isinstance(one, Fitted)}
        with _one_thread_each() as pool:
            starts = rows.starts()
            for start, future in in_order(lambda at: pool.submit(work, at), starts, ahead=JOBS + 1):
                layers, scores = future.result()
                for name, one in self.detectors.items():
                    if isinstance(one, OwnDetector):
                        scores[name] = one.score(layers["features"])
                yield start, layers, scores

    def save(self, folder: PathOf) -> None:
        """Write panel.safetensors and manifest.json to a new folder.

        Raises:
            InputError: the folder exists; or the panel has more than 4 GiB or a detector of the
                user, which could be saved only with pickle.
        """
        path = as_path("folder", folder)
        if path.exists():
            raise InputError(
                f"{printable(path)}: exists already; expected the name of a new folder"
            )
        custom = [name for name, one in self.detectors.items() if isinstance(one, OwnDetector)]
        if custom:
            raise InputError(f"{custom[0]}: a panel with a detector of yours cannot be saved")
        fitted = {name: one for name, one in self.detectors.items() if isinstance(one, Fitted)}
        save_panel(
            path,
            fitted,
            self.head,
            left_out=self.left_out,
            widths=self.widths,
            notes=self.notes,
        )


def load_panel(folder: PathOf) -> Panel:
    """Load a panel written by `Panel.save`.

    Args:
        folder: the folder of the panel.

    Returns:
        The panel, after a check of its SHA-256, its shapes and a trial of each detector.

    Raises:
        InputError: the folder is missing, or holds no panel.
        IntegrityError: the panel is damaged, its arrays are not those of its detectors, or it has
            a detector unknown to this version.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(100, 4))
        >>> belong.fit_panel(features, detectors=["feature_knn"]).save("knn")
        >>> list(belong.load_panel("knn").detectors)
        ['feature_knn']
    """
    path = as_path("folder", folder)
    manifest = read_manifest(path)
    detectors, head = read_detectors(path, manifest)
    return Panel(detectors, manifest.left_out, manifest.widths, head, manifest.notes)


def fit_panel(
    normal_train: Vectors,
    *,
    labels: Any = None,
    weight: Any = None,
    bias: Any = None,
    detectors: Detectors = None,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
) -> Panel:
    """Fit the detectors of the panel to the training rows of a network.

    Detectors that need missing layers, labels or weights are left out.

    Args:
        normal_train: the training rows, as in `belong.evaluate`.
        labels: (n,) whole numbers of at least 0.
        weight: (c, d) weight of the network's last layer.
        bias: (c,) bias of the network's last layer.
        detectors: names of the panel; or a mapping, as in `belong.evaluate`.
        most_rows: maximum number of rows, at least 1; a larger set is sampled at random.
        seed: random seed of the sample.

    Returns:
        The panel; `left_out` has the detectors that were left out, with the reasons.

    Raises:
        InputError: the vectors do not fit together, or no detector can be fitted.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(100, 4))
        >>> panel = belong.fit_panel(features)
        >>> list(panel.detectors)
        ['feature_knn']
        >>> panel.left_out["mahalanobis"]
        'needs labels'
    """
    check_whole("most_rows", most_rows)
    return fit_rows(
        rows_of("normal_train", normal_train, labels=labels),
        weight=weight,
        bias=bias,
        detectors=detectors,
        most_rows=most_rows,
        seed=seed,
    )


def fit_rows(
    rows: Rows, *, weight: Any, bias: Any, detectors: Detectors, most_rows: int, seed: int
) -> Panel:
    """Fit the panel to rows; see `fit_panel`."""
    methods = _methods(detectors)
    # The file of the rows may hold weight and bias, too.
    head = LastLayer.checked(
        *(
            whole(rows.last_layer[name].values)
            if value is None and name in rows.last_layer
            else single(name, value)
            for name, value in (("weight", weight), ("bias", bias))
        )
    )
    places = _sample(rows, most_rows, seed)
    sample_labels = None if rows.labels is None else rows.labels[torch.from_numpy(places)]
    sample = sample_of(rows.take(places), sample_labels, head, name=f"{rows.name}: ")
    fitted: dict[str, Fitted | OwnDetector] = {}
    left_out = {}

    def work(name: str) -> Fitted | OwnDetector | str:
        method = methods[name]
        try:
            if isinstance(method, Method):
                return method.fit_sample(sample)
            detector = OwnDetector(name, method)
            detector.fit(sample)
        except InputError as error:
            return str(error).removeprefix(f"{name} ")
        return detector

    with bar(len(methods), "fit", "detector") as progress, _one_thread_each() as pool:
        for name, future in in_order(lambda one: pool.submit(work, one), methods, ahead=JOBS + 1):
            result = future.result()
            if isinstance(result, str):
                left_out[name] = result
            else:
                fitted[name] = result
            progress.update()
    if not fitted:
        name, why = next(iter(left_out.items()))
        raise InputError(f"no detector can be fitted: {name} {why}")
    notes: tuple[str, ...] = ()
    if len(places) < len(rows):
        notes = (f"fitted to {len(places):,} of {len(rows):,} rows, drawn at random",)
    views = sample.training.views
    widths = {layer: getattr(views, layer).shape[1] for layer in LAYERS if layer in sample.kinds}
    return Panel(fitted, left_out, widths, head, notes)


def _methods(detectors: Detectors) -> dict[str, Any]:
    """Return name -> a detector of the panel, or an object of the user."""
    if detectors is None:
        return dict(PANEL)
    if isinstance(detectors, str) or not isinstance(detectors, Mapping | Sequence):
        refuse("detectors", "a list of names, or a mapping", detectors)
    named = dict(detectors) if isinstance(detectors, Mapping) else dict.fromkeys(detectors)
    if not named:
        raise InputError("detectors: expected at least one, got none")
    for name, detector in named.items():
        if detector is None and name not in PANEL:
            near = " or ".join(difflib.get_close_matches(name, PANEL, n=2, cutoff=0.0))
            raise InputError(
                f"detectors: expected names of the panel, such as {near}, got {name!r} "
                f"(all: {', '.join(PANEL)})"
            )
        if detector is None or isinstance(detector, Method):
            continue
        for method in ("fit", "score"):
            if not callable(getattr(detector, method, None)):
                raise InputError(
                    f"detectors: expected an object with fit and score, got {name!r}, a "
                    f"{type(detector).__name__} without {method}"
                )
    return {
        str(name): PANEL[name] if detector is None else detector for name, detector in named.items()
    }


def _sample(rows: Rows, most: int, seed: int) -> np.ndarray:
    """Return the sorted indices of the sample; small classes keep all their rows."""
    n = len(rows)
    if n <= most:
        return np.arange(n)
    rng = np.random.default_rng(seed)
    if rows.labels is None:
        return np.sort(rng.choice(n, most, replace=False))
    labels = rows.labels.numpy()
    samples = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(round(most * len(members) / n), min(len(members), LEAST_OF_CLASS))
        samples.append(rng.choice(members, min(count, len(members)), replace=False))
    return np.sort(np.concatenate(samples))


@contextmanager
def _one_thread_each() -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of one thread per processor, in which the libraries use one thread each.

    With more, the threads of torch and NumPy would compete for the processors.
    """
    with (
        callers_settings(),
        ThreadPoolExecutor(JOBS, initializer=use_threads, initargs=(1,)) as pool,
    ):
        yield pool
