"""Lines that keep to the standard and lines that do not, each with the first rule that it breaks."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

from audit_operator.shipping.application.standard import Reason

GOOD: dict[str, Any] = {
    "time": "2026-11-27T10:00:00Z",
    "user": "alice",
    "action": "order.create",
    "result": "ok",
    "id": "0001",
    "correlationId": "4bf92f3577b34da6",
}
NAMES = tuple(GOOD)
LONGEST = 4096
"""Bytes of the longest line, for these lines."""


def line(**changed: Any) -> str:
    """The good line with other fields; one that is `...` is left out."""
    return json.dumps({key: value for key, value in {**GOOD, **changed}.items() if value is not ...})


def of_length(length: int) -> str:
    """A good line of so many bytes."""
    return line(note="x" * (length - len(line(note=""))))


def _cases() -> list[tuple[str, Reason | None]]:
    within = line()[1:-1]
    cases: list[tuple[str, Reason | None]] = [
        (line(), None),
        (f"  {line()}\t\r", None),
        (line(time="2026-11-27T10:00:00.1Z"), None),
        (line(time="2026-11-27T10:00:00.123456789+05:30"), None),
        (line(time="2024-02-29T23:59:59-00:00"), None),
        (line(time="1971-01-01T00:00:00+14:00"), None),
        (line(user="Ж 日本 😀"), None),
        (line(user=" "), None),
        (line(user="\u0000\u0001\ud800"), None),
        (line(extra={"a": [1, 2.5, True, None, {"b": []}]}), None),
        (line(number=10**18, small=1e-300, big=1.7e308), None),
        (line(**{"a.b": 1, "": 2}), None),
        (json.dumps(GOOD, separators=(",", ":")), None),
        (json.dumps(GOOD, indent=1).replace("\n", ""), None),
        ("{" + within + ',"user":"bob"}', None),
        ("{" + r'"\u0075ser":"bob",' + line(user=...)[1:], None),
        (of_length(LONGEST), None),
        (of_length(LONGEST + 1), Reason.TOO_LONG),
        ("x" * (LONGEST + 1), Reason.TOO_LONG),
        ("€" * (LONGEST // 3 + 1), Reason.TOO_LONG),
        ("x", Reason.NO_OBJECT),
        ("null", Reason.NO_OBJECT),
        ("true", Reason.NO_OBJECT),
        ("12", Reason.NO_OBJECT),
        ('"text"', Reason.NO_OBJECT),
        ("[]", Reason.NO_OBJECT),
        (f"[{line()}]", Reason.NO_OBJECT),
        (line()[:-1], Reason.NO_OBJECT),
        (line()[1:], Reason.NO_OBJECT),
        (line()[: len(line()) // 2], Reason.NO_OBJECT),
        (line() + "}", Reason.NO_OBJECT),
        (line() + line(), Reason.NO_OBJECT),
        (line() + ",", Reason.NO_OBJECT),
        (line() + " x", Reason.NO_OBJECT),
        ("{" + within + ",}", Reason.NO_OBJECT),
        ("{," + within + "}", Reason.NO_OBJECT),
        ("{" + within + ',"a":}', Reason.NO_OBJECT),
        ("{" + within + ',"a" 1}', Reason.NO_OBJECT),
        ("{" + within + ',"a":1 "b":2}', Reason.NO_OBJECT),
        ("{" + within + ",a:1}", Reason.NO_OBJECT),
        ("{" + within + ",'a':1}", Reason.NO_OBJECT),
        ("{" + within + ',1:"a"}', Reason.NO_OBJECT),
        ("{" + within + ',"a":[1,]}', Reason.NO_OBJECT),
        ("{" + within + ',"a":[1 2]}', Reason.NO_OBJECT),
        ("{" + within + ',"a":[1,2}', Reason.NO_OBJECT),
        ("{" + within + ',"a":NaN}', Reason.NO_OBJECT),
        ("{" + within + ',"a":Infinity}', Reason.NO_OBJECT),
        ("{" + within + ',"a":nul}', Reason.NO_OBJECT),
        ("{" + within + ',"a":True}', Reason.NO_OBJECT),
        ("{" + within + ',"a":1e999}', Reason.NO_OBJECT),
        ("{" + within + ',"a":-' + "9" * 400 + "}", Reason.NO_OBJECT),
        ("{" + within + ',"a":01}', Reason.NO_OBJECT),
        ("{" + within + ',"a":+1}', Reason.NO_OBJECT),
        ("{" + within + ',"a":.5}', Reason.NO_OBJECT),
        ("{" + within + ',"a":5.}', Reason.NO_OBJECT),
        ("{" + within + ',"a":1e}', Reason.NO_OBJECT),
        ("{" + within + ',"a":-}', Reason.NO_OBJECT),
        ("{" + within + ',"a":0x1}', Reason.NO_OBJECT),
        ("{" + within + r',"a":"\x"}', Reason.NO_OBJECT),
        ("{" + within + r',"a":"\u12g4"}', Reason.NO_OBJECT),
        ("{" + within + r',"a":"\u12"}', Reason.NO_OBJECT),
        ("{" + within + ',"a":"\t"}', Reason.NO_OBJECT),
        ("{" + within + ',"a":"\x01"}', Reason.NO_OBJECT),
        ("{" + within + ',"a":"\x7f"}', None),
        ("{" + within + ',"a":"\x00"}', Reason.NO_OBJECT),
        ("{" + within + ',"a":[00]}', Reason.NO_OBJECT),
        ("{" + within + ',"a":[1, -01.5]}', Reason.NO_OBJECT),
        ("{" + within + ',"a":-.5}', Reason.NO_OBJECT),
        ("{" + within + ',"a":1.e5}', Reason.NO_OBJECT),
        ("{" + within + ',"a":[0, -0, 0.5, 0e1, 1E+2, 10.0e-05]}', None),
        (line(note='":01, [02 and 3. and 4.a', other="01"), None),
        (line() + "\0", Reason.NO_OBJECT),
        (line() + "\0" + line(), Reason.NO_OBJECT),
        ("\0" + line(), Reason.NO_OBJECT),
        ("{" + within + ',\0"a":1}', Reason.NO_OBJECT),
        ("{" + within + ',"a":1\0}', Reason.NO_OBJECT),
        ("{" + within + "/* a */}", Reason.NO_OBJECT),
        ("\ufeff" + line(), Reason.NO_OBJECT),
        ("\x0b" + line(), Reason.NO_OBJECT),
        ("\u00a0" + line(), Reason.NO_OBJECT),
        ("2026-11-27T10:00:00Z INFO " + line(), Reason.NO_OBJECT),
        ("user=alice action=login", Reason.NO_OBJECT),
        ("{}", Reason.NO_TIME),
        ('{"USER":"alice"}', Reason.NO_TIME),
        (line(user=..., result=...), Reason.NO_USER),
        (line(time=0), Reason.TIME_UNREADABLE),
        (line(time=1795773600), Reason.TIME_UNREADABLE),
        (line(time=""), Reason.TIME_UNREADABLE),
        (line(time="yesterday"), Reason.TIME_UNREADABLE),
        (line(time="2026-11-27 10:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="2026-11-27T10:00:00"), Reason.TIME_UNREADABLE),
        (line(time="2026-11-27T10:00:00+0100"), Reason.TIME_UNREADABLE),
        (line(time="2026-11-27T10:00:00Z\n"), Reason.TIME_UNREADABLE),
        (line(time="2026-02-29T10:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="2100-02-29T10:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="2026-04-31T10:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="2026-13-01T10:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="2026-11-27T25:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="2026-11-27T10:00:60Z"), Reason.TIME_UNREADABLE),
        (line(time="1970-01-01T00:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="2200-01-01T00:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time="0000-00-00T00:00:00Z"), Reason.TIME_UNREADABLE),
        (line(time={}), Reason.TIME_UNREADABLE),
        (line(time=["2026-11-27T10:00:00Z"]), Reason.TIME_UNREADABLE),
        (line(time=True), Reason.TIME_UNREADABLE),
        (line(time="2199-12-31T23:59:59Z"), Reason.TIME_AHEAD),
        (line(time="2199-12-31T23:59:59Z", user=1), Reason.TIME_AHEAD),
        (line(user=1, id=...), Reason.NO_ID),
        (line(user={}, result=1), Reason.USER_NO_TEXT),
        ("{" + within + ',"user":7}', Reason.USER_NO_TEXT),
    ]
    for name in NAMES:
        cases += [(line(**{name: ...}), Reason(f"no {name}")), (line(**{name: None}), Reason(f"no {name}"))]
        if name != "time":
            wrong = Reason(f"{name} is no text")
            cases += [(line(**{name: value}), wrong) for value in ("", 1, 1.5, False, [], {}, ["a"], {"a": "b"})]
    return cases


CASES = tuple(_cases())

SECONDS: tuple[tuple[Any, Reason | None], ...] = (
    (1795773600, None),
    (1795773600.123456, None),
    (1.7957736e9, None),
    ("1795773600", None),
    ("1795773600.5", None),
    (31536000, None),
    (31535999, Reason.TIME_UNREADABLE),
    (31535999.999, Reason.TIME_UNREADABLE),
    (0, Reason.TIME_UNREADABLE),
    (-1795773600, Reason.TIME_UNREADABLE),
    (7258118399, Reason.TIME_AHEAD),
    (7258118400, Reason.TIME_UNREADABLE),
    (1795773600000, Reason.TIME_UNREADABLE),
    (1e300, Reason.TIME_UNREADABLE),
    ("-1795773600", Reason.TIME_UNREADABLE),
    ("+1795773600", Reason.TIME_UNREADABLE),
    ("1795773600.", Reason.TIME_UNREADABLE),
    ("1.7957736e9", Reason.TIME_UNREADABLE),
    ("0x6b0a2b20", Reason.TIME_UNREADABLE),
    (" 1795773600", Reason.TIME_UNREADABLE),
    ("1795773600\n", Reason.TIME_UNREADABLE),
    ("", Reason.TIME_UNREADABLE),
    ("2026-11-27T10:00:00Z", Reason.TIME_UNREADABLE),
    (True, Reason.TIME_UNREADABLE),
    ([1795773600], Reason.TIME_UNREADABLE),
    ({}, Reason.TIME_UNREADABLE),
    (None, Reason.NO_TIME),
)
"""Times for the format UnixSeconds; in milliseconds, numbers are a thousand times as large."""


def in_milliseconds(value: Any) -> Any:
    """A value of SECONDS, for the format UnixMilliseconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value * 1000
    found = re.fullmatch(r"([ +-]?)([0-9]+)([.]?[0-9]*)(\n?)", value) if isinstance(value, str) else None
    return f"{found[1]}{found[2]}000{found[3]}{found[4]}" if found else value


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.sampled_from([*GOOD.values(), "", "2026-02-30T10:00:00Z", 1795773600, "1795773600"]),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)
_SCRAPS = st.sampled_from([*'{}[]",:\\\t\0 0.-e', "01", "5.", "nul", "\\u12", '"a":', "\u00a0", "\x1f", "é"])


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The good line with some fields changed or gone, and in half of the cases with the text damaged."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
    fields = {name: draw(st.one_of(st.just(...), _VALUES)) for name in names}
    text = line(**fields, extra=draw(_VALUES))
    for _ in range(draw(st.integers(0, 2))):
        place, length = draw(st.integers(0, len(text))), draw(st.integers(0, 2))
        text = text[:place] + draw(st.one_of(st.just(""), _SCRAPS)) + text[place + length :]
    return text
