r"""Patterns that tenants write: what may stand in one, and how it is applied so that it can do no harm.

A pattern runs over the JSON text of one object. It must mean the same in RE2 and in Python, and it must be cheap: the
time RE2 takes grows with the length of the text times the size of the pattern, and the sender of a request chooses the
text. So repetition is bounded, and everything that one of the two dialects does not have is refused with a reason. Of
the largest ones, 1.2 kB of text take up to 10 ms each, and 0.2 ms to compile: what counts is the sum of their sizes.

In JSON text a line feed is ``\n``. Were its ``n`` taken for the beginning of a match, a lone backslash would be left;
`substitution` therefore reads the escapes before a match as a whole and puts them back. What is no JSON after all
substitutions is not forwarded.

A replacement may be longer than what it replaces, and the next pattern may match in it: 32 of them would make a text
longer by the 32nd power, in memory that all tenants share. So matches are first marked, by one character each, which
makes no text longer; then it is known how long the text will be, and where that is too long, SHORT takes their place.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass

from audit_operator.shipping.redaction.rules import KEPT

LARGEST_SIZE = 500
"""Of a pattern with its repetitions written out, in characters."""

MOST_TOGETHER, LARGEST_TOGETHER = 32, 1000
"""Patterns of all AuditPolicies of one namespace, and the sum of their sizes."""

MARK = "\x1a"
"""Stands for each match while they are counted. In JSON text it does not occur; in other text it goes with them."""
SHORT = "*"
"""What each match becomes where the replacement would make a text too long: no match is shorter."""
GROWN_TIMES, GROWN_BY = 2, 4096
"""All patterns together make a text at most so many times as long, and so many bytes."""

_ESCAPED = frozenset("dDwWsSbBnrtfv")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_OPENS = re.compile(r"\((?!\?)|\(\?:|\(\?i:|\(\?P<[A-Za-z_][A-Za-z0-9_]*>")
TEXT_ESCAPE = r'((?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))*)'
_PROBES = ("", "a", " ", "-")
"""Short: Python's engine takes time that grows with the length as a power of the pattern's alternatives."""
_IGNORE_CASE = "(?i)"
_UNBOUNDED = 8
"""What ``*`` and ``+`` count for: they make a pattern no larger, but invite long matches."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a pattern cannot be used."""

    reason: str


@dataclass(frozen=True, slots=True, order=True)
class OwnPattern:
    """A pattern that was checked; made by `parse` alone."""

    name: str
    regex: str
    replacement: str

    @classmethod
    def parse(cls, name: str, regex: str, replacement: str) -> OwnPattern | Refused:
        """The pattern, or why it is refused."""
        scanned = _scan(regex)
        if isinstance(scanned, str):
            return Refused(scanned)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                compiled = re.compile(regex, re.ASCII)
        except (re.error, FutureWarning, DeprecationWarning, RecursionError, OverflowError) as error:
            return Refused(f"it is no regular expression: {error}")
        if any(match.start() == match.end() for probe in _PROBES for match in compiled.finditer(probe)):
            return Refused("it matches the empty string")
        return cls(name, regex, replacement)

    @property
    def size(self) -> int:
        """With repetitions written out, in characters; at the most LARGEST_SIZE."""
        scanned = _scan(self.regex)
        return scanned if isinstance(scanned, int) else LARGEST_SIZE

    @property
    def substitution(self) -> tuple[str, str]:
        """Regular expression and replacement as they are applied to JSON text; group 1 of the former is put back."""
        inner = self.regex.removeprefix(_IGNORE_CASE)
        flag = "" if inner == self.regex else "i"
        return f"{TEXT_ESCAPE}(?{flag}:{inner})", _in_json(self.replacement)

    @property
    def template(self) -> str:
        """The replacement as the collector expands it: group 1 if the expression has one, then what is meant."""
        return KEPT + self.substitution[1].replace("$", "$$")


def growth(template: str) -> int:
    """Bytes by which a text gets longer with each MARK in it for which the template is put."""
    return len(template.encode()) - len(KEPT) - len(MARK)


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1].translate({0x7F: "\\u007f"})


def _scan(regex: str) -> str | int:  # noqa: C901, PLR0911, PLR0912 - one case for each thing a pattern can hold
    """Why a pattern is outside of what both dialects read alike, or too large; its size if it is neither."""
    if not regex.isprintable():
        return "it holds control characters"
    position, sizes, last = 0, [0], 0
    if regex.startswith(_IGNORE_CASE):
        position = len(_IGNORE_CASE)
    while position < len(regex):
        here = regex[position]
        if here == "\\":
            following = regex[position + 1 : position + 2]
            if not (following in _ESCAPED or (following.isascii() and following and not following.isalnum())):
                return f"\\{following} is not allowed"
            last, position = 1, position + 2
            sizes[-1] += last
        elif here == "[":
            end = _class_end(regex, position)
            if end is None:
                return (
                    "a class in [] holds something that is not allowed: [, &&, ||, --, ~~ or an escape, or has no end"
                )
            last, position = 1, end
            sizes[-1] += last
        elif here == "(":
            opened = _OPENS.match(regex, position)
            if opened is None:
                return "of groups that begin with (? only (?:...), (?i:...) and (?P<name>...) are allowed"
            sizes.append(0)
            position = opened.end()
        elif here == ")":
            if len(sizes) == 1:
                return "it has a ) too many"
            last, position = max(sizes.pop(), 1), position + 1
            sizes[-1] += last
        elif repeat := _REPEAT.match(regex, position):
            most = int(repeat[2] or repeat[1]) if repeat[2] != "" else int(repeat[1]) + _UNBOUNDED
            sizes[-1] += last * max(most - 1, 0)
            last, position = last * most, repeat.end()
            if position < len(regex) and regex[position] in "+*{":
                return "a repetition is repeated"
        elif here in "{}":
            return "{ and } must be escaped where they are no repetition such as {2} or {2,4}"
        elif here in "*+":
            sizes[-1] += last * _UNBOUNDED
            last, position = last * (_UNBOUNDED + 1), position + 1
            if position < len(regex) and regex[position] in "+*{":
                return "a repetition is repeated"
        elif here in "^$":
            return "^ and $ are not allowed: it is matched within the text of an object"
        elif here == "?" and regex[position + 1 : position + 2] in {"+", "*", "{"}:
            return "a repetition is repeated"
        else:
            last = 0 if here in "|?" else 1
            sizes[-1] += last
            position += 1
        if sum(sizes) > LARGEST_SIZE:
            return f"it is too large: with repetitions written out, more than {LARGEST_SIZE} characters"
    return sum(sizes)


def _class_end(regex: str, start: int) -> int | None:
    position = start + 1
    if regex[position : position + 1] == "^":
        position += 1
    first = True
    while position < len(regex):
        here = regex[position]
        if here == "]" and not first:
            return position + 1
        if here == "[" or regex[position : position + 2] in {"&&", "||", "--", "~~"}:
            return None
        if here == "\\":
            following = regex[position + 1 : position + 2]
            if not (following in set("dDwWsSnrtfv") or (following.isascii() and following and not following.isalnum())):
                return None
            position += 1
        elif here == "]":
            return None  # a ] that stands first
        position, first = position + 1, False
    return None
