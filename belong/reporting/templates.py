"""Render the self-contained pages from their templates.

Every page extends page.html, which has the head, the style, the sidebar and the script.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import cast

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from belong.runtime.text import percent


def render_page(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    allows_inline_style: bool = False,
    **values: object,
) -> str:
    """Fill a template; all files are paths in `belong`.

    Args:
        template: a template that extends page.html; every value is escaped.
        styles: parts of the style sheet.
        scripts: parts of the script.
        allows_inline_style: whether the page has style attributes and thus no content security
            policy.
        values: the values of the template.
    """
    templates = Environment(
        loader=PackageLoader("belong", "."),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"short": short, "percent": percent}
    style = _joined(templates, styles)
    script = '"use strict";\n\n' + _joined(templates, scripts) if scripts else ""
    return templates.get_template(template).render(
        policy="" if allows_inline_style else policy(style=style, script=script),
        style=style,
        script=script,
        **values,
    )


def policy(*, style: str, script: str) -> str:
    """Return a Content-Security-Policy for this style, this script, and embedded pictures."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def short(number: float) -> str:
    """Format a score with three significant digits, or all digits before the point up to six."""
    if abs(number) >= 999_999.5:
        return f"{number:.1e}"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.1e}" if 0 < abs(number) < 0.001 else f"{number:.3g}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


def _joined(templates: Environment, files: Sequence[str]) -> str:
    loader = cast("BaseLoader", templates.loader)
    return "".join(loader.get_source(templates, file)[0] for file in files)
