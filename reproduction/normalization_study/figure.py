"""Draw each detector against lambda, on raw and on normalized features."""

import math

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from belong.reporting.figures import STYLE
from belong.reporting.palette import ANOMALY, NORMAL
from reproduction.normalization_study.effects import lambdas, run_tasks, values
from reproduction.normalization_study.measures import DETECTORS, NORMALIZED, RAW
from reproduction.paper.lambda_axis import lambda_axis, places

COLORS = {RAW: NORMAL, NORMALIZED: ANOMALY}


def against_lambda(cells: pd.DataFrame) -> Figure:
    """Draw mean and standard deviation over seeds: a row for each task, a column each detector."""
    tasks = run_tasks(cells)
    with rc_context(STYLE):
        figure = Figure(figsize=(10.4, 2.2 * len(tasks) + 0.6), layout="constrained")
        panels = figure.subplots(len(tasks), len(DETECTORS), sharey="row", squeeze=False)
        for task, row in zip(tasks, panels, strict=True):
            title = task.title.replace(" against ", "\nagainst ").replace(", ", ",\n")
            row[0].set_ylabel(f"AUROC\n{title}")
            weights = lambdas(cells, task)
            x = places(weights)
            for axes, detector in zip(row, DETECTORS, strict=True):
                for features, color in COLORS.items():
                    of_seeds = [values(cells, task, detector, features, one) for one in weights]
                    spreads = [0.0 if math.isnan(s := one.std()) else s for one in of_seeds]
                    axes.errorbar(
                        [x[one] for one in weights], [one.mean() for one in of_seeds], spreads,
                        color=color, linewidth=1.5, elinewidth=1, capsize=3, label=features,
                    )  # fmt: skip
                lambda_axis(axes, weights)
                axes.set_xlabel("lambda" if task is tasks[-1] else "")
        for axes, detector in zip(panels[0], DETECTORS, strict=True):
            axes.set_title(detector)
        panels[0][0].legend(title="features", fontsize=8)
    return figure
