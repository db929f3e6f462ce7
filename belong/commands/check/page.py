"""Render the findings of `belong check` as one page, with the affected images.

File names are not trusted: the template escapes every value, and the content security policy of the
page allows no script and no request.
"""

from belong.commands.check.options import CheckOptions
from belong.commands.check.report import LEVELS, Report
from belong.reporting.photos import photo_uris
from belong.reporting.templates import render_page

MOST = 60  # images shown per finding; findings.csv lists all
STYLES = ("reporting/report/family.css", "reporting/tiles.css", "commands/check/page.css")


def findings_page(report: Report, options: CheckOptions) -> str:
    """Return the page as self-contained HTML; the images are read again."""
    findings = [
        {
            "id": f"finding-{place}",
            "name": one.name.replace("_", " "),
            "level": one.level,
            "heading": LEVELS[one.level],
            "sentence": one.sentence,
            "images": one.images[:MOST],
            "count": len(one.images),
        }
        for place, one in enumerate(report.findings)
    ]
    paths = dict.fromkeys(path for one in report.findings for path, _ in one.images[:MOST])
    pictures = photo_uris(
        {path: report.sources[path] for path in paths if path in report.sources},
        max_pixels=options.max_pixels,
        background=options.background,
        jobs=options.jobs,
    )
    whole = report.counts.sum()
    return render_page(
        "commands/check/page.html",
        styles=STYLES,
        title=report.folder,
        facts={"classes": len(report.counts)} | {name: int(whole[name]) for name in whole.index},
        verdict=report.verdict,
        findings=findings,
        pictures=pictures,
    )
