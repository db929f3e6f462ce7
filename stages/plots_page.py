"""Write the template page of `dvc plots show` and `dvc plots diff`, with its scripts inside.

DVC's own template loads Vega from the network, and stays blank without one.

Writes  page   html: a template for DVC; the scripts come from the package vl-convert-python
"""

from pathlib import Path

import vl_convert

from belong.runtime.storage import save_text
from stages.runner import run

# DVC replaces `{plot_divs}` by its plots. Its `{scripts}`, links to the network, is not used.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>belong: plots</title>
<style>body {{ font-family: sans-serif }} img {{ max-width: 100% }}</style>
<script>
{scripts}
</script>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def main(page: Path) -> None:
    """Write the template."""
    # The oldest packaged version that supports the schema of DVC's templates, v5.
    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", "5.21")
    save_text(page, PAGE.format(scripts=scripts.replace("</script", "<\\/script")))


if __name__ == "__main__":
    run(main)
