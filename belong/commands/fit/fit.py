"""Fit a model to a folder of images for each class: the work of `belong fit`.

The stages of dvc.yaml run one after the other in a folder of their own, without DVC: what is fitted
here is fitted as `dvc repro` does it. After an interruption the same call goes on behind the last
stage that was finished, and a training behind its last epoch. It is no stage itself.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from belong.commands.fit.plan import Plan, as_given, overrides, plan
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.loader import look
from belong.parameters import ImagesSection, Parameters
from belong.prediction.bundle import Bundle
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.process_lock import one_writer
from belong.runtime.storage import whole_file
from belong.runtime.typed_yaml import read
from stages.finished import Finished
from stages.sequence import Step, run_steps, steps_to

if TYPE_CHECKING:
    from belong.commands.fit.time_estimate import Estimate

HERE = Path(__file__).parent
# Links to the project's own two files, so that they are in an installed package too.
PIPELINE, DEFAULTS = HERE / "pipeline.yaml", HERE / "defaults.yaml"

TARGETS = ("bundle", "report_page")
BUNDLE, PAGE = Path("data/bundle"), Path("reports/report.html")
UNREADABLE = Path("data/unreadable.csv")


def setting(text: str) -> tuple[str, object]:
    """Return key and value of `KEY=VALUE`; the value is read as YAML."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise InputError(f"--set {text}: wanted KEY=VALUE, such as train.epochs=30")
    try:
        return key, YAML(typ="safe", pure=True).load(value)
    except YAMLError:
        raise InputError(f"--set {text}: not valid YAML behind the =") from None


