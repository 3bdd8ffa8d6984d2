"""What was measured of the way to a sink, in the steps that a status may have: exact figures would change always.

They stand here because both sides speak them: who counts, in `controller`, and `plan`, which says them in status.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = 100_000
"""A part is counted in so many parts of the whole."""

PARTS = (*(each * 10**power for power in range(5) for each in (1, 2, 5)), WHOLE)
"""Of WHOLE: the steps of a part, from 0.001% on."""

MISSING = float("inf")
"""Stands for the time of what did not come in time."""

BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3600.0)
"""Seconds: the steps in which times are told. More than the last one counts as MISSING."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds within which 50, 95 and 99 of 100 probes were found, rounded up; MISSING where so many were not."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class WayFigures:
    """Of the way to one sink, in the last 24 hours.

    Attributes:
        lost: records that shippers have given up, of those and the ones that the store has taken: one of PARTS, or 0;
            None where there were none.
        latency: from a probe to its records; None where no probe was sent.
    """

    lost: int | None = None
    latency: Latency | None = None


def part(some: int, of: int) -> int:
    """A part, rounded up to one of PARTS, so that it never looks smaller than it is; 0 is none at all.

    Raises ZeroDivisionError for a part of nothing, of which nothing can be said.
    """
    exact = min(-(-some * WHOLE // of), WHOLE)
    return next((each for each in PARTS if each >= exact), WHOLE) if some else 0


def part_text(some: int) -> str:
    """Parts of WHOLE as people say them: ``0.02%``."""
    return f"{some * 100 / WHOLE:.3f}".rstrip("0").rstrip(".") + "%"


def step_up(seconds: float) -> float:
    """A time, rounded up to one of BOUNDS or MISSING."""
    return next((each for each in BOUNDS if each >= seconds), MISSING)


def seconds_text(seconds: float) -> str:
    """A time of Latency as people say it: ``5s``; ``missing`` for MISSING."""
    return "missing" if seconds == MISSING else f"{seconds:g}s"
