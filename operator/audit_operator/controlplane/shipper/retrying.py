"""When a configuration is tried again that is used without having been tried to its end.

A machine that is busy makes a trial last too long, and says nothing about the configuration. So it gets more time each
time, after a longer pause, and a few times at the most. What ended a trial otherwise, such as a lack of memory, would
end the next one as well, and whatever shares that memory.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.controlplane.shipper.trial import Trial

ATTEMPTS, PAUSE = 4, 60.0
"""How often one is tried at the most, and after how many seconds again; twice as many each time."""
_LONGEST = 500
"""Characters of what a trial has shown."""


@dataclass(frozen=True, slots=True)
class Untried:
    """A configuration that is used untried.

    Attributes:
        digest: of the configuration.
        said: why its trial did not end.
        attempts: how often it was tried.
        due: when it is to be tried again, on the clock that only goes forward; never: infinity.
    """

    digest: str
    said: str
    attempts: int
    due: float

    @classmethod
    def after(cls, trial: Trial, digest: str, attempts: int, pause: float = PAUSE) -> Untried:
        """What is known after so many attempts, of which this was the last."""
        again = trial.short_of_time and attempts < ATTEMPTS
        due = time.monotonic() + pause * 2 ** (attempts - 1) if again else math.inf
        return cls(digest, words(trial), attempts, due)

    def is_due(self, digest: str) -> bool:
        """Whether the configuration with this digest is to be tried now."""
        return digest == self.digest and time.monotonic() >= self.due

    @property
    def is_pending(self) -> bool:
        """Whether it is tried again at all."""
        return self.due < math.inf

    def __str__(self) -> str:
        said = f"its configuration is used, but was not tried to the end: {self.said}"
        return f"{said}; it is tried again (attempt {self.attempts} of {ATTEMPTS})" if self.is_pending else said


def words(trial: Trial) -> str:
    """What a trial has shown."""
    return "; ".join(trial.said)[:_LONGEST]
