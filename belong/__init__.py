"""Out-of-distribution detection for folders of images: classifiers that know what is not theirs.

    import belong

    model = belong.fit("photos/ours", "models/ours")
    predictions = model.predict("photos/new")
    predictions.to_pandas()

Every name of `__all__` is imported at its first use: `import belong` takes no time.
"""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from belong.commands.check.check import check
    from belong.commands.check.options import CheckOptions
    from belong.commands.check.report import Report
    from belong.commands.clean.clean_result import CleanResult
    from belong.commands.export import ExportedModel, export
    from belong.commands.watch.watch import WatchResult, watch
    from belong.prediction.manifest import IntegrityError
    from belong.prediction.model import ImagePath, Model, load_model
    from belong.prediction.predictions import Prediction, Predictions
    from belong.prediction.scoring_options import ScoringOptions
    from belong.runtime.errors import InputError, MissingFileError, TooManyBadFilesError

__all__ = [
    "CheckOptions",
    "CleanResult",
    "ExportedModel",
    "InputError",
    "IntegrityError",
    "MissingFileError",
    "Model",
    "Prediction",
    "Predictions",
    "Report",
    "ScoringOptions",
    "TooManyBadFilesError",
    "WatchResult",
    "check",
    "clean",
    "export",
    "fit",
    "load_model",
    "watch",
]

# name -> the module that has it; `fit` and `clean` stand below.
_MODULES = {
    "CheckOptions": "belong.commands.check.options",
    "CleanResult": "belong.commands.clean.clean_result",
    "ExportedModel": "belong.commands.export",
    "InputError": "belong.runtime.errors",
    "IntegrityError": "belong.prediction.manifest",
    "MissingFileError": "belong.runtime.errors",
    "Model": "belong.prediction.model",
    "Prediction": "belong.prediction.predictions",
    "Predictions": "belong.prediction.predictions",
    "Report": "belong.commands.check.report",
    "ScoringOptions": "belong.prediction.scoring_options",
    "TooManyBadFilesError": "belong.runtime.errors",
    "WatchResult": "belong.commands.watch.watch",
    "check": "belong.commands.check.check",
    "export": "belong.commands.export",
    "load_model": "belong.prediction.model",
    "watch": "belong.commands.watch.watch",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'belong' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def fit(
    folder: "ImagePath",
    output: "ImagePath",
    *,
    anomalies: "ImagePath | None" = None,
    alpha: float | None = None,
    weights: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> "Model":
    """Fit a model to a folder of images for each class.

    After an interruption the same call resumes: `.OUTPUT.work` beside the model keeps what is done.

    Args:
        folder: a folder of images for each class in it, or IDX files.
        output: the model, a new folder outside of the images; `report.html` is put into it.
        anomalies: a folder of images that do not belong, for the supervised head and the report.
        alpha: share of images that belong and may be rejected, between 0 and 1; 0.025 if None.
        weights: "imagenet", or a .safetensors file for EfficientNet-B0; None trains a small
            network from scratch.
        settings: other keys of params.yaml, dotted, such as {"train.epochs": 30}.

    Returns:
        The model.

    Raises:
        InputError: a folder or a setting is wrong.
        TooManyBadFilesError: too many files cannot be read.

    Example:
        >>> model = belong.fit("digits", "new", alpha=0.2, settings={"train.epochs": 1})
        >>> model.class_names, model.alpha
        (('0', '1'), 0.2)
        >>> model.predict("digits/0").belongs.shape
        (70,)
        >>> belong.fit("digits", "new")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: new: exists already; wanted the name of a new folder
    """
    from pathlib import Path

    from belong.commands.fit.fit import fit as fit_folder
    from belong.prediction.model import load_model

    fit_folder(
        Path(folder),
        Path(output),
        anomalies=None if anomalies is None else Path(anomalies),
        alpha=alpha,
        weights=weights,
        settings=settings,
    )
    return load_model(output)


def clean(
    folder: "ImagePath",
    output: "ImagePath",
    *,
    tree: 'Literal["link", "copy"] | None' = None,
    with_review: bool = False,
    weights: str | None = None,
    overwrite: bool = False,
    settings: Mapping[str, object] | None = None,
) -> "CleanResult":
    """Find the images of a labeled folder that are mislabeled, foreign, copies or unreadable.

    Each image is scored by a network that was not trained on it. Nothing in `folder` is changed.

    Args:
        folder: a folder of images for each class in it.
        output: folder for manifest.csv, suspects.html, summary.json and the tree `cleaned`.
        tree: "link" or "copy" builds `output/cleaned` of the images to keep.
        with_review: whether the images that somebody should look at are in the tree too.
        weights: "imagenet", or a .safetensors file for EfficientNet-B0; None trains small networks.
        overwrite: whether the results of another run in `output` may be replaced.
        settings: other keys of params.yaml, dotted.

    Returns:
        The verdict for each image.

    Raises:
        InputError: the folder, `output` or a setting is wrong.
        TooManyBadFilesError: no image can be read.

    Example:
        >>> result = belong.clean("digits", "cleaned", settings={"train.epochs": 1})
        >>> len(result.to_pandas()), sorted(path.name for path in result.output.iterdir())
        (140, ['manifest.csv', 'summary.json', 'suspects.html'])
    """
    from pathlib import Path

    from belong.commands.clean.clean import clean as clean_folder
    from belong.commands.clean.clean_result import CleanResult
    from belong.commands.clean.options import CleanOptions

    options = CleanOptions(
        tree=tree,
        with_review=with_review,
        weights=weights,
        overwrite=overwrite,
        settings=settings or {},
    )
    return CleanResult(Path(output), clean_folder(Path(folder), Path(output), options=options))