def fit(
    folder: Path,
    model: Path | None,
    *,
    anomalies: Path | None = None,
    alpha: float | None = None,
    weights: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> Plan:
    """Fit a model to the images in `folder` and write it to the new folder `model`.

    Args:
        folder: class folders or IDX files, as `belong.data.loader.look` takes them.
        model: the bundle, with `report.html` beside its files, outside of the images; None to
            plan only.
        anomalies: images that do not belong, for the supervised head and for the report.
        alpha: share of the images that belong that may be rejected, between 0 and 1; that of
            params.yaml if None.
        weights: "imagenet", or a .safetensors file for EfficientNet-B0; None trains a small
            network from scratch.
        settings: other keys of params.yaml, dotted.

    Raises:
        InputError: what is wrong with the folder or a setting; TooManyBadFilesError if too many
            files cannot be read.
    """
    if model is not None:
        check_new(model)
    for images in (folder, anomalies):
        if model is not None and images is not None and images.resolve() in model.resolve().parents:
            raise InputError(
                f"{model}: is in {images}, where it would be a class without images; wanted a "
                f"folder outside"
            )
    own = dict(settings or {}) | ({"calibration.alpha": alpha} if alpha is not None else {})
    values = read(DEFAULTS)
    put(values, places(folder, anomalies, weights) | own)
    Parameters.parse(values, Path("--set"))
    found = look(folder)
    check_beside(folder, anomalies, weights)
    made = plan(
        found,
        alpha=values["calibration"]["alpha"],
        has_weights=weights is not None,
        test_fraction=values["split"]["test_fraction"],
        calibration_fraction=values["split"]["calibration_fraction"],
        batch_size=values["train"]["batch_size"],
        epochs=values["train"]["epochs"],
    )
    made = as_given(made, own)
    put(values, {key: value for key, value in overrides(made).items() if key not in own})
    Parameters.parse(values, Path("--set"))
    tell(folder, made, values, time_for(found, made, values))
    if model is not None:
        with one_writer(model, say):
            check_new(model)  # another run may have ended with it
            given = [folder] if anomalies is None else [folder, anomalies]
            run_all(values, model, key_of(values, given, weights))
    return made


def check_new(model: Path) -> None:
    """Refuse to write over anything.

    Raises:
        InputError: there is something of this name.
    """
    if model.exists():
        # A run that was killed when its model was there already has left the rest.
        shutil.rmtree(work_beside(model), ignore_errors=True)
        raise InputError(f"{model}: exists already; wanted the name of a new folder")


def work_beside(model: Path) -> Path:
    """Return the folder in which the stages work."""
    return model.with_name(f".{model.name}.work")


def check_beside(folder: Path, anomalies: Path | None, weights: str | None) -> None:
    """Refuse at once what a stage would refuse after the plan.

    Raises:
        InputError: the anomalies are no folder of images or are the images that belong, or there
            is no such file of weights.
    """
    if anomalies is not None:
        if anomalies.resolve() == folder.resolve():
            raise InputError(f"{anomalies}: is the folder of the normal images; wanted another one")
        look(anomalies)
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise InputError(
            f"--weights {weights}: no such file; wanted imagenet or a .safetensors file"
        )


def put(values: dict[str, Any], dotted: Mapping[str, object]) -> None:
    """Set the keys of nested `values`; an unknown one stays for `Parameters` to refuse."""
    for key, value in dotted.items():
        *sections, last = key.split(".")
        inside = values
        for section in sections:
            inside = inside.setdefault(section, {})
            if not isinstance(inside, dict):
                raise InputError(f"{key}: {section} has no keys of its own")
        inside[last] = value


def places(folder: Path, anomalies: Path | None, weights: str | None) -> dict[str, object]:
    """Return where the images and weights lie."""
    own = str(folder.resolve())
    other = own if anomalies is None else str(anomalies.resolve())
    set_: dict[str, object] = {
        "normal.path": own,
        "normal.classes": "all",
        "anomaly.path": other,
        "anomaly.classes": "none" if anomalies is None else "all",
        "unseen.path": own,
        "unseen.classes": "none",
    }
    if weights is not None:
        given = weights if weights == "imagenet" else str(Path(weights).resolve())
        set_ |= {"efficientnet.weights": given, "efficientnet.frozen": True}
    return set_


def time_for(found: DataSet | ImageFiles, made: Plan, values: Mapping[str, Any]) -> "Estimate":
    """Return how long the plan will take."""
    # Not at the top: torch comes with it, and a mistake in the folder is answered before.
    from belong.commands.fit.time_estimate import estimate
    from belong.models import device

    device.compute_repeatably(values["threads"])
    return estimate(
        found,
        made,
        is_frozen=made.network == "efficientnet_b0" and values["efficientnet"]["frozen"],
        embedding=values["train"]["embedding"],
        derived_images=values["derive"]["images"],
        background=ImagesSection.model_validate(values["images"]).background_rgb,
        max_pixels=values["images"]["max_pixels"],
        place=device.choose(values["device"]),
    )


def tell(folder: Path, made: Plan, values: Mapping[str, Any], time_wanted: "Estimate") -> None:
    """Print the plan."""
    least = min(made.classes, key=lambda one: one[1])
    total = sum(train + test for _, train, test in made.classes)
    say(
        f"{folder}: {total:,} images of {len(made.classes)} classes, {least[1]:,} at least "
        f"({least[0]})\n"
        f"network: {made.network} at {made.side_px} px; {made.why}\n"
        f"training: {made.train_images:,} images, {made.epochs} passes of {made.batch_size}; "
        f"{made.calibration_fraction:.0%} of each class calibrate\n"
        f"promise: {values['calibration']['alpha']:.1%} of the images that belong are rejected\n"
        f"time: {time_wanted}, if the machine stays as busy as it is"
    )


def key_of(values: Mapping[str, Any], images: Sequence[Path], weights: str | None) -> str:
    """Return what stands for all that a fit depends on.

    Of images these are the names, sizes and times of change.
    """
    from belong.models import device
    from belong.runtime.fingerprint import fingerprint

    listed = [[str(path), *state] for top in images for path, state in states(top)]
    files = [PIPELINE] if weights in (None, "imagenet") else [PIPELINE, Path(str(weights))]
    settings = {"params": values, "images": listed}
    return fingerprint(settings, device.choose(values["device"]), *files)


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


def run_all(values: dict[str, Any], model: Path, key: str) -> None:
    """Run the stages beside `model`, and put the bundle in its place when all is done.

    Args:
        values: those of params.yaml.
        model: the new folder; what is finished is kept in `.NAME.work` beside it until all is.
        key: stands for all that the stages depend on.

    Raises:
        InputError: what a stage refuses; nothing is kept then, for it would refuse it again.
        KeyboardInterrupt: says what is kept.
    """
    work = work_beside(model)
    steps = steps_to(TARGETS, PIPELINE)
    finished = Finished(work, key)
    left = finished.left(steps)
    told = [step for step in left if step.name not in idle(values)]
    if len(left) < len(steps):
        where = f"with the stage {told[0].name}" if told else "behind the last stage"
        say(f"{model}: goes on {where}, where it was interrupted; the time is that of the whole")
    elif finished.is_other:
        say(f"{model}: begins anew; {work} was of other images, settings or versions")
        shutil.rmtree(work)
    (work / "data").mkdir(parents=True, exist_ok=True)
    kept = f"{work} keeps what is done, and the same command goes on from there"
    try:
        params = work / "params.yaml"
        with whole_file(params) as part, part.open("w", encoding="utf-8") as file:
            YAML().dump(values, file)
        start = time.perf_counter()
        run_steps(
            left,
            params,
            PIPELINE,
            work,
            before=lambda step: announce(step) if step in told else None,
            after=finished.note,
        )
        shutil.copy(work / PAGE, work / BUNDLE / PAGE.name)
        (work / BUNDLE).replace(model)
        seconds = time.perf_counter() - start
        say(f"{model}: ready after {seconds:.0f} s\n{summary(model)}")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {kept}") from None
    except InputError as error:
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(error, TooManyBadFilesError):  # its list is gone with the folder
            said = str(error).replace(f"{work / UNREADABLE} lists", "`belong check -o OUT` lists")
            raise TooManyBadFilesError(said) from None
        raise
    except Exception:  # a full disk, want of memory
        say(kept)
        raise
    shutil.rmtree(work, ignore_errors=True)


def summary(model: Path) -> str:
    """Return in two lines how good the model is."""
    manifest = Bundle.load(model).manifest
    own = manifest.measured
    low, high = own.expected
    found = "" if own.auroc is None else f", AUROC {own.auroc:.4f} on {own.anomalies:,} anomalies"
    return (
        f"accuracy: {own.accuracy:.4f} on {own.normal_images:,} test images{found}\n"
        f"rejected: {own.false_reject:.1%} of them; {manifest.alpha:.1%} were promised, which is "
        f"{low:.1%} to {high:.1%} of so many; `belong info {model}` says more"
    )


def idle(values: Mapping[str, Any]) -> set[str]:
    """Return the stages that have nothing to do, and of which a user is told nothing."""
    of_backbone = {"backbone", "embed"} if values["network"] == "lenet" else set()
    of_anomalies = {"train_head"} if values["anomaly"]["classes"] == "none" else set()
    return of_backbone | of_anomalies


def announce(step: Step) -> None:
    """Name the stage that begins."""
    say(f"{step.name}: {step.desc}")


def say(text: str) -> None:
    """Tell the user something on standard error."""
    print(text, file=sys.stderr)  # noqa: T201
