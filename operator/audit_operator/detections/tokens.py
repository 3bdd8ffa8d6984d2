"""Texts of conditions as words, for the parsers of the languages that rules are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.detections.rule import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Token:
    """A word; `kind` is the name of what it was recognised as, or of keywords and signs the text itself."""

    kind: str
    text: str
    start: int


END = "the end"


class Tokens:
    """A text, word by word."""

    def __init__(self, text: str, kinds: Mapping[str, str], *, keywords: frozenset[str] = frozenset()) -> None:
        """Read a text.

        Args:
            text: the text.
            kinds: regular expressions by what they recognise, the first that fits counts. ``skip`` is left out, and
                words of kind ``sign`` and keywords are their own kind.
            keywords: words that are no names, in lower case.
        """
        self._text = text
        self._tokens: list[Token] = []
        self._next = 0
        combined = re.compile("|".join(f"(?P<{kind}>{expression})" for kind, expression in kinds.items()), re.DOTALL)
        position = 0
        while position < len(text):
            found = combined.match(text, position)
            if not found or found.end() == position:
                raise NotUnderstoodError(f"not understood: {self._around(position)}")
            kind = str(found.lastgroup)
            if kind == "sign" or (kind == "word" and found[0].lower() in keywords):
                kind = found[0].lower()
            if kind != "skip":
                self._tokens.append(Token(kind, found[0], position))
            position = found.end()
        self._tokens.append(Token(END, "", len(text)))

    @property
    def next(self) -> Token:
        """The word that comes next."""
        return self._tokens[self._next]

    def ahead(self, number: int) -> Token:
        """The word after so many others."""
        return self._tokens[min(self._next + number, len(self._tokens) - 1)]

    def take(self, *kinds: str) -> Token:
        """The next word, which must be of one of the kinds, if any are given.

        Raises:
            NotUnderstoodError: it is not.
        """
        token = self.next
        if kinds and token.kind not in kinds:
            raise self.problem()
        self._next += 1
        return token

    def took(self, kind: str) -> bool:
        """Take the next word if it is of this kind."""
        if self.next.kind != kind:
            return False
        self._next += 1
        return True

    def since(self, token: Token) -> str:
        """What was written from a word on until now."""
        written = " ".join(self._text[token.start : self.next.start].split())
        return written if len(written) <= _MAX_SHOWN else f"{written[: _MAX_SHOWN - 3]}..."

    def problem(self, why: str = "not understood") -> NotUnderstoodError:
        """What is wrong with the next word."""
        return NotUnderstoodError(f"{why}: {self._around(self.next.start)}")

    def _around(self, position: int) -> str:
        line = self._text.count("\n", 0, position) + 1
        rest = " ".join(self._text[position : position + _MAX_SHOWN].split())
        return f"{rest or END!r} (line {line} of the condition)"
