"""HTML written so that nothing of a stranger's becomes markup: the one place that escapes.

What is not `Markup` is text, and is escaped, in content as in attributes. Text is shown as `printable` shows it: what
cannot be seen, or turns the direction of writing, is spelt out.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from audit_operator.api.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMPTY = frozenset({"meta", "input"})


class Markup(str):
    """HTML that was made here."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Text as HTML that shows it."""
    return value if isinstance(value, Markup) else Markup(escape(printable(value)))


def tag(name: str, /, *content: str, **attributes: str | int | None) -> Markup:
    """An element. Attributes are named as in HTML, `_` for `-`, and a trailing one where Python has the word itself.

    None leaves an attribute out.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    opened = f"<{name}{said}>"
    return Markup(opened if name in _EMPTY else f"{opened}{joined(content)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Several parts, one after the other."""
    return Markup("".join(map(text, parts)))
