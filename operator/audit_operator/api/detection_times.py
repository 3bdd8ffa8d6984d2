"""How long detections take to be seen: values between whoever measures it, in `controller`, and `plan`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class DetectionTimes:
    """Of the conditions of one control plane, by id.

    Attributes:
        seconds: the mean from a probe to its count, rounded up to a step; MISSING where the last one was not counted
            in time.
        unmeasured: conditions that no refused request is about.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    unmeasured: frozenset[str] = frozenset()
