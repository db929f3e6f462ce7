"""What every processor computes: the stages of dvc.yaml, and what they do not cover."""

import hashlib
import importlib
import io
import platform
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.special
import torch
from ruamel.yaml import YAML
from threadpoolctl import threadpool_info

from belong.data.image_reader import read_file
from belong.data.resize import Form, formed
from belong.models import device
from belong.prediction.model import load_model
from belong.runtime.storage import load_arrays, save_arrays, save_json
from tests.imports import ROOT

# The report's page holds the time of day, the page of charts has nothing computed in it, and the
# other three only read the tables of the grids.
NOT_RUN = {"report_page", "plots_page", "paper", "photos", "study_threads"}
WHITE = (255, 255, 255)
RESULTS = "results.json"
DTYPES = ("float32", "float64")
# Bytes that are not promised to be equal: of operations that belong does not use, and ONNX
# Runtime's, which chooses its code by the processor whatever it is told.
AVOIDED, ONNX = "avoided.safetensors", "onnx.safetensors"


def main(inputs: Path, *, math: str, threads: int, is_short: bool) -> None:
    """Compute everything in the current folder, an empty one; write the digests there."""
    for source in inputs.iterdir():
        Path(source.name).symlink_to(source)
    yaml = YAML()
    params = yaml.load(Path("params.yaml")) | {"math": math, "threads": threads}
    Path("params.yaml").unlink()
    yaml.dump(params, Path("params.yaml"))
    Path(params["further"]["path"]).mkdir(parents=True, exist_ok=True)  # no set but the letters
    device.compute_repeatably(threads, math)
    seconds = {}
    for name, step in steps(is_short=is_short):
        start = time.perf_counter()
        step()
        seconds[name] = round(time.perf_counter() - start, 2)
        print(name, seconds[name], flush=True)  # noqa: T201
    save_json(
        Path(RESULTS),
        {"chosen_code": chosen_code(), "seconds": seconds, "digests": dict(digests(Path()))},
    )


def steps(*, is_short: bool) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield each step with its name, in the order of the pipeline."""
    for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items():
        if name not in NOT_RUN and not (is_short and name == "report"):
            yield name, stage_of(stage["cmd"])
    yield "photos", decode_photos
    yield "predict", predict
    yield "products", products
    yield "functions", functions
    yield "avoided", avoided
    if not is_short:
        yield "backbone's vectors", embed_photos
        yield "onnx", run_onnx


def stage_of(command: str) -> Callable[[], None]:
    """Return the call that is the command line `python -m stages.NAME PATHS`."""
    _, _, module, *paths = shlex.split(command)
    main = importlib.import_module(module).main

    def run() -> None:
        for path in paths:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        with redirect_stderr(io.StringIO()):  # the notes on small classes
            main(*map(Path, paths))

    return run


def decode_photos() -> None:
    """Decode files of every kind, and bring them to the forms of LeNet and of a backbone."""
    forms = {"grey": Form(32, 32, "grey"), "rgb": Form(96, 96, "rgb")}
    pixels = {}
    for path in sorted(Path("photos").iterdir()):
        for name, form in forms.items():
            content = read_file(path, needed_px=form.height, max_pixels=10**7, background=WHITE)
            pixels[f"{path.name}/{name}"] = formed(content.image, form)
    save_arrays(Path("photos.safetensors"), pixels)


def predict() -> None:
    """Give the verdicts of the bundle on images of both data sets."""
    images = load_arrays(
        Path("data/images.safetensors"), "normal/test/images", "anomaly/test/images"
    )
    pixels = np.concatenate([array[:20] for array in images.values()]).transpose(0, 2, 3, 1)
    predictions = load_model("data/bundle").predict(pixels, jobs=1)
    predictions.to_pandas().to_csv("predictions.csv")


def products() -> None:
    """Multiply and decompose matrices that are larger than those of a small pipeline."""
    out: dict[str, np.ndarray] = {}
    for dtype in DTYPES:
        x = np.random.default_rng(0).standard_normal((400, 130)).astype(dtype)
        square = (x.T @ x / len(x) + np.eye(130)).astype(dtype)
        y, m = torch.from_numpy(x), torch.from_numpy(square)
        lower = torch.from_numpy(np.linalg.cholesky(square))
        svd = torch.linalg.svd(y, full_matrices=False)
        computed = {
            "numpy.matmul": square @ x.T,
            "numpy.cholesky": np.linalg.cholesky(square),
            "numpy.eigh": np.linalg.eigh(square)[1],
            "numpy.svd": np.linalg.svd(x, full_matrices=False)[0],
            "numpy.solve": np.linalg.solve(square, x.T),
            "scipy.eigh": scipy.linalg.eigh(square)[1],
            "scipy.cho_solve": scipy.linalg.cho_solve(scipy.linalg.cho_factor(square), x.T),
            "torch.matmul": (m @ y.T).numpy(),
            "torch.eigh": torch.linalg.eigh(m).eigenvectors.numpy(),
            "torch.svd": svd.U.numpy(),
            "torch.solve_triangular": torch.linalg.solve_triangular(lower, y.T, upper=False),
            "torch.vector_norm": torch.linalg.vector_norm(y, dim=1),
            "torch.cdist": torch.cdist(y, y[:50], compute_mode="donot_use_mm_for_euclid_dist"),
        }
        out |= {f"{name}/{dtype}": np.ascontiguousarray(a) for name, a in computed.items()}
    out["torch.cholesky/float64"] = torch.linalg.cholesky(m).numpy()
    save_arrays(Path("products.safetensors"), out)


def functions() -> None:
    """Compute functions of each number, sums, sorts and a convolution with its gradients."""
    rng = np.random.default_rng(1)
    out: dict[str, np.ndarray] = {}
    for dtype in DTYPES:
        x = numbers(dtype)
        y = torch.from_numpy(x)
        names = ("exp", "log", "log1p", "tanh", "sin", "sqrt", "cbrt", "sum", "std")
        out |= {f"numpy.{name}/{dtype}": np.asarray(getattr(np, name)(x)) for name in names}
        others = ("exp", "log", "log1p", "tanh", "sigmoid", "erf", "rsqrt", "sum", "var", "std")
        computed = {name: getattr(y, name)() for name in others}
        rows = y[:10_000].reshape(100, 100)
        computed |= {"softmax": rows.softmax(1), "logsumexp": rows.logsumexp(1)}
        ties = np.floor(x * 20)
        computed["argsort"] = torch.from_numpy(ties).argsort()
        computed["topk"] = torch.from_numpy(ties).topk(50).indices
        out |= {f"torch.{name}/{dtype}": a.numpy() for name, a in computed.items()}
        out |= {
            f"scipy.gammaln/{dtype}": scipy.special.gammaln(x),
            f"numpy.argsort/{dtype}": np.argsort(ties),
            f"numpy.argpartition/{dtype}": np.argpartition(ties, 100),
        }
    images = torch.from_numpy(rng.standard_normal((8, 3, 40, 40)).astype(np.float32))
    for groups, name in ((1, "conv2d"), (3, "depthwise")):
        weight = torch.from_numpy(rng.standard_normal((12, 3 // groups, 5, 5)).astype(np.float32))
        weight.requires_grad_()
        convolved = torch.nn.functional.conv2d(images, weight, padding=2, groups=groups)
        (gradient,) = torch.autograd.grad(convolved.square().mean(), weight)
        out |= {f"torch.{name}": convolved.detach().numpy(), f"{name}.grad": gradient.numpy()}
    save_arrays(Path("functions.safetensors"), out)


def numbers(dtype: str) -> np.ndarray:
    """Return positive numbers (10007,)."""
    return (np.abs(np.random.default_rng(2).standard_normal(10_007)) + 0.001).astype(dtype)


def avoided() -> None:
    """Compute what MKL computes otherwise on each maker's processors, and belong never uses."""
    out: dict[str, torch.Tensor] = {}
    for dtype in DTYPES:
        y = torch.from_numpy(numbers(dtype))
        rows = y[:10_000].reshape(100, 100)
        out |= {
            f"torch.sqrt/{dtype}": y.sqrt(),
            f"torch.atan/{dtype}": y.atan(),
            f"torch.acos/{dtype}": y.clamp(max=1).acos(),
            f"torch.asin/{dtype}": y.clamp(max=1).asin(),
            f"torch.cdist by products/{dtype}": torch.cdist(rows, rows),
        }
        weights = torch.nn.Parameter(y[:100].clone())
        optimizer = torch.optim.Adam([weights])
        for power in (2, 3, 4):
            (weights.grad,) = torch.autograd.grad(weights.pow(power).sum(), weights)
            optimizer.step()
        out[f"torch.optim.Adam without fused/{dtype}"] = weights.detach()
    square = torch.from_numpy(np.cov(np.random.default_rng(0).standard_normal((8, 99))))
    out["torch.cholesky/float32"] = torch.linalg.cholesky(square.float())
    save_arrays(Path(AVOIDED), {name: a.numpy() for name, a in out.items()})


