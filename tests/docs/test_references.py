"""What pages refer to is there: other pages, their sections, and the tests that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGES = [
    *CHECKOUT.glob("*.md"),
    *(CHECKOUT / "docs").rglob("*.md"),
    CHECKOUT / "charts/audit-operator/README.md",
    CHECKOUT / "tools/README.md",
]
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")
_TEST = re.compile(r"`(tests/[\w./-]*\w)`")
_CODE = re.compile(r"(`+).+?\1")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page):
    """As GitHub makes them of headings."""
    text = _FENCE.sub("", page.read_text())
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", each).lower()).replace(" ", "-") for each in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_what_a_page_refers_to_is_there(page):
    text = _FENCE.sub("", page.read_text())
    wrong = [each for each in _TEST.findall(text) if not (CHECKOUT / each).exists()]
    for link in _LINK.findall(_CODE.sub("code", text)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []
