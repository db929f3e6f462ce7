"""Draw the figures of the papers, and histograms of the scores.

Every function takes values and returns a figure; no function reads or writes a file.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from belong.evaluation.detector_agreement import most_anomalous
from belong.evaluation.pca import Plane, plane
from belong.reporting.histogram_bins import score_edges, shares
from belong.reporting.palette import ANOMALY, NORMAL, STRONG, WEAK, lines

STYLE: Any = {
    "figure.dpi": 160,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def every_figure(
    scores: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    *,
    numbers: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    images: np.ndarray,
    ink: bool,
    vectors: Mapping[str, np.ndarray],
    centroids: np.ndarray,
    lambda_: float,
    alpha: float,
    top_images: int,
) -> dict[str, Figure]:
    """Draw all figures for which there are data; return name -> figure.

    The arguments are those of `belong.evaluation.evaluate.evaluate` and `report_page`, except:
    `numbers` is the key `detectors` of metrics_all.json; `tables` also has `training` and
    `acceptance`; `images` (n, ch, h, w) uint8 are the normal test images; `ink` inverts images of
    one channel; `top_images` is the number of images per row of the gallery.
    """
    names, thresholds = about["class_names"], about["thresholds"]
    normal = {name: scores[f"normal/test/{name}"] for name in thresholds}
    figures = {
        "features": features(
            plane(vectors, centroids, names),
            f"Features of the last hidden layer, lambda = {lambda_:g}",
        ),
        "scores": score_histograms(
            {
                name: {kind: scores[f"{kind}/test/{name}"] for kind in vectors}
                for name in thresholds
            },
            thresholds,
        ),
        "gallery": gallery(
            images,
            np.take(names, scores["normal/test/labels"]),
            gallery_rows(normal, top_images),
            ink=ink,
        ),
        "calibration": calibration(tables["calibration_curve"]),
        "picked_classes": picked_classes(tables["picked_classes"]),
        "anomaly_sets": anomaly_sets(tables["anomaly_sets"]),
        "training": training(tables["training"]),
    }
    if len(tables["acceptance"]):
        figures["acceptance"] = acceptance(tables["acceptance"], 1 - alpha)
    if "anomaly" in vectors:
        figures["roc"] = roc(
            {name: tables[f"roc/{name}"] for name in thresholds},
            {name: numbers[name]["auroc"] for name in thresholds},
        )
    return figures


@rc_context(STYLE)
def roc(curves: Mapping[str, pd.DataFrame], auroc: Mapping[str, float]) -> Figure:
    """Draw the ROC curves of all detectors, with the corner on a logarithmic axis.

    Paper A, figure 5. A curve has the columns `false_positive_rate` and `true_positive_rate`.
    The detectors of `STRONG` stand out; the legend runs from the best to the worst.
    """
    figure = Figure(figsize=(10.6, 4.2), layout="constrained")
    whole, corner = figure.subplots(1, 2)
    ranked = sorted(curves, key=lambda name: -auroc[name])
    for name, (color, style) in lines(ranked).items():
        x, y = curves[name]["false_positive_rate"], curves[name]["true_positive_rate"]
        for axes in (whole, corner):
            label = f"{auroc[name]:.4f}  {name}"
            axes.plot(x, y, **_line(name, color, style), label=label, drawstyle="steps-post")
    whole.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    whole.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), title="ROC, normal images as positives")
    corner.set(xscale="log", xlim=(1e-4, 1), ylim=(0.8, 1.002), title="Upper left corner")
    for axes in (whole, corner):
        axes.set(xlabel="anomalies accepted (false-positive rate)")
    whole.set(ylabel="normal images accepted (true-positive rate)")
    figure.legend(*corner.get_legend_handles_labels(), loc="outside right center", title="AUROC")
    return figure


def _line(name: str, color: str, style: str) -> dict[str, Any]:
    """Return the line properties of a detector's curve; those in `STRONG` stand out."""
    width, order = (2, 3) if name in STRONG else (1, 2)
    return {"color": color, "linestyle": style, "linewidth": width, "zorder": order}


