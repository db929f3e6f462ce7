"""Fit a model to a folder of images for each class: the work of `belong fit`.

Nothing here is a stage of dvc.yaml, but the same functions are called (`recipe`): what is fitted is
fitted as `dvc repro` does it. After an interruption the same call goes on behind the last slow
result that is whole, and a training behind its last epoch.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from belong.calibration.sample_size import Guarantee
from belong.calibration.verdict_rule import promise
from belong.commands.fit.backbone_choice import backbone_settings, choose_backbone
from belong.commands.fit.backbone_request import BackboneRequest
from belong.commands.fit.plan import Plan, affordable_alpha, overrides, plan
from belong.commands.fit.requirements import RequirementError, check_requirements, unmet
from belong.commands.fit.settings import parameters, sources
from belong.commands.fit.work_folder import check_work, remove_work, work_beside
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.loader import look, unread_heif
from belong.models.backbones.card import OWN_MODULE
from belong.parameters import Parameters
from belong.runtime.arguments import as_path, check_place, check_settings
from belong.runtime.errors import InputError
from belong.runtime.process_lock import one_writer
from belong.runtime.storage import put_folder, save_json, save_text
from belong.runtime.text import on_stderr as say
from belong.runtime.text import printable

if TYPE_CHECKING:
    from torch import nn

    from belong.models.backbones.backbone import Backbone
    from belong.prediction.manifest import Manifest
    from belong.prediction.model import Model

PAGE, SUMMARY = "report.html", "summary.json"


@dataclass(frozen=True)
class Job:
    """What is going to be fitted.

    Attributes:
        folder: the images that belong.
        anomalies: those that do not, if there are any.
        found: what lies in the folder.
        plan: what will be done.
        values: all parameters, those of the plan among them.
        backbone: what the network stands on, with its weights; None from scratch.
        default_alpha: the share of false rejects that more images could keep.
    """

    folder: Path
    anomalies: Path | None
    found: DataSet | ImageFiles
    plan: Plan
    values: Parameters
    backbone: "Backbone | None"
    default_alpha: float


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
) -> "Model":
    """Fit a model to a folder of images for each class.

    After an interruption the same call resumes: `.OUTPUT.work` beside the model keeps what is done.

    Args:
        folder: a folder of images for each class in it, or IDX files.
        output: the model, a new folder outside of the images; `report.html` and `summary.json`
            are put into it.
        anomalies: a folder of images that do not belong, for the supervised head and the report.
        alpha: share of images that belong and may be rejected, between 0 and 1; None: 0.025, or
            0.05, 0.1 or 0.2 where the images are too few to calibrate less.
        guarantee: of what alpha is kept: "marginal" (on average over calibration sets; the
            default), "training-conditional" (with 95 % certainty for the one that is drawn) or
            "per-class" (of each predicted class by itself).
        backbone: a network that has learned to see: "efficientnet_lite0" (the default for photos
            and for images in color), "efficientnet_b0" (the paper's), any name of timm's, or a
            torch module (n, 3, h, w) -> (n, d), whose attributes `mean`, `std` and `side_px` state
            its preprocessing.
        weights: of the backbone: a .safetensors or .pth file; None: those that its maker published.
        from_scratch: train a small network without learned weights; small grey images always do.
        settings: other keys of params.yaml, dotted, such as {"train.epochs": 30}.
        require: what the model has to reach on test images, such as {"accuracy": 0.9}: the least
            `accuracy` and `auroc`, the largest `false_reject` and `false_accept`, from 0 to 1.

    Returns:
        The model; `model.info.assessment` says how good it is.

    Raises:
        InputError: a folder or a setting is wrong.
        TooManyBadFilesError: too many files cannot be read.
        RequirementError: the model, which is saved, does not reach what is required.

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
    output = as_path("output", output)
    check_new(output)
    check_work(work_beside(output))
    check_place(output)
    for name, images in (("folder", folder), ("anomalies", anomalies)):
        if images is not None and as_path(name, images).resolve() in output.resolve().parents:
            raise InputError(
                f"{output}: is in {Path(images)}, where it would be a class without images; "
                f"expected a folder outside"
            )
    request = BackboneRequest(backbone, weights, from_scratch)
    job = prepare(
        folder,
        anomalies=anomalies,
        alpha=alpha,
        guarantee=guarantee,
        request=request,
        settings=settings,
    )
    # Not at the top: torch comes with it, and a mistake in the folder is answered before.
    from belong.models.device import callers_settings

    with callers_settings():
        tell(job)
        with one_writer(output, say):
            check_new(output)  # another run may have ended with it
            model = make(job, output)
    if required and (missed := unmet(model.info.measured, required)):
        raise RequirementError(f"{printable(output)}: is saved, but {'; '.join(missed)}", model)
    return model


def prepare(
    folder: str | PathLike[str],
    *,
    anomalies: str | PathLike[str] | None = None,
    alpha: float | None = None,
    guarantee: Guarantee | None = None,
    request: BackboneRequest | None = None,
    settings: Mapping[str, object] | None = None,
) -> Job:
    """Return what `fit` would do; the arguments and errors are its own.

    The weights are loaded and checked.
    """
    folder = as_path("folder", folder)
    anomalies = None if anomalies is None else as_path("anomalies", anomalies)
    settings = {} if settings is None else settings
    check_settings(settings)
    promised = {"calibration.alpha": alpha, "calibration.guarantee": guarantee}
    own = dict(settings) | {key: value for key, value in promised.items() if value is not None}
    own = sources(folder, anomalies, own)
    values = parameters(own)
    found = look(folder)
    others = []
    if anomalies is not None:
        if anomalies.resolve() == folder.resolve():
            raise InputError(
                f"{anomalies}: is the folder of the normal images; expected another one"
            )
        others.append(look(anomalies))
    if unread := unread_heif(found, *others):
        say(unread)
    default_alpha = values.calibration.alpha
    if "calibration.alpha" not in own:
        own["calibration.alpha"] = affordable_alpha(
            found, default_alpha, values.split, values.calibration.guarantee
        )
        values = parameters(own)
    backbone = choose_backbone(request or BackboneRequest(), found, own, values)
    chosen = plan(
        found,
        alpha=values.calibration.alpha,
        guarantee=values.calibration.guarantee,
        backbone=None if backbone is None else backbone.card,
        split=values.split,
        train=values.train,
        lambda_=values.lambda_,
        settings=own,
    )
    own |= backbone_settings(backbone, own)
    parsed = parameters(overrides(chosen) | own)
    return Job(folder, anomalies, found, chosen, parsed, backbone, default_alpha)


def check_new(output: Path) -> None:
    """Refuse to write over anything.

    Raises:
        InputError: there is something of this name.
    """
    if output.exists() or output.is_symlink():
        if output.exists() and output.name:
            # A run that was killed when its model was there already has left the rest.
            remove_work(work_beside(output))
        raise InputError(f"{output}: exists already; expected the name of a new folder")


def tell(job: Job) -> None:
    """Print the plan, and how long it will take."""
    # Not at the top: torch comes with it, and a mistake in the folder is answered before.
    from belong.commands.fit.time_estimate import estimate, in_words

    chosen = job.plan
    name, least, _ = min(chosen.classes, key=lambda one: one[1])
    seconds = estimate(job.found, chosen, job.values, job.backbone)
    calibration, few = job.values.calibration, ""
    alpha = calibration.alpha
    if alpha > job.default_alpha:
        few = f"; the images are too few to calibrate {job.default_alpha:.1%}"
    total = sum(train + test for _, train, test in chosen.classes)
    say(
        f"{job.folder}: {total:,} images of {len(chosen.classes)} classes, {least:,} at least "
        f"({name})\n"
        f"network: {chosen.network} at {chosen.side_px} px; {chosen.why}\n"
        f"training: {chosen.train_images:,} images, {chosen.epochs} passes of "
        f"{chosen.batch_size}; {chosen.calibration_fraction:.0%} of each class calibrate\n"
        f"promise: {promise(alpha, calibration.guarantee)}{few}\n"
        f"time: {in_words(seconds)}, if the machine stays as busy as it is"
    )


def make(job: Job, output: Path) -> "Model":
    """Make the model beside `output`, and put it there when all is done.

    What is finished is kept in `.NAME.work` until all is.

    Raises:
        InputError: what is refused of the images; nothing is kept then, for it would be refused
            again.
        KeyboardInterrupt: says what is kept.
    """
    from belong.commands.fit.recipe import STEPS, make_model
    from belong.commands.fit.workspace import Workspace
    from belong.prediction.model import load_model
    from belong.prediction.model_card import summary as card_summary

    work, start = work_beside(output), time.perf_counter()
    workspace = Workspace(work, key_of(job))
    if workspace.is_other:
        say(f"{output}: begins anew; {work} was of other images, settings or versions")
    if workspace.has("pack"):
        slow = ["embed"] * job.values.is_frozen + ["train", "train_autoencoder"]
        step = next((one for one in slow if not workspace.has(one)), "extract")
        say(
            f"{output}: goes on with the stage {step}, where it was interrupted; the time is that "
            f"of the whole"
        )
    kept = f"{work} keeps what is done, and the same command goes on from there"
    try:
        bundle, page = make_model(
            job.values,
            workspace,
            backbone=job.backbone,
            announce=lambda step: say(f"{step}: {STEPS[step]}"),
        )
        bundle = bundle.save(work / "bundle")
        save_text(work / "bundle" / PAGE, page)
        save_json(work / "bundle" / SUMMARY, card_summary(bundle.manifest))
        put_folder(work / "bundle", output)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {kept}") from None
    except InputError:
        remove_work(work)
        raise
    except Exception:  # a full disk, want of memory
        say(kept)
        raise
    remove_work(work)
    say(f"{output}: ready after {time.perf_counter() - start:.0f} s")
    say(summary(bundle.manifest, output))
    return load_model(output, backbone=own_module(job.backbone))


def own_module(backbone: "Backbone | None") -> "nn.Module | None":
    """Return the module if the backbone is a person's own: the model cannot rebuild it."""
    is_own = backbone is not None and backbone.card.architecture == OWN_MODULE
    return backbone.trunk if backbone is not None and is_own else None


def key_of(job: Job) -> str:
    """Return what stands for all that a fit depends on.

    Of images these are the names, sizes and times of change.
    """
    from belong.models import device as devices
    from belong.runtime.fingerprint import fingerprint

    values = job.values
    devices.compute_repeatably(values.threads, values.math)
    folders = [job.folder] if job.anomalies is None else [job.folder, job.anomalies]
    listed = [[str(path), *state] for folder in folders for path, state in states(folder)]
    backbone = None if job.backbone is None else job.backbone.digest
    settings = {"params": values.model_dump(), "images": listed, "backbone": backbone}
    return fingerprint(settings, devices.choose(values.device))


def states(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield each file below a folder of images, with what changes when it does."""
    found = look(folder)
    if isinstance(found, ImageFiles):
        paths = [folder / name for name in found.files]
    else:
        paths = sorted(folder.iterdir())
    for path in paths:
        try:
            state = path.stat()
        except OSError:  # a link to nothing
            state = path.lstat()
        yield path, (state.st_size, state.st_mtime_ns)


def summary(manifest: "Manifest", folder: Path) -> str:
    """Return how good the model in a folder is, a sentence a line; the last one is the verdict."""
    from belong.prediction.model_card import in_words

    *sentences, verdict = in_words(manifest)
    return "\n".join([*sentences, f"`belong info {printable(folder)}` says more.", verdict])
