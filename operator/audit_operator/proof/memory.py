"""What was proved of each place, as it outlives the operator: small enough for one object, and read with suspicion.

Whoever may write that object could make up proof. So what is read counts only for places that are treated as they were
when it was written, not for long, and no longer than until their next visit, which comes as if nothing had happened.
"""

from __future__ import annotations

import base64
import zlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Generic, Literal, TypeVar

from pydantic import Field, TypeAdapter

from audit_operator.api.findings import ObjectRef  # noqa: TC001  # pydantic reads the annotations
from audit_operator.api.proof_observations import PlaceProof  # noqa: TC001  # as above
from audit_operator.proof.comparison import Compared  # noqa: TC001  # as above
from audit_operator.proof.standing import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST = 7 * 86_400
"""Seconds for which proof is remembered: longer than 10,000 namespaces take until each request had its turn."""

_AHEAD = 300
"""Seconds by which another replica's clock may be ahead; what is from later is not believed."""

_LARGEST = 64 * 2**20
_Number = Annotated[int, Field(ge=0, lt=2**53)]
"""What a float holds as it is: whoever made up a larger one must not end whoever reckons with it."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RememberedPlace:
    """What is known of a place.

    Attributes:
        treatment: digest of how it is treated; of another treatment nothing is known.
        foretold: digest of what was predicted of every request there.
        visited: when, in seconds since the epoch.
        turn: how many visits there were.
        proof: what was said of it.
        results: the last of each request, by its number among all that can be asked there.
    """

    treatment: str
    foretold: str
    visited: float
    turn: int
    proof: PlaceProof
    results: Mapping[int, Result]


@dataclass(frozen=True, slots=True)
class RememberedWay:
    """What was counted of the way to a sink, as `WayWindow.hours` gives it."""

    sink: ObjectRef
    hours: tuple[tuple[_Number, _Number, _Number, tuple[tuple[_Number, _Number], ...]], ...]


@dataclass(frozen=True, slots=True)
class RememberedCount:
    """What a shipper had counted for an exporter, since `since`, when it was last seen; seconds since the epoch."""

    shipper: str
    exporter: str
    since: float
    sent: _Number
    lost: _Number
    seen: _Number = 0


@dataclass(frozen=True, slots=True)
class RememberedPlane:
    """Of one control plane: its places by name, and what was counted of its ways."""

    places: Mapping[str, RememberedPlace] = field(default_factory=dict)
    ways: tuple[RememberedWay, ...] = ()
    counts: tuple[RememberedCount, ...] = ()


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a request; the same of most."""

    sinks: tuple[tuple[ObjectRef, Compared | str], ...]
    trouble: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A place; `results` has an outcome's number, when such requests were sent, and their numbers."""

    name: str
    treatment: str
    foretold: str
    visited: _Number
    turn: _Number
    proof: _Number
    results: tuple[tuple[_Number, _Number, tuple[_Number, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Document:
    """All places of a control plane, with what many of them have in common written once."""

    version: Literal[1]
    proofs: tuple[PlaceProof, ...]
    outcomes: tuple[_Outcome, ...]
    places: tuple[_Row, ...]
    ways: tuple[RememberedWay, ...] = ()
    counts: tuple[RememberedCount, ...] = ()


_DOCUMENT = TypeAdapter(_Document)


class MemoryUnreadableError(Exception):
    """It is none of ours, or of another release."""


def encode(plane: RememberedPlane, largest: int) -> str:
    """As text of no more than `largest` characters: the places that were visited last, if there is no room for all.

    What was counted of ways may take half of it; if that is not enough, it is left out.
    """
    places = plane.places
    counted = replace(plane, places={})
    if len(_packed(_document(counted))) > largest // 2:
        counted = RememberedPlane()
    latest = sorted(places, key=lambda name: places[name].visited, reverse=True)
    while True:
        text = _packed(_document(replace(counted, places={name: places[name] for name in latest})))
        if len(text) <= largest or not latest:
            return text if len(text) <= largest else ""
        latest = latest[: min(len(latest) * largest // len(text), len(latest) - 1)]


def _packed(document: _Document) -> str:
    return base64.b64encode(zlib.compress(_DOCUMENT.dump_json(document), 6)).decode()


def decode(text: str, now: float) -> RememberedPlane:
    """What is remembered, but for places whose proof is too old, or from the future.

    Raises:
        MemoryUnreadableError: nothing can be read.
    """
    if not text:
        return RememberedPlane()
    try:
        unpacking = zlib.decompressobj()
        document = _DOCUMENT.validate_json(unpacking.decompress(base64.b64decode(text, validate=True), _LARGEST))
        outcomes = [Result(dict(each.sinks), each.trouble) for each in document.outcomes]
        places = {row.name: _place(row, document.proofs, outcomes, now + _AHEAD) for row in document.places}
    except (ValueError, OverflowError, zlib.error, IndexError) as error:
        raise MemoryUnreadableError(type(error).__name__) from error
    young = {name: each for name, each in places.items() if now - LONGEST < each.visited <= now + _AHEAD}
    return RememberedPlane(young, document.ways, document.counts)


def _document(plane: RememberedPlane) -> _Document:
    proofs: _Numbers[PlaceProof] = _Numbers({})
    outcomes: _Numbers[_Outcome] = _Numbers({})
    rows = []
    for name, place in plane.places.items():
        groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for number, result in sorted(place.results.items()):
            outcome = _Outcome(tuple(sorted(result.sinks.items(), key=lambda each: str(each[0]))), result.trouble)
            groups[outcomes.of(outcome), int(result.at)].append(number)
        results = tuple((outcome, at, tuple(numbers)) for (outcome, at), numbers in groups.items())
        proof = proofs.of(place.proof)
        rows.append(_Row(name, place.treatment, place.foretold, int(place.visited), place.turn, proof, results))
    return _Document(1, tuple(proofs.known), tuple(outcomes.known), tuple(rows), plane.ways, plane.counts)


def _place(row: _Row, proofs: Sequence[PlaceProof], outcomes: Sequence[Result], latest: float) -> RememberedPlace:
    results = {
        number: replace(outcomes[outcome], at=float(at))
        for outcome, at, numbers in row.results
        for number in numbers
        if at <= latest
    }
    return RememberedPlace(row.treatment, row.foretold, float(row.visited), row.turn, proofs[row.proof], results)


@dataclass(frozen=True, slots=True)
class _Numbers(Generic[_T]):
    """A number for each distinct value."""

    known: dict[_T, int]

    def of(self, value: _T) -> int:
        return self.known.setdefault(value, len(self.known))
