"""Formulas as MathML, which browsers draw by themselves: pages need no script and no network for them."""

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(text: str, **_: object) -> str:
    """Called by MkDocs for every page."""
    return _FORMULA.sub(_mathml, text)


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match[2] == "[" else "inline"
    return convert(html.unescape(match[3]), display=display)
