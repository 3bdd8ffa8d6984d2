"""From a line to a record that keeps to the standard, or to the reason why it does not.

`standard` says the same in Python, in the same order; changes to one are changes to both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.application_logs import TimeFormat
from audit_operator.shipping.application.attributes import FILES, PATH, RESOLVED, WITHHELD_NOTE, read
from audit_operator.shipping.application.standard import (
    AHEAD,
    EARLIEST,
    LATEST,
    NUMBER,
    TEXTS,
    Reason,
    Standard,
    StandardField,
    missing,
    no_text,
    per_second,
)
from audit_operator.shipping.collector.attributes import QUARANTINE, RAW
from audit_operator.shipping.collector.ottl import (
    SilentStatements,
    Statements,
    assign,
    attribute,
    body,
    cache,
    concat,
    text,
)
from audit_operator.shipping.collector.times import RFC3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.shipping.application.pipeline import ApplicationPipeline

_IN_UTC, _ELSEWHERE = "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%j"
"""Go reads a fraction of a second that its layout does not name. One layout for both would be tried several times."""
_NANOSECONDS = 10**9
_STRING = r'"(?:[^"\\\x00-\x1f]|\\[^\x00-\x1f])*"'
_ODD = r'[\x00-\x08\x0b\x0c\x0e-\x1f"]|[:,\[]\s*-?(?:0[0-9]|[.])|[0-9][.](?:[^0-9]|$)'
"""In what is left of JSON without its strings: a control character, the quote of a string that has one; a zero before
other digits, a point without digits before and behind it."""
_ODD_LITERALS = (*map(chr, range(32)), '":  ', "[  ", ",  ")
_ODD_PATTERNS = (
    *(
        f"{before}{space}{number}"
        for before in ('":', r"\[", ",")
        for space in ("", " ")
        for number in ("0[0-9]", "-[.0]")
    ),
    *(f"{digit}[.](?:[^0-9]|$)" for digit in range(10)),
)
"""One of these stands in a line that may be odd, and seldom in another. Each begins with a literal: the expressions of
Go are fast where they do, and one for all of them would cost a tenth of a millisecond."""

QUARANTINED = attribute(QUARANTINE)
IS_OBJECT = "IsMap(log.body)"
_RAW, _UNKNOWN = attribute(RAW), text("?")
_TIME = attribute(read(StandardField.TIME))


def locate(pipeline: ApplicationPipeline) -> Statements:
    """Say where a line is from. A link that leads out of its volume leads to what is the sidecar's own."""
    path, files = attribute(PATH), attribute(FILES)
    *first, last = pipeline.files
    folders = sorted({f"{each.folder}/" for each in pipeline.files})
    inside = " or ".join(f"HasPrefix({attribute(RESOLVED)}, {text(folder)})" for folder in folders)
    return Statements(
        (
            assign(_RAW, "log.body"),
            *(
                assign(files, text(each.name), f"{files} == nil and IsMatch({path}, {text(each.regex)})")
                for each in first
            ),
            assign(files, text(last.name), f"{files} == nil"),
            *(
                assign(
                    attribute("source"),
                    concat(text(f"{each.volume}/"), f"TrimPrefix({path}, {text(f'{each.folder}/')})"),
                    f"HasPrefix({path}, {text(f'{each.folder}/')})",
                )
                for each in {each.folder: each for each in pipeline.files}.values()
            ),
            assign(QUARANTINED, text(Reason.OUTSIDE), f"not ({inside})"),
            assign(attribute(WITHHELD_NOTE), "true", f"{QUARANTINED} != nil"),
        )
    )


