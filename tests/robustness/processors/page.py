"""What was compared, and what came of it, as a page."""

from collections import Counter
from collections.abc import Sequence

from belong.runtime.environment import versions
from belong.runtime.portable_math import PORTABLE
from tests.robustness.processors.emulation import Run
from tests.robustness.processors.inputs import IMAGES
from tests.robustness.processors.steps import AVOIDED, ONNX


def is_promised(name: str) -> bool:
    """Return whether an output is to have the same bytes everywhere."""
    return not name.startswith((AVOIDED, ONNX))


def differing(run: Run, first: Run) -> list[str]:
    """Return the outputs that differ from the first run's, or that only one of them has."""
    return sorted({name for name, _ in run.digests.items() ^ first.digests.items()})


def broken(runs: Sequence[Run]) -> list[str]:
    """Return a line for each output that differs where portable math promises equal bytes."""
    first = runs[0]
    return [
        f"{run.processor.name}: {name}"
        for run in runs[1:]
        if run.processor.math == PORTABLE and run.processor.threads == first.processor.threads
        for name in differing(run, first)
        if is_promised(name)
    ]


def page(runs: Sequence[Run], qemu: str) -> str:
    """Return the page that is committed; the first run is this machine's, in portable mode."""
    first = runs[0]
    promised = [name for name in first.digests if is_promised(name)]
    lines = [
        "# The same bytes on other processors",
        "",
        "Made by `python -m tests.robustness.processors reports/processors.md`. Each row is one "
        "process. It ran the stages of `dvc.yaml` on "
        f"{IMAGES} images of MNIST and FashionMNIST (one epoch of LeNet, the autoencoder and the "
        "head; every detector, the calibration, the metrics, the figures, the bundle), decoded and "
        "resized five photos (JPEG, PNG, WebP, HEIC), gave the bundle's verdicts, embedded the "
        "photos with EfficientNet-Lite0, and computed products, decompositions, functions and "
        "sorts of larger matrices. The SHA-256 of every array and file is compared with that of "
        "the first row.",
        "",
        "| processor | maker | | `math` | threads | torch's, NumPy's and OpenBLAS's code | outputs "
        "| with other bytes | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in runs:
        one = run.processor
        count = sum(map(is_promised, differing(run, first)))
        chosen = ", ".join(run.seen[name] for name in ("torch", "NumPy", "OpenBLAS"))
        kind = "emulated" if one.is_emulated else "this machine"
        lines.append(
            f"| {one.name} | {one.maker} | {kind} | {one.math} | {one.threads} | {chosen} | "
            f"{len(promised)} | {count or 'none'} | {sum(run.seconds.values()):.0f} |"
        )
    lines += [
        "",
        "`fast` shows that the comparison sees differences; the promise is not made for it. Nor is "
        "it for another number of threads.",
        "",
        "## What was compared",
        "",
        "| output | arrays and files | same on all in portable mode with one thread |",
        "| --- | --- | --- |",
    ]
    bad = {line.partition(": ")[2] for line in broken(runs)}
    for group, count in Counter(map(_group, promised)).items():
        others = [name for name in sorted(bad) if _group(name) == group]
        lines.append(
            f"| {group} | {count} | {', '.join(['**no**', *others]) if others else 'yes'} |"
        )
    lines += [
        "",
        "## What is not portable, and what follows",
        "",
        "These operations of torch give other bytes on processors of other makers even in portable "
        "mode; most take a square root in MKL, which seems to approximate it in the maker's way. "
        "No variable changes that. belong uses none of them.",
        "",
        "| operation | processors in portable mode with one thread that differ from the first |",
        "| --- | --- |",
    ]
    equals = [
        run
        for run in runs[1:]
        if run.processor.math == PORTABLE and run.processor.threads == first.processor.threads
    ]
    for name in sorted(first.digests):
        if not is_promised(name) and ": " in name:
            count = sum(run.digests.get(name) != first.digests[name] for run in equals)
            lines.append(f"| {_shown(name)} | {count} of {len(equals)} |")
    lines += [
        "",
        "ONNX Runtime chooses its code by the processor whatever it is told. Exported graphs are "
        "compared with the model within a tolerance (`belong export --verify`).",
        "",
        "## With",
        "",
        f"QEMU {qemu}, {first.seen['C library']}, "
        + ", ".join(f"{name} {version}" for name, version in versions().items())
        + ".",
    ]
    return "\n".join([*lines, ""])


def _group(name: str) -> str:
    """Return the file of an array, or the folder of a file that is one of many."""
    path = name.partition(": ")[0]
    parts = path.split("/")
    return "/".join(parts[:2])


def _shown(name: str) -> str:
    file, _, operation = name.partition(": ")
    return f"ONNX Runtime: {operation}" if file == ONNX else operation.replace("/", ", ")