def embed_photos() -> None:
    """Compute the vectors of the default backbone for the photos."""
    from belong.models.backbones.catalog import backbone_named

    photos = load_arrays(Path("photos.safetensors"))
    pixels = np.stack([array for name, array in photos.items() if name.endswith("rgb")])
    with torch.inference_mode():
        vectors = backbone_named("efficientnet_lite0").vectors(torch.from_numpy(pixels))
    save_arrays(Path("vectors.safetensors"), {"vectors": vectors.numpy()})


def run_onnx() -> None:
    """Export the model, and run the graph."""
    import onnxruntime

    from belong.commands.export import export

    export("data/bundle", "model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession("model.onnx", options)
    images = load_arrays(Path("data/images.safetensors"), "normal/test/images")
    (pixels,) = (array[:20].transpose(0, 2, 3, 1) for array in images.values())
    (name,) = (one.name for one in session.get_inputs())
    answers = session.run(None, {name: np.ascontiguousarray(pixels)})
    names = [one.name for one in session.get_outputs()]
    floats = {n: a for n, a in zip(names, answers, strict=True) if a.dtype != object}
    save_arrays(Path(ONNX), floats)


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each array, and each file that has none, with its SHA-256."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.name == "params.yaml":
            continue
        if path.suffix == ".safetensors":
            for name, array in load_arrays(path).items():
                yield f"{path}: {name}", hashlib.sha256(array.tobytes()).hexdigest()
        yield str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def chosen_code() -> Mapping[str, str]:
    """Return which code the libraries chose for the processor that they see."""
    features = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    levels = [name for name in ("X86_V2", "X86_V3", "X86_V4") if features.get(name)]
    blas = {one["architecture"] for one in threadpool_info() if one["internal_api"] == "openblas"}
    return {
        "torch": torch.backends.cpu.get_cpu_capability(),
        "NumPy": levels[-1] if levels else "none",
        "OpenBLAS": ", ".join(sorted(blas)),
        "C library": " ".join(platform.libc_ver()),
    }
