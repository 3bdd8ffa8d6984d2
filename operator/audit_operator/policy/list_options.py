"""What the query of a request says about its verb and its name.

Whether a GET without a name is a list or a watch, and whether a field selector gives it a name after all, depends on
the query as a whole: one parameter that does not parse takes the name away.
Source: `NewRequestInfo` in `pkg/endpoints/request/requestinfo.go` (kubernetes/apiserver), the conversion of
`ListOptions`, `pkg/fields/selector.go` and `pkg/labels/selector.go` (kubernetes/apimachinery).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_SPACE = r"[ \t\r\n]*"
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_KEY = rf"(?:(?=[^/]{{1,253}}/){_LABEL}(?:\.{_LABEL})*/)?{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_REQUIREMENT = (
    rf"(?:!{_SPACE}{_KEY}|{_KEY}(?:"
    rf"{_SPACE}(?:==?|!=){_SPACE}{_VALUE}"
    rf"|{_SPACE}[<>]{_SPACE}[0-9]{{1,18}}"
    rf"|[ \t\r\n]+(?:not)?in{_SPACE}\({_SPACE}{_VALUE}(?:{_SPACE},{_SPACE}{_VALUE})*{_SPACE}\)"
    r")?)"
)
_LABEL_SELECTOR = re.compile(rf"{_SPACE}(?:{_REQUIREMENT}{_SPACE}(?:,{_SPACE}{_REQUIREMENT}{_SPACE})*)?")
_INT64 = re.compile(r"[+-]?[0-9]+")
_MOST_PARAMETERS = 10_000  # Go's default; a query with more has none
_TERM = re.compile(r"((?:[^\\,]|\\(?:.|\Z))*)(?:,|\Z)", re.DOTALL)
_OPERATOR = re.compile(r"!=|==|=")
_VALUE_OF_TERM = re.compile(r"(?:[^\\,=]|\\[\\,=])*")
_ESCAPE = re.compile(r"\\(.)")
BROKEN_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")
"""A percent sign that encodes nothing."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What requestinfo wants to know. `name` is empty unless a field selector demands ``metadata.name``."""

    watch: bool = False
    name: str = ""

    @classmethod
    def parse(cls, query: str) -> ListOptions:
        """Read a query as sent, percent-encoded."""
        parameters = parse_query(query)
        watch = "watch" in parameters and parameters["watch"].lower() not in ("0", "false")
        terms = _field_terms(parameters.get("fieldSelector", ""))
        if terms is None or not _others_decode(parameters):
            return cls(watch)
        name = next((value for field, operator, value in terms if field == "metadata.name" and operator != "!="), "")
        return cls(watch, name if name not in (".", "..") and not set(name) & set("/%") else "")


def parse_query(query: str) -> dict[str, str]:
    """The first value of every parameter, as Go's `url.ParseQuery` sees them; broken pairs are passed over."""
    parameters: dict[str, str] = {}
    if query.count("&") >= _MOST_PARAMETERS:
        return parameters
    for pair in query.split("&"):
        if not pair or ";" in pair or BROKEN_PERCENT.search(pair):
            continue
        key, _, value = (_unescape(part) for part in pair.partition("="))
        parameters.setdefault(key, value)
    return parameters


def _unescape(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def _others_decode(parameters: dict[str, str]) -> bool:
    numbers = (parameters[key] for key in ("limit", "timeoutSeconds") if key in parameters)
    return all(_is_int64(number) for number in numbers) and bool(
        _LABEL_SELECTOR.fullmatch(parameters.get("labelSelector", ""))
    )


def _is_int64(text: str) -> bool:
    if not _INT64.fullmatch(text):
        return False
    digits = text.lstrip("+-").lstrip("0")
    return (
        len(digits) <= len("9223372036854775808")
        and -(1 << 63) <= int(text.rstrip("0123456789") + (digits or "0")) < 1 << 63
    )


def _field_terms(selector: str) -> list[tuple[str, str, str]] | None:
    """Field, operator and value of every term of a field selector, in upstream's order; None if it is broken."""
    terms = []
    for term in sorted(filter(None, _TERM.findall(selector))):
        operator = _OPERATOR.search(term)
        if operator is None or not _VALUE_OF_TERM.fullmatch(term, operator.end()):
            return None
        value = _ESCAPE.sub(r"\1", term[operator.end() :])
        terms.append((term[: operator.start()], operator[0], value))
    return terms
