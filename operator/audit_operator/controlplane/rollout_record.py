"""What must be remembered about rollouts when the operator restarts: the last good policy, and those that failed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_Value = TypeVar("_Value")

_GOOD_ONES = 3
_REMEMBERED = 32
"""Failed policies that are remembered: enough for every policy that somebody is working on."""


class FailureKind(StrEnum):
    """Refused: it never ran. NotReady: the API server was restarted with it and did not become or stay ready."""

    REFUSED = "Refused"
    NOT_READY = "NotReady"


@dataclass(frozen=True, slots=True)
class Failure:
    """A policy that is not tried again by itself.

    Attributes:
        kind: how far it came.
        error: why, for a human.
        at: when it failed last, seconds since the epoch.
    """

    kind: FailureKind
    error: str
    at: float


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """The memory of one API server's rollouts; digests name policies.

    Attributes:
        good: policies with which the API server has become ready, the latest first.
        proven: the policy with which it has also stayed alive for a while; empty before the first.
        failures: policies that failed.
        deaths: how often it has died with a policy before that was proven.
    """

    good: tuple[str, ...] = ()
    proven: str = ""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    deaths: Mapping[str, int] = field(default_factory=dict)

    @property
    def last_good(self) -> str:
        """What to go back to; empty if there is nothing."""
        return self.good[0] if self.good else ""

    def with_good(self, digest: str) -> Self:
        """The API server has become ready with it."""
        good = (digest, *(each for each in self.good if each != digest))[:_GOOD_ONES]
        return replace(self, good=good, failures=_without(self.failures, digest))

    def with_proof(self, digest: str) -> Self:
        """It has stayed alive with it."""
        return replace(self.with_good(digest), proven=digest, deaths={})

    def with_failure(self, digest: str, kind: FailureKind, error: str, at: float) -> Self:
        """It has failed."""
        failures = {**_without(self.failures, digest), digest: Failure(kind, error, at)}
        good = tuple(each for each in self.good if each != digest)
        kept = dict(list(failures.items())[-_REMEMBERED:])
        return replace(self, good=good, failures=kept, deaths=_without(self.deaths, digest))

    def with_death(self, digest: str) -> Self:
        """The API server has died with it."""
        return replace(self, deaths={digest: self.deaths.get(digest, 0) + 1})

    def without_failure(self, digest: str) -> Self:
        """It may be tried again."""
        return replace(self, failures=_without(self.failures, digest))

    def to_json(self) -> bytes:
        """As the content of a file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """From the content of a file."""
        document = json.loads(content)
        failures = {
            digest: Failure(**{**each, "kind": FailureKind(each["kind"])})
            for digest, each in document["failures"].items()
        }
        return cls(tuple(document["good"]), document["proven"], failures, document["deaths"])


def _without(mapping: Mapping[str, _Value], key: str) -> dict[str, _Value]:
    return {each: value for each, value in mapping.items() if each != key}
