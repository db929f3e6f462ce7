"""Out-of-distribution detection for folders of images: classifiers that know what is not theirs.

    import belong

    model = belong.fit("photos/ours", "models/ours")
    predictions = model.predict("photos/new")
    predictions.to_pandas()

Every name of `__all__` is imported at its first use: `import belong` takes no time.
"""

import importlib
import os
from typing import TYPE_CHECKING

from belong.runtime import idle_threads, portable_math

idle_threads.sleep_early()
if os.environ.get(portable_math.VARIABLE) == portable_math.PORTABLE:
    portable_math.request(portable_math.PORTABLE)

if TYPE_CHECKING:
    from belong.commands.check.check import check
    from belong.commands.check.options import CheckOptions
    from belong.commands.check.report import Report
    from belong.commands.clean.clean import CleanResult, clean
    from belong.commands.clean.options import CleanOptions
    from belong.commands.evaluate.evaluate import Evaluation, evaluate
    from belong.commands.evaluate.panel import Panel, fit_panel, load_panel
    from belong.commands.export import ExportedModel, export
    from belong.commands.find.find import FindResult, find
    from belong.commands.find.options import FindOptions
    from belong.commands.fit.fit import fit
    from belong.commands.fit.requirements import RequirementError
    from belong.commands.learn.learn import LearnResult, learn
    from belong.commands.sorting import sort_images, unsort
    from belong.commands.watch.watch import WatchResult, watch
    from belong.prediction.manifest import IntegrityError
    from belong.prediction.model import Model, load_model
    from belong.prediction.predictions import Prediction, Predictions
    from belong.prediction.scoring_options import ScoringOptions
    from belong.runtime.errors import InputError, MissingFileError, TooManyBadFilesError

__all__ = [
    "CheckOptions",
    "CleanOptions",
    "CleanResult",
    "Evaluation",
    "ExportedModel",
    "FindOptions",
    "FindResult",
    "InputError",
    "IntegrityError",
    "LearnResult",
    "MissingFileError",
    "Model",
    "Panel",
    "Prediction",
    "Predictions",
    "Report",
    "RequirementError",
    "ScoringOptions",
    "TooManyBadFilesError",
    "WatchResult",
    "check",
    "clean",
    "evaluate",
    "export",
    "find",
    "fit",
    "fit_panel",
    "learn",
    "load_model",
    "load_panel",
    "sort_images",
    "unsort",
    "watch",
]

# name -> the module that has it
_MODULES = {
    "CheckOptions": "belong.commands.check.options",
    "CleanOptions": "belong.commands.clean.options",
    "CleanResult": "belong.commands.clean.clean",
    "Evaluation": "belong.commands.evaluate.evaluate",
    "ExportedModel": "belong.commands.export",
    "FindOptions": "belong.commands.find.options",
    "FindResult": "belong.commands.find.find",
    "InputError": "belong.runtime.errors",
    "IntegrityError": "belong.prediction.manifest",
    "LearnResult": "belong.commands.learn.learn",
    "MissingFileError": "belong.runtime.errors",
    "Model": "belong.prediction.model",
    "Panel": "belong.commands.evaluate.panel",
    "Prediction": "belong.prediction.predictions",
    "Predictions": "belong.prediction.predictions",
    "Report": "belong.commands.check.report",
    "RequirementError": "belong.commands.fit.requirements",
    "ScoringOptions": "belong.prediction.scoring_options",
    "TooManyBadFilesError": "belong.runtime.errors",
    "WatchResult": "belong.commands.watch.watch",
    "check": "belong.commands.check.check",
    "clean": "belong.commands.clean.clean",
    "evaluate": "belong.commands.evaluate.evaluate",
    "export": "belong.commands.export",
    "find": "belong.commands.find.find",
    "fit": "belong.commands.fit.fit",
    "fit_panel": "belong.commands.evaluate.panel",
    "learn": "belong.commands.learn.learn",
    "load_model": "belong.prediction.model",
    "load_panel": "belong.commands.evaluate.panel",
    "sort_images": "belong.commands.sorting",
    "unsort": "belong.commands.sorting",
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
