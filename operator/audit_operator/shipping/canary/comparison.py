"""What came of planted lines, held against what must."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.canary.planted import key_of
from audit_operator.shipping.search_index import TEXT, TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from audit_operator.shipping.canary.planted import Canary, Planted

Arrived = dict[str, str]
"""A record as the exporter for files writes it: time, text, and its attributes."""
_LONGEST = 120
"""Characters of a value that is shown."""


@dataclass(frozen=True, slots=True)
class Difference:
    """That something is not as it must be: with which line, and how."""

    line: str
    said: str

    def __str__(self) -> str:
        return f"{self.line}: {self.said}"


def all_there(canary: Canary, arrived: Mapping[str, Sequence[Arrived]]) -> bool:
    """Whether nothing is to be waited for any more, be it right or not."""
    there = {exporter: {_key(each) for each in records} for exporter, records in arrived.items()}
    return all(each.key in there.get(exporter, ()) for each in canary.planted for exporter in each.exporters)


def differences(canary: Canary, arrived: Mapping[str, Sequence[Arrived]]) -> Iterator[Difference]:
    """In the order of the lines; then what is of none of them."""
    known = {each.key for each in canary.planted}
    for planted in canary.planted:
        found = {name: [each for each in records if _key(each) == planted.key] for name, records in arrived.items()}
        for exporter in planted.exporters:
            if not found.get(exporter):
                yield Difference(planted.name, f"did not arrive at {exporter}")
        for exporter, theirs in found.items():
            if theirs and exporter not in planted.exporters:
                yield Difference(planted.name, f"arrived at {exporter}, where it does not belong")
            yield from (Difference(planted.name, said) for each in theirs for said in _wrong(planted, each))
    for exporter, records in arrived.items():
        for each in records:
            if _key(each) not in known:
                yield Difference("a record of no line", f"arrived at {exporter} with {_shown(_attributes(each))}")


def _key(record: Arrived) -> tuple[str, ...]:
    return key_of(record)


def _attributes(record: Arrived) -> dict[str, str]:
    return {name: value for name, value in record.items() if name not in (TIME, TEXT)}


def _wrong(planted: Planted, record: Arrived) -> Iterator[str]:
    if any(gone in value for gone in planted.gone for value in record.values()):
        yield "a value is still in it that must be taken out"
    if planted.time and record.get(TIME) != planted.time:
        yield f"its time is {record.get(TIME)}, and not {planted.time}"
    yield from _unequal("attribute", planted.attributes, _attributes(record))
    if planted.text is not None and planted.text != record.get(TEXT):
        yield f"it is {_shown(record.get(TEXT))}, and should be {_shown(planted.text)}"
    if planted.event is not None:
        yield from _wrong_event(planted, record.get(TEXT, ""))


def _wrong_event(planted: Planted, text: str) -> Iterator[str]:
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        yield f"it is no JSON object any more, but {_shown(text)}"
        return
    wanted = planted.event or {}
    for name in planted.loose:
        if (name in event) != (name in wanted):
            yield f"{name} is {'there' if name in event else 'missing'}"
    compared = ({name: value for name, value in each.items() if name not in planted.loose} for each in (wanted, event))
    yield from _unequal("field", *compared)


def _unequal(kind: str, wanted: Mapping[str, Any], came: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*wanted, *came)):
        if name not in came:
            yield f"its {kind} {name} is missing, and should be {_shown(wanted[name])}"
        elif name not in wanted:
            yield f"it has a {kind} {name}, {_shown(came[name])}, and should have none"
        elif wanted[name] != came[name]:
            yield f"its {kind} {name} is {_shown(came[name])}, and should be {_shown(wanted[name])}"


def _shown(value: object) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
