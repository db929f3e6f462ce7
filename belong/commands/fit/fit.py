"""Fit a model to a folder with one subfolder of images per class: `belong.fit`.

The steps call the functions of the stages in dvc.yaml (`recipe`), so that the model equals that of
`dvc repro`. After an interruption the same call resumes after the last complete slow step, and a
training resumes after its last epoch.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from belong.calibration.conformal import promised_range
from belong.calibration.cross_conformal import FOLDS
from belong.calibration.sample_size import (
    CALIBRATIONS,
    MARGINAL,
    PER_CLASS,
    Guarantee,
    least_to_calibrate,
)
from belong.calibration.verdict_rule import promise
from belong.commands.fit.backbone_choice import backbone_settings, choose_backbone
from belong.commands.fit.backbone_request import BackboneRequest
from belong.commands.fit.plan import Plan, choose_calibration, overrides, plan
from belong.commands.fit.requirements import RequirementError, check_requirements, unmet
from belong.commands.fit.settings import checked_parameters, parameters, sources
from belong.commands.fit.work_folder import check_work, remove_work, work_beside
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.loader import check_one_readable, look, unread_heif
from belong.models.backbones.card import OWN_MODULE
from belong.models.network_choice import is_frozen
from belong.parameters import Parameters
from belong.runtime.arguments import (
    as_path,
    check_choice,
    check_flag,
    check_place,
    check_settings,
    check_share,
)
from belong.runtime.errors import InputError
from belong.runtime.process_lock import one_writer
from belong.runtime.storage import put_folder, save_json, save_text
from belong.runtime.text import on_stderr as say
from belong.runtime.text import percent, percent_of, printable

if TYPE_CHECKING:
    from torch import nn

    from belong.models.backbones.backbone import Backbone
    from belong.prediction.manifest import Manifest
    from belong.prediction.model import Model

PAGE, SUMMARY = "report.html", "summary.json"
NEW_IMAGES = 10_000  # for the range of the rate in the plan: their sampling error is negligible


@dataclass(frozen=True)
class Job:
    """The plan of a fit and its inputs.

    Attributes:
        folder: the folder of the normal images.
        anomalies: the folder of the anomalies, or None.
        contents: the contents of `folder`.
        plan: the plan.
        values: all parameters, including those of the plan.
        backbone: the backbone with its weights; None: training from scratch.
        default_alpha: the false-rejection rate that enough images would allow.
        own_alpha: whether the user has set alpha.
    """

    folder: Path
    anomalies: Path | None
    contents: DataSet | ImageFiles
    plan: Plan
    values: Parameters
    backbone: "Backbone | None"
    default_alpha: float
    own_alpha: bool = False


def fit(
    folder: str | PathLike[str],
    output: str | PathLike[str],
    *,
    anomalies: str | PathLike[str] | None = None,
    alpha: float | None = None,
    guarantee: Guarantee | None = None,
    backbone: "str | nn.Module | None" = None,
    weights: str | PathLike[str] | None = None,
    from_scratch: bool = False,
    settings: Mapping[str, object] | None = None,
    require: Mapping[str, float] | None = None,
    calibration: str = "auto",
) -> "Model":
    """Fit a model to a folder with one subfolder of images per class.

    After an interruption the same call resumes: `.OUTPUT.work` beside the model has the progress.
    The command `belong fit` gives the same bytes on every x86-64 processor with AVX2; a Python
    program does so if BELONG_MATH=portable was in the environment when it started.

    Args:
        folder: a folder with one subfolder of images per class, or IDX files. With one class, or
            images alone, the model decides which images belong, and no classifier is trained.
        output: a new folder for the model, outside of the images; it gets `report.html` and
            `summary.json`, too.
        anomalies: a folder of images that do not belong, for the supervised head and the report.
        alpha: promised false-rejection rate, between 0 and 1; None: 0.025, or more if
            there are too few images to calibrate a smaller rate.
        guarantee: scope of alpha: "marginal" (on average over calibration sets; the default),
            "training-conditional" (with 95% certainty for the set that is drawn) or "per-class"
            (for each predicted class).
        backbone: a pretrained network: "efficientnet_lite0" (the default for photos and color
            images), "efficientnet_b0" (the paper's), any network of timm, or a torch module
            (n, 3, h, w) -> (n, d) with its preprocessing in the attributes `mean`, `std` and
            `side_px`.
        weights: a .safetensors or .pth file for the backbone; None: the published weights.
        from_scratch: train a small network without pretrained weights; the default for small
            grayscale images.
        settings: dotted keys of params.yaml -> values, such as {"train.epochs": 30}.
        require: minimum `accuracy` and `auroc` and maximum `false_reject` and `false_accept` on
            test images, from 0 to 1, such as {"accuracy": 0.9}.
        calibration: "split" holds images out to calibrate and to test; "cross" trains, calibrates
            and tests with every image, each scored by models fitted without it, and needs a
            frozen backbone; "auto" is "cross" if there are too few images to hold out.

    Returns:
        The model, with its measured quality in `model.info.assessment`.

    Raises:
        InputError: a folder, an option or a setting is wrong, there are too few images, or the
            training fails.
        TooManyBadFilesError: too many files cannot be read.
        RequirementError: the model is saved, but misses a requirement.

    Example:
        >>> model = belong.fit("digits", "new", alpha=0.2, settings={"train.epochs": 20})
        >>> model.class_names, model.alpha
        (('0', '1'), 0.2)
        >>> model.predict("digits/0").belongs.shape
        (70,)
        >>> belong.fit("digits", "new")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: new: exists already; expected the name of a new folder
    """
    required = check_requirements(require, has_anomalies=anomalies is not None)
    check_flag("from_scratch", from_scratch)
    output = as_path("output", output)
    check_new(output)
    check_work(work_beside(output))
    check_place(output)
    for name, images in (("folder", folder), ("anomalies", anomalies)):
        if images is not None and as_path(name, images).resolve() in output.resolve().parents:
            raise InputError(
                f"{output}: expected an output outside of {Path(images)}, where it would count as "
                f"a class without images"
            )
    request = BackboneRequest(backbone, weights, from_scratch)
    job = prepare(
        folder,
        anomalies=anomalies,
        alpha=alpha,
        guarantee=guarantee,
        request=request,
        settings=settings,
        calibration=calibration,
    )
    # Imported here: torch is slow, and a wrong folder is reported first.
    from belong.models.device import callers_settings

    with callers_settings():
        tell(job)
        with one_writer(output, say):
            check_new(output)  # another run may have ended with it
            model = make(job, output)
    if required:
        info = model.info
        sentences = unmet(info.measured, required, tests_itself=info.tests_itself)
        if sentences:
            what = f"{printable(output)}: is saved, but {'; '.join(sentences)}"
            raise RequirementError(what, model)
    return model


def prepare(
    folder: str | PathLike[str],
    *,
    anomalies: str | PathLike[str] | None = None,
    alpha: float | None = None,
    guarantee: Guarantee | None = None,
    request: BackboneRequest | None = None,
    settings: Mapping[str, object] | None = None,
    calibration: str = "auto",
) -> Job:
    """Plan a fit, and load and check the weights; arguments and errors are those of `fit`."""
    folder = as_path("folder", folder)
    anomalies = None if anomalies is None else as_path("anomalies", anomalies)
    settings = {} if settings is None else settings
    check_settings(settings)
    if alpha is not None:
        check_share("alpha", alpha)
    if guarantee is not None:
        check_choice("guarantee", guarantee, get_args(Guarantee))
    check_choice("calibration", calibration, CALIBRATIONS)
    promise_settings = {"calibration.alpha": alpha, "calibration.guarantee": guarantee}
    keys = dict(settings) | {
        key: value for key, value in promise_settings.items() if value is not None
    }
    keys = sources(folder, anomalies, keys)
    values = checked_parameters(keys)
    contents = look(folder)
    anomaly_contents, folders = [], [folder]
    if anomalies is not None:
        if anomalies.resolve() == folder.resolve():
            raise InputError(
                f"{anomalies}: expected another folder for the anomalies, got that of the normal "
                "images"
            )
        anomaly_contents.append(look(anomalies))
        folders.append(anomalies)
    if unread := unread_heif(contents, *anomaly_contents):
        say(unread)
    for path, images in zip(folders, (contents, *anomaly_contents), strict=True):
        check_one_readable(images, path, options=values.images)
    default_alpha, own_alpha = values.calibration.alpha, "calibration.alpha" in keys
    backbone = choose_backbone(request or BackboneRequest(), contents, keys, values)
    of_backbone = backbone_settings(backbone, keys)
    with _naming(folder):
        kind, keys["calibration.alpha"] = choose_calibration(
            contents,
            requested=calibration,
            alpha=default_alpha,
            own_alpha=own_alpha,
            guarantee=values.calibration.guarantee,
            is_frozen=bool(of_backbone.get("backbone.frozen")),
            split=values.split,
        )
        values = parameters(keys)
        job_plan = plan(
            contents,
            alpha=values.calibration.alpha,
            guarantee=values.calibration.guarantee,
            backbone=None if backbone is None else backbone.card,
            split=values.split,
            train=values.train,
            lambda_=values.lambda_,
            settings=keys,
            calibration=kind,
        )
    all_values = parameters(overrides(job_plan) | keys | of_backbone)
    return Job(
        folder, anomalies, contents, job_plan, all_values, backbone, default_alpha, own_alpha
    )


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Begin the message of an error with the folder."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{printable(folder)}: {error}") from None


def check_new(output: Path) -> None:
    """Refuse an existing output.

    Raises:
        InputError: the output exists.
    """
    if output.exists() or output.is_symlink():
        if output.exists() and output.name:
            # A run that was killed after its model was complete has left its work folder.
            remove_work(work_beside(output))
        raise InputError(f"{output}: exists already; expected the name of a new folder")


def tell(job: Job) -> None:
    """Print the plan and the estimated time."""
    # Imported here: torch is slow, and a wrong folder is reported first.
    from belong.commands.fit.time_estimate import estimate, in_words

    plan = job.plan
    name, least, _ = min(plan.classes, key=lambda one: one[1])
    is_one_class = len(plan.classes) == 1
    untrained = replace(plan, epochs=0) if is_one_class else plan
    seconds = estimate(job.contents, untrained, job.values, job.backbone)
    calibration, few = job.values.calibration, ""
    alpha = calibration.alpha
    if alpha > job.default_alpha:
        few = f"; too few images to calibrate {percent_of(job.default_alpha)}"
    total = sum(train + test for _, train, test in plan.classes)
    description = f"{len(plan.classes)} classes, at least {least:,} per class ({name})"
    training = f"{plan.epochs} epochs in batches of {plan.batch_size}"
    if is_one_class:
        description = (
            f"one class ({name}): the model decides which images belong, without predicting classes"
        )
        training = "no classifier"
    calibrates = f"{plan.calibration_fraction:.0%} of each class"
    if plan.calibration == "cross":
        n = plan.train_images
        calibrates = (
            f"cross-conformal, {FOLDS} folds: every image trains and calibrates, and is "
            f"scored by networks and detectors fitted without its fold"
        )
        few = few and f", the lowest rate that {n} images can promise"
        if calibration.guarantee == MARGINAL:
            _, high = promised_range(n, NEW_IMAGES, alpha=alpha, is_cross=True)
            few += f" (for 95 of 100 models fitted to as many images: at most {percent(high)})"
    if calibration.guarantee == PER_CLASS:
        few += _small_classes(plan, alpha)
    say(
        f"{job.folder}: {total:,} images of {description}\n"
        f"network: {plan.network} at {plan.side_px} px; {plan.why}\n"
        f"training: {plan.train_images:,} images, {training}; calibration: "
        f"{calibrates}\n"
        f"promise: {promise(alpha, calibration.guarantee)}{few}\n"
        f"estimated time: {in_words(seconds)}, at the current load of the machine"
    )


def _small_classes(plan: "Plan", alpha: float) -> str:
    """Return which classes have too few calibration images for a threshold of their own."""
    share = 1.0 if plan.calibration == "cross" else plan.calibration_fraction
    least = least_to_calibrate(alpha)
    small = [name for name, train, _ in plan.classes if round(train * share) < least]
    if not small:
        return ""
    names = ", ".join(map(printable, small))
    return (
        f"; the threshold of all classes decides for {names}: one of its own needs {least} "
        f"calibration images"
    )


def make(job: Job, output: Path) -> "Model":
    """Fit the model in `.NAME.work` beside `output`, and move it to `output` when it is complete.

    Raises:
        InputError: the images are refused; no progress is kept, as they would be refused again.
        KeyboardInterrupt: interrupted; the message names the folder with the progress.
    """
    from belong.commands.fit.recipe import STEPS, make_model
    from belong.commands.fit.workspace import Workspace
    from belong.prediction.model import load_model
    from belong.prediction.model_card import summary as card_summary

    work, start = work_beside(output), time.perf_counter()
    workspace = Workspace(work, key_of(job))
    if workspace.is_other:
        say(f"{output}: starting over; {work} is of other images, settings or versions")
    if workspace.has("pack"):
        slow = ["embed"] * is_frozen(job.values.network, job.values.backbone) + [
            "train",
            "train_autoencoder",
        ]
        step = next((one for one in slow if not workspace.has(one)), "extract")
        say(f"{output}: resumes at the stage {step}; the estimated time is that of the whole run")
    hint = f"{work} keeps the progress; run the same command to resume"
    try:
        bundle, page, learning = make_model(
            job.values,
            workspace,
            backbone=job.backbone,
            announce=lambda step: say(f"{step}: {STEPS[step]}"),
            cross=job.plan.calibration == "cross",
            lowers_promise=not job.own_alpha,
        )
        bundle = bundle.save(work / "bundle")
        save_text(work / "bundle" / PAGE, page)
        save_json(work / "bundle" / SUMMARY, card_summary(bundle.manifest))
        if learning and not learning.save(work / "bundle", bundle.manifest.digest):
            say(f"{output}: holds too many images for `belong learn`")
        put_folder(work / "bundle", output)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {hint}") from None
    except InputError:
        remove_work(work)
        raise
    except Exception:  # a full disk, or too little memory
        say(hint)
        raise
    remove_work(work)
    say(f"{output}: ready after {time.perf_counter() - start:.0f} s")
    say(summary(bundle.manifest, output))
    return load_model(output, backbone=own_module(job.backbone))


def own_module(backbone: "Backbone | None") -> "nn.Module | None":
    """Return the user's backbone module, which a model cannot rebuild, or None."""
    is_module = backbone is not None and backbone.card.architecture == OWN_MODULE
    return backbone.trunk if backbone is not None and is_module else None


def key_of(job: Job) -> str:
    """Return a hash of all inputs of a fit.

    Images are represented by their names, sizes and modification times.
    """
    from belong.models import device as devices
    from belong.runtime.fingerprint import fingerprint

    values = job.values
    devices.compute_repeatably(values.threads, values.math)
    folders = [job.folder] if job.anomalies is None else [job.folder, job.anomalies]
    files = [[str(path), *state] for folder in folders for path, state in states(folder)]
    backbone = None if job.backbone is None else job.backbone.digest
    settings = {
        "params": values.model_dump(),
        "images": files,
        "backbone": backbone,
        "calibration": [job.plan.calibration, job.own_alpha],
    }
    return fingerprint(settings, devices.choose(values.device))


def states(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield each file below a folder of images, with its size and modification time."""
    contents = look(folder)
    if isinstance(contents, ImageFiles):
        paths = [folder / name for name in contents.files]
    else:
        paths = sorted(folder.iterdir())
    for path in paths:
        try:
            state = path.stat()
        except OSError:  # a link to nothing
            state = path.lstat()
        yield path, (state.st_size, state.st_mtime_ns)


def summary(manifest: "Manifest", folder: Path) -> str:
    """Return the assessment of the model, a sentence per line; the last line is the verdict."""
    from belong.prediction.model_card import in_words

    *sentences, verdict = in_words(manifest)
    return "\n".join([*sentences, f"See also `belong info {printable(folder)}`.", verdict])