@rc_context(STYLE)
def features(projected: Plane, title: str) -> Figure:
    """Draw the features on their first two principal components (paper A, figure 6)."""
    colors = {"normal": NORMAL, "anomaly": ANOMALY}
    points = projected.points[projected.points["kind"] != "centroid"]
    centroids = projected.points[projected.points["kind"] == "centroid"]
    figure = Figure(figsize=(6.2, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(
        points["x"], points["y"], s=3, c=points["kind"].map(colors), alpha=0.3, linewidths=0,
        rasterized=True,
    )  # fmt: skip
    for kind, count in points["kind"].value_counts(sort=False).items():
        label = f"{kind} ({count} images)"
        axes.scatter([], [], s=20, color=colors[str(kind)], label=label)
    axes.scatter(
        centroids["x"], centroids["y"], s=150, facecolor="white", edgecolor="black", zorder=3,
        label="class centroid",
    )  # fmt: skip
    for x, y, name in zip(centroids["x"], centroids["y"], centroids["class_name"], strict=True):
        axes.annotate(str(name), (x, y), ha="center", va="center_baseline", fontsize=8, zorder=4)
    axes.set(
        title=title,
        xlabel=f"first principal component ({projected.shares[0]:.0%} of the variance)",
        ylabel=f"second principal component ({projected.shares[1]:.0%})",
        aspect="equal",
    )
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@rc_context(STYLE)
def score_histograms(
    scores: Mapping[str, Mapping[str, np.ndarray]], thresholds: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Draw the histogram of both kinds of test image, and the thresholds, of each detector."""
    columns = min(3, len(scores))
    rows = math.ceil(len(scores) / columns)
    figure = Figure(figsize=(3.6 * columns, 1.9 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, kinds) in zip(panels, scores.items(), strict=False):
        _histogram(axes, name, kinds, thresholds[name])
    for axes in list(figure.axes)[len(scores) :]:
        axes.remove()
    legend: dict[str, Artist] = {}  # each label is in the legend once, for all panels
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    figure.legend(list(legend.values()), list(legend), loc="outside upper center", ncols=4)
    figure.supxlabel("score: to the right of the threshold an image does not belong", size=9)
    figure.supylabel("share of the images", size=9)
    return figure


def _histogram(
    axes: Axes, name: str, kinds: Mapping[str, np.ndarray], thresholds: Mapping[str, float]
) -> None:
    edges, logarithmic = score_edges(list(kinds.values()), bins=90)
    for (kind, values), color in zip(kinds.items(), (NORMAL, ANOMALY), strict=False):
        # A single outline, as `hist` creates an artist per bar, which takes seconds to draw.
        bins = shares(values, edges)
        axes.stairs(bins, edges, fill=True, color=color, alpha=0.6, label=kind)
    for kind, line in (("calibrated", "-"), ("training", "--")):
        if kind in thresholds:
            label = f"{kind} threshold"
            axes.axvline(thresholds[kind], color="black", linestyle=line, linewidth=1, label=label)
    if logarithmic:
        axes.set_xscale("log")
        subs = (1,) if edges[-1] / edges[0] > 30 else (1, 2, 5)
        axes.xaxis.set_major_locator(LogLocator(subs=subs))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(title=name)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


@rc_context(STYLE)
def calibration(curve: pd.DataFrame) -> Figure:
    """Draw the measured false-reject rate of each detector against the promised rate.

    Columns: `detector`, `alpha`, `false_reject`, `expected_low`, `expected_high`. Detectors with
    equal numbers of calibration images have the same band; each band is drawn once.
    """
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.subplots()
    by_name = {str(name): rows for name, rows in curve.groupby("detector", sort=False)}
    bands: dict[tuple[float, ...], list[str]] = {}
    for name, rows in by_name.items():
        ends = rows[["expected_low", "expected_high"]].to_numpy()
        bands.setdefault(tuple(ends.ravel().tolist()), []).append(name)
    for names in sorted(bands.values(), key=len):  # the most frequent band is on top
        rows = by_name[names[0]]
        whose = "" if len(bands) == 1 else f", {', '.join(names) if len(names) < 3 else 'most'}"
        axes.fill_between(
            rows["alpha"],
            rows["expected_low"],
            rows["expected_high"],
            color="#dddddd" if len(names) == max(map(len, bands.values())) else "#f0e6c8",
            linewidth=0,
            label=f"expected of 95% of runs{whose}",
        )
    first = next(iter(by_name.values()))
    axes.plot(first["alpha"], first["alpha"], color="#777777", linewidth=0.8)
    for name, (color, style) in lines(by_name).items():
        rows = by_name[name]
        axes.plot(rows["alpha"], rows["false_reject"], **_line(name, color, style), label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(1e-3, 0.5),
        ylim=(5e-4, 0.6),
        xlabel="promised false-rejection rate (alpha)",
        ylabel="achieved on normal test images",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    figure.legend(loc="outside right center")
    return figure


@rc_context(STYLE)
def acceptance(table: pd.DataFrame, promised: float) -> Figure:
    """Draw the share of accepted new normal images against the number of images per feature.

    `table` is the result of `belong.evaluation.acceptance_study`; a calibrated threshold promises
    to accept the share `promised`.
    """
    kinds = {
        "paper": ("per_class, threshold from training images (the paper)", ANOMALY, "s"),
        "auto": ("covariance auto, threshold from training images", WEAK[1], "^"),
        "auto, calibrated": ("covariance auto, calibrated threshold (ours)", NORMAL, "o"),
    }
    figure = Figure(figsize=(6.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(promised, color="#777777", linewidth=0.8)
    for recipe, (label, color, mark) in kinds.items():
        rows = table[table["recipe"] == recipe].groupby("images_per_feature")["accepted"]
        middle, low, high = rows.mean(), rows.min(), rows.max()
        axes.plot(middle.index, middle, color=color, marker=mark, markersize=4, label=label)
        axes.fill_between(middle.index, low, high, color=color, alpha=0.2, linewidth=0)
    axes.set(
        xscale="log",
        ylim=(0, 1.02),
        xlabel="training images per class and feature (n / d)",
        ylabel="fresh normal images accepted",
        title=f"Mean and range of the draws; promised: {promised:.1%}",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower right")
    return figure


@rc_context(STYLE | {"axes.grid": False})
def gallery(
    images: np.ndarray,
    captions: np.ndarray,
    rows: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    ink: bool,
) -> Figure:
    """Draw images in rows, with their class and score under each (paper B, figure 1).

    Images (n, ch, h, w) uint8; captions (n,) are their classes; `rows` is title -> indices of
    images (k,) and their scores (k,). `ink` inverts images of one channel.
    """
    count = max(len(places) for places, _ in rows.values())
    _, _, height, width = images.shape
    gap = width // 8
    figure = Figure(figsize=(0.6 * count, 0.95 * len(rows)), layout="constrained")
    lines = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (title, (places, scores)) in zip(lines, rows.items(), strict=True):
        # One picture per row instead of one per image takes seconds instead of minutes.
        strip = np.full((height, count * (width + gap), images.shape[1]), 255, dtype=np.uint8)
        for at, (place, score) in enumerate(zip(places, scores, strict=True)):
            left = at * (width + gap)
            picture = images[place].transpose(1, 2, 0)
            inverted = ink and images.shape[1] == 1
            strip[:, left : left + width] = 255 - picture if inverted else picture
            caption = f"{captions[place]}\n{score:.3g}"
            middle = left + width / 2
            axes.text(middle, height + 1, caption, ha="center", va="top", fontsize=6)
        picture = strip.squeeze(axis=2) if strip.shape[2] == 1 else strip
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, loc="left", fontsize=8, pad=2)
        axes.set_axis_off()
    return figure


def gallery_rows(
    scores: dict[str, np.ndarray], count: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the rows: the most anomalous images of each detector, and the best reconstructions."""
    indices = {name: most_anomalous(values, count) for name, values in scores.items()}
    rows = {name: (places, scores[name][places]) for name, places in indices.items()}
    errors = scores["reconstruction"]
    least = most_anomalous(-errors, count)
    return {"reconstruction, lowest": (least, errors[least])} | rows


@rc_context(STYLE | {"axes.grid": False})
def picked_classes(table: pd.DataFrame) -> Figure:
    """Draw the classes that each detector finds most anomalous, as multiples of their share.

    Columns: `detector`, `class_name`, `share_of_top`, `share_of_all`.
    """
    pivoted = table.pivot_table(
        index="detector", columns="class_name", values=["share_of_top", "share_of_all"], sort=False
    )
    top = pivoted["share_of_top"]
    ratios = top / pivoted["share_of_all"]
    figure = Figure(figsize=(8.4, 0.3 * len(top) + 1.4), layout="constrained")
    axes = figure.subplots()
    colors: Any = {"cmap": "RdBu_r", "norm": TwoSlopeNorm(1, 0, 4)}
    heat_map = _heat_map(axes, ratios, top, "{:.0%}", dark=(0.35, 3), **colors)
    axes.set_xticks(range(len(top.columns)), [str(name) for name in top.columns])
    axes.set(xlabel="class", title="Share of each class among the most anomalous normal images")
    figure.colorbar(heat_map, ax=axes, label="times its share of all images")
    return figure


def _heat_map(
    axes: Axes, values: Any, numbers: Any, form: str, *, dark: tuple[float, float], **colors: Any
) -> AxesImage:
    """Draw a table (r, c) with the numbers of another; text is dark for values within `dark`."""
    heat_map = axes.imshow(values, aspect="auto", **colors)
    for (row, column), number in np.ndenumerate(numbers.to_numpy()):
        color = "black" if dark[0] < values.iloc[row, column] < dark[1] else "white"
        text = form.format(number)
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axes.set_yticks(range(len(values)), [str(name) for name in values.index])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return heat_map


@rc_context(STYLE | {"axes.grid": False})
def anomaly_sets(matrix: pd.DataFrame) -> Figure:
    """Draw the AUROC of each detector on each set of anomalies; detectors are sorted by their mean.

    Columns: `detector`, `anomalies`, `auroc`.
    """
    table = matrix.pivot_table(index="detector", columns="anomalies", values="auroc", sort=False)
    table = table.loc[table.mean(axis=1).sort_values(ascending=False).index]
    figure = Figure(figsize=(8.4, 0.3 * len(table) + 1.6), layout="constrained")
    axes = figure.subplots()
    colors: Any = {"cmap": "viridis", "vmin": 0.5, "vmax": 1}
    heat_map = _heat_map(axes, table, table, "{:.4f}", dark=(0.8, 2), **colors)
    names = [name.replace("_", " ") for name in table.columns]
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    figure.colorbar(heat_map, ax=axes, label="AUROC (0.5: chance)")
    return figure


@rc_context(STYLE)
def training(history: pd.DataFrame) -> Figure:
    """Draw loss and accuracy over the epochs."""
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    epochs = history["epoch"]
    for column, color, style in (
        ("loss", "black", "-"),
        ("cross_entropy", NORMAL, "--"),
        ("center_loss", ANOMALY, ":"),
    ):
        label = column.replace("_", " ")
        losses.plot(epochs, history[column], color=color, linestyle=style, label=label)
    losses.set(yscale="log", title="Loss, mean per training image", xlabel="epoch")
    losses.legend()
    for column, color, label in (
        ("accuracy", NORMAL, "training images, while training"),
        ("calibration_accuracy", ANOMALY, "held-out images, after the epoch"),
    ):
        accuracies.plot(epochs, 1 - history[column], color=color, label=label)
    accuracies.set(yscale="log", title="Classification error", xlabel="epoch")
    accuracies.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    accuracies.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    accuracies.yaxis.set_minor_formatter(NullFormatter())
    accuracies.legend()
    return figure
