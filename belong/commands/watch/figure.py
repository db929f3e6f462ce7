"""Draw the rejection rate of a stream over time with its band, and the evidence of a drift."""

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from belong.commands.watch.stream_analysis import StreamAnalysis
from belong.reporting.figures import STYLE
from belong.reporting.palette import ANOMALY, NORMAL, WEAK


def over_time(analysis: StreamAnalysis, *, alpha: float) -> Figure:
    """Draw the rejection rate by block, and the evidence of all images and of five classes."""
    table = analysis.blocks
    whole = table[table["class"] == ""]
    middles = (whole["first"] + whole["last"]) / 2
    outside = (whole["rate"] < whole["expected_low"]) | (whole["rate"] > whole["expected_high"])
    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 5.4), layout="constrained")
        rates, evidence = figure.subplots(2, 1, sharex=True)
        rates.fill_between(
            middles,
            whole["expected_low"],
            whole["expected_high"],
            color="#dddddd",
            linewidth=0,
            label="expected range (19 of 20 blocks)",
        )
        rates.axhline(alpha, color="#777777", linewidth=0.8)
        rates.plot(middles, whole["rate"], color=NORMAL, linewidth=1)
        for mask, color, label in (
            (~outside, NORMAL, "within the range"),
            (outside, ANOMALY, "outside"),
        ):
            rates.scatter(middles[mask], whole["rate"][mask], s=14, color=color, label=label)
        rates.set(ylabel="share rejected", ylim=(0, None))
        rates.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))

        evidence.plot(
            whole["last"], whole["evidence"], color="black", linewidth=2, label="all images"
        )
        for name, color in zip(analysis.classes.index, WEAK, strict=False):
            class_rows = table[table["class"] == name]
            evidence.plot(
                class_rows["last"],
                class_rows["evidence"],
                color=color,
                linewidth=1,
                label=str(name),
            )
        evidence.axhline(
            analysis.limit,
            color="black",
            linestyle="--",
            linewidth=0.8,
            label="alarm limit, all images",
        )
        evidence.axhline(
            analysis.class_limit,
            color="#777777",
            linestyle="--",
            linewidth=0.8,
            label="alarm limit, a class",
        )
        evidence.set(xlabel="image, in the order of time", ylabel="evidence of a drift (log10)")
        if analysis.drift is not None:
            for axes in (rates, evidence):
                axes.axvline(
                    analysis.drift.begun + 1,
                    color=ANOMALY,
                    linewidth=0.8,
                    linestyle=":",
                    label="start of the drift" if axes is evidence else None,
                )
        for axes in (rates, evidence):
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
