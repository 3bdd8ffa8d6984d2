"""Status documents as the API server keeps them: what makes two equal, and when a condition last changed.

`lastTransitionTime` is the only clock in a status. It is no part of what a status says, so it is left out of
comparisons, and it is filled in here, where the previous condition is known, so that whoever computes a status needs no
clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from sys import intern
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TIME = "lastTransitionTime"


@dataclass(frozen=True, slots=True)
class ObservedCondition:
    """What must be remembered of a condition to tell later whether it changed."""

    type: str
    status: str
    since: str


@dataclass(frozen=True, slots=True)
class ObservedStatus:
    """A status in a few hundred bytes: the digest of what it says, the generation it speaks of, and its conditions."""

    digest: bytes
    generation: int = 0
    conditions: tuple[ObservedCondition, ...] = ()

    def condition(self, type_: str) -> ObservedCondition | None:
        """The condition of this type, if there is one."""
        return next((each for each in self.conditions if each.type == type_), None)


def observe_status(status: Mapping[str, Any] | None) -> ObservedStatus:
    """Summarize a status as read from the API server; whatever others wrote into it does no harm here."""
    if not isinstance(status, dict):
        return NO_STATUS
    conditions = tuple(
        ObservedCondition(
            intern(str(each.get("type", ""))), intern(str(each.get("status", ""))), intern(str(each.get(_TIME, "")))
        )
        for each in _conditions(status)
    )
    generation = status.get("observedGeneration")
    return ObservedStatus(status_digest(status), generation if isinstance(generation, int) else 0, conditions)


def status_digest(status: Mapping[str, Any]) -> bytes:
    """Digest of everything that a status says; conditions count as a set, and their times do not count."""
    said = {key: value for key, value in status.items() if key != "conditions"}
    conditions = [{key: value for key, value in each.items() if key != _TIME} for each in _conditions(status)]
    said["conditions"] = sorted(conditions, key=lambda each: str(each.get("type", "")))
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return blake2b(canonical.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def with_transition_times(status: Mapping[str, Any], before: ObservedStatus, now: str) -> dict[str, Any]:
    """The status to write: each condition keeps its time while its `status` stays, and gets `now` when that changes.

    Source: the contract of `metav1.Condition`, as implemented by `meta.SetStatusCondition` in apimachinery.
    """
    conditions = []
    for each in _conditions(status):
        previous = before.condition(each["type"])
        kept = previous is not None and previous.status == each["status"] and previous.since
        conditions.append({**each, _TIME: previous.since if previous is not None and kept else now})
    return {**status, "conditions": conditions}


def _conditions(status: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    conditions = status.get("conditions")
    return [each for each in conditions if isinstance(each, dict)] if isinstance(conditions, list) else []


NO_STATUS = ObservedStatus(status_digest({}))
"""The status of an object that nobody has written one for."""