def recognise(pipeline: ApplicationPipeline) -> tuple[Statements, ...]:
    """Parse a line, read the mandatory fields, and set QUARANTINE where one is not as it must be."""
    standard = Standard(pipeline.fields, pipeline.time_format, pipeline.longest_line)
    fine = f"{QUARANTINED} == nil"
    return (
        Statements((assign(QUARANTINED, text(Reason.TOO_LONG), f"Len({_RAW}) > {standard.longest_line}"),), (fine,)),
        SilentStatements((assign("log.body", "ParseJSON(log.body)"),), (fine,)),
        Statements((assign(QUARANTINED, text(Reason.NO_OBJECT), f"not {IS_OBJECT}"),), (fine,)),
        _refuse_oddities(fine),
        Statements(tuple(_read(standard)), (fine,)),
        _read_time(standard.time_format, fine),
        # One statement for what is nearly always the case; which of them it is, is asked only where one is.
        Statements((assign(QUARANTINED, _UNKNOWN, " or ".join(_breaches().values())),), (fine,)),
        Statements(
            tuple(assign(QUARANTINED, text(reason), where) for reason, where in _reasons().items()),
            (f"{QUARANTINED} == {_UNKNOWN}",),
        ),
    )


def _refuse_oddities(fine: str) -> Statements:
    """The collector's parser (goccy/go-json) takes numbers and control characters that no other does."""
    bare = cache("bare")
    return Statements(
        (
            assign(bare, _RAW),
            f"replace_pattern({bare}, {text(_STRING)}, {text('')})",
            assign(QUARANTINED, text(Reason.NO_OBJECT), f"IsMatch({bare}, {text(_ODD)})"),
        ),
        (fine, _may_be_odd()),
    )


def _may_be_odd() -> str:
    literals = (f"Index({_RAW}, {text(each)}) >= 0" for each in _ODD_LITERALS)
    return " or ".join([*literals, *(f"IsMatch({_RAW}, {text(each)})" for each in _ODD_PATTERNS)])


def above(keys: tuple[str, ...]) -> str:
    """That everything above a place in the body is an object."""
    return " and ".join(f"IsMap({body(*keys[:length])})" for length in range(len(keys)))


def _read(standard: Standard) -> Iterator[str]:
    for name in StandardField:
        found = attribute(read(name))
        for number, keys in enumerate(standard.places(name)):
            earlier = f" and {found} == nil" if number else ""
            yield assign(found, body(*keys), f"{above(keys)}{earlier}")


def _read_time(time_format: TimeFormat, fine: str) -> Statements:
    """Set the record's time where it can be read."""
    if time_format is TimeFormat.RFC3339:
        spelled = f"IsString({_TIME}) and IsMatch({_TIME}, {text(RFC3339)})"
        return Statements(
            (
                assign("log.time", f"Time({_TIME}, {text(_IN_UTC)})", f"HasSuffix({_TIME}, {text('Z')})"),
                assign("log.time", f"Time({_TIME}, {text(_ELSEWHERE)})", f"not HasSuffix({_TIME}, {text('Z')})"),
            ),
            (fine, spelled),
        )
    number, unit = cache("number"), per_second(time_format)
    micro = 10**6 // unit
    return Statements(
        (
            assign(number, _TIME, f"IsDouble({_TIME})"),
            assign(number, f"Double({_TIME})", f"IsString({_TIME}) and IsMatch({_TIME}, {text(NUMBER)})"),
            assign(
                "log.time_unix_nano",
                f"Int({number} * {micro}.0 + 0.5) * 1000",
                f"IsDouble({number}) and {number} >= {EARLIEST * unit}.0 and {number} < {LATEST * unit}.0",
            ),
        ),
        (fine,),
    )


def _breaches() -> dict[Reason, str]:
    """Conditions one of which holds for every line that breaks the standard."""
    return {Reason.TIME_UNREADABLE: "log.time_unix_nano == 0", Reason.TIME_AHEAD: _is_ahead()} | {
        no_text(name): _is_no_text(name) for name in TEXTS
    }


def _reasons() -> dict[Reason, str]:
    """Every reason with its condition, in order; the first one whose condition holds is set."""
    breaches = {missing(name): f"{attribute(read(name))} == nil" for name in StandardField} | _breaches()
    return {reason: f"{QUARANTINED} == {_UNKNOWN} and ({breaches[reason]})" for reason in Reason if reason in breaches}


def _is_no_text(name: StandardField) -> str:
    found = attribute(read(name))
    return f"not IsString({found}) or {found} == {text('')}"


def _is_ahead() -> str:
    return f"log.time_unix_nano > UnixNano(Now()) + {AHEAD * _NANOSECONDS}"
