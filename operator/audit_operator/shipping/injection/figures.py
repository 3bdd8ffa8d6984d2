"""Where a sidecar tells what it has counted, and what of its answer is believed.

The pod belongs to somebody else, and so does what answers there. An answer is a claim of that pod about itself: it is
small, its numbers have bounds, and it names nothing that the policy does not.
"""

from __future__ import annotations

import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.observations import ExporterFigures

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# The sidecar says the same in sidecar.answers; a test compares them.
FIRST_PORT, PORTS, CANDIDATES = 19000, 1000, 4
PATH = "/figures"
MOST_BYTES = 32 * 2**10
"""Of an answer: 16 sources and 16 sinks with the longest names take half of that."""
_LARGEST = 10**15
"""Records; more than any sidecar ever reads, and few enough to be added up a thousand times in 64 bits."""
_LONGEST_EPOCH = 64


@dataclass(frozen=True, slots=True)
class SidecarAnswer:
    """What a sidecar says that it has counted since its collector loaded its configuration.

    Attributes:
        runs: whether there is a collector that says what it has counted; without, the rest is empty.
        epoch: tells apart the times from which it counts.
        received: lines read.
        refused: lines that no way out had room for; they are read again.
        quarantined: lines that break the standard, by the entry of the policy's files, ``VOLUME/PATH``.
        sinks: by id of the exporter.
    """

    runs: bool
    epoch: str = ""
    received: int = 0
    refused: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    sinks: Mapping[str, ExporterFigures] = field(default_factory=dict)


def ports(pod: str, policy: str) -> tuple[int, ...]:
    """Where the sidecar of a policy may listen in a pod (its UID): at the first that was free.

    They differ from pod to pod, so that an application that needs one of them gets it in its next pod.
    """
    found = (FIRST_PORT + binascii.crc32(f"{pod}/{policy}/{n}".encode()) % PORTS for n in range(CANDIDATES))
    return tuple(dict.fromkeys(found))


def parse(body: bytes, pod: str, policy: str, sources: Collection[str], sinks: Collection[str]) -> SidecarAnswer | None:
    """Read an answer; None where it is none of that policy's sidecar in that pod (its UID), or has no sense.

    What it says of sources and sinks that the policy does not have is passed over.
    """
    try:
        told = json.loads(body)
        if len(body) > MOST_BYTES or (told["pod"], told["policy"]) != (pod, policy):
            return None
        if told["runs"] is not True:
            return SidecarAnswer(runs=False)
        return SidecarAnswer(
            runs=True,
            epoch=str(told["epoch"])[:_LONGEST_EPOCH],
            received=_count(told["received"]),
            refused=_count(told["refused"]),
            quarantined={each: _count(told["quarantined"][each]) for each in sources if each in told["quarantined"]},
            sinks={each: _exporter(told["sinks"][each]) for each in sinks if each in told["sinks"]},
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _exporter(told: Any) -> ExporterFigures:
    sent, failed, not_queued, queue, capacity = map(_count, told)
    return ExporterFigures(sent, failed, not_queued, queue, capacity)


def _count(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or not 0 <= told <= _LARGEST:
        raise ValueError
    return told
