"""What a YAML scalar means to the API server: go-yaml v2's resolution of YAML 1.1, oddities included.

Follows `resolve` in go.yaml.in/yaml/v2 (`resolve.go`), which sigs.k8s.io/yaml uses. It differs from PyYAML's resolver
in most corners: `0o17`, `1e3` and `y` are no strings, `12:30` and `=` are, `1_000` is a number, `1e400` is not.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from decimal import Decimal
from typing import TYPE_CHECKING

from audit_operator.policy.document import go_time
from audit_operator.policy.document.tree import shorten

if TYPE_CHECKING:
    from audit_operator.policy.document.tree import JsonScalar

_PREFIX = "tag:yaml.org,2002:"
STR, INT, FLOAT, BOOL, NULL = (_PREFIX + name for name in ("str", "int", "float", "bool", "null"))
TIMESTAMP, BINARY, MERGE = (_PREFIX + name for name in ("timestamp", "binary", "merge"))
_RESOLVABLE = frozenset({STR, INT, FLOAT, BOOL, NULL, TIMESTAMP})

_WORDS: dict[str, JsonScalar] = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], math.nan),
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], math.inf),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], -math.inf),
}
_FIRST_OF_NUMBER = frozenset("+-0123456789.")
_FIRST_OF_ANY = _FIRST_OF_NUMBER | frozenset("yYnNtTfFoO~") | {""}

_GO_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_GO_BINARY = re.compile(r"(-?)0b([+-]?)([01]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DOTTED = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_MIN_INT64, _MAX_INT64, _MAX_UINT64 = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
_DIGITS_OF_UINT64 = 64  # in base 2, the longest spelling; more cannot fit unless they are leading zeros


class TagMismatchError(ValueError):
    """An explicit tag does not fit the text, for example ``!!int yes``."""


def resolve(text: str, tag: str | None, *, plain: bool) -> JsonScalar:
    """The JSON value of a scalar; inf and nan stand for themselves, JSON refuses them later.

    Args:
        text: the scalar without quotes and escapes.
        tag: its explicit tag in full, None if there is none. Tags that go-yaml does not know make it a string.
        plain: whether it may be taken for something else than a string: not quoted, or tagged ``!``.

    Raises:
        TagMismatchError: the text is nothing of the kind that the tag demands.
    """
    if tag is None:
        return _resolve_untagged(text) if plain else text
    if tag == BINARY:
        return _decode_base64(text)
    if tag not in _RESOLVABLE or tag == STR:
        return text
    if tag == TIMESTAMP:
        return _resolve_timestamp(text)
    value = _resolve_untagged(text)
    if tag == FLOAT and type(value) is int and value <= _MAX_INT64:
        return float(value)
    if not _is_of(value, tag):
        raise TagMismatchError(f"cannot decode `{shorten(text)}` as a !!{tag.removeprefix(_PREFIX)}")
    return value


def _is_of(value: JsonScalar, tag: str) -> bool:
    kinds: dict[str, type] = {INT: int, FLOAT: float, BOOL: bool, NULL: type(None)}
    return type(value) is kinds[tag]


def _resolve_untagged(text: str) -> JsonScalar:
    first = text[:1]
    if first not in _FIRST_OF_ANY:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if first == ".":  # Go's ParseFloat, which wants a digit on both sides of an underscore
        return _parse_float(text.replace("_", ""), text) if _DOTTED.fullmatch(text) else text
    return _resolve_number(text) if first in _FIRST_OF_NUMBER else text


def _resolve_number(text: str) -> JsonScalar:
    plain = text.replace("_", "")
    integer = _parse_go_integer(plain)
    if integer is not None:
        return integer
    if _FLOAT.fullmatch(plain):
        return _parse_float(plain, text)
    integer = _parse_go_binary(plain)
    return text if integer is None else integer


def _parse_float(digits: str, text: str) -> str | float:
    # Go's ParseFloat fails where the number is out of range, and what is no number is a string.
    number = float(digits)
    return text if math.isinf(number) else number


def _parse_go_integer(text: str) -> int | None:
    """`strconv.ParseInt(text, 0, 64)`, else `ParseUint`: a prefix or a leading zero sets the base."""
    match = _GO_INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, *digits = match.groups()
    spelling, base = next((each, base) for each, base in zip(digits, (16, 2, 8, 10), strict=True) if each is not None)
    return _in_range(sign, spelling, base)


def _parse_go_binary(text: str) -> int | None:
    """What go-yaml tries after all else failed: ``0b`` before a signed number, so that ``0b-101`` is -5."""
    match = _GO_BINARY.fullmatch(text)
    if match is None or (match[1] and match[2]):
        return None
    return _in_range(match[1] or match[2], match[3], 2)


def _in_range(sign: str, digits: str, base: int) -> int | None:
    digits = digits.lstrip("0") or "0"
    if len(digits) > _DIGITS_OF_UINT64:  # also keeps Python from converting megabytes of digits
        return None
    magnitude = int(digits, base)
    if sign == "-":
        return -magnitude if -magnitude >= _MIN_INT64 else None
    # ParseUint takes no sign, so beyond 63 bits a plus is one too many.
    return magnitude if magnitude <= (_MAX_INT64 if sign else _MAX_UINT64) else None


def format_float_key(number: float) -> str:
    """How a number becomes a key: `strconv.FormatFloat(number, 'g', -1, 32)`, the shortest digits of a 32-bit float."""
    try:
        (single,) = struct.unpack("f", struct.pack("f", number))
    except OverflowError:
        single = math.copysign(math.inf, number)
    if not math.isfinite(single):
        return ".nan" if math.isnan(single) else ".inf" if single > 0 else "-.inf"
    shortest = next(
        text
        for digits in range(9)
        if struct.pack("f", float(text := f"{single:.{digits}e}")) == struct.pack("f", single)
    )
    mantissa, exponent = shortest.split("e")
    if int(exponent) in _PLAIN_EXPONENTS:
        return f"{Decimal(shortest):f}"
    return f"{mantissa}e{exponent}"


_PLAIN_EXPONENTS = range(-4, 6)


def _decode_base64(text: str) -> str:
    # Go's StdEncoding: padding is required, line breaks are skipped. JSON then replaces what is not UTF-8.
    try:
        data = base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise TagMismatchError("!!binary value contains invalid base64 data") from None
    return replace_invalid_utf8(data)


def replace_invalid_utf8(data: bytes) -> str:
    """Decode UTF-8 as Go's JSON does: every byte that does not belong becomes one U+FFFD."""
    text = data.decode("utf-8", "surrogateescape")
    return text if text.isprintable() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def _resolve_timestamp(text: str) -> str:
    # For compatibility go-yaml leaves timestamps as they are written; the tag only demands that it is one.
    if not go_time.is_yaml_timestamp(text):
        raise TagMismatchError(f"cannot decode `{shorten(text)}` as a !!timestamp")
    return text
