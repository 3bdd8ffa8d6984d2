"""How long to wait before the next attempt: exponential, capped, with full jitter.

Full jitter spreads the retries of many clients that failed at the same moment, which is what an API server needs while
it comes back (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds: uniform between 0 and ``min(cap, base * 2**attempt)``."""

    base: float = 0.25
    cap: float = 60.0

    def delay(self, attempt: int) -> float:
        """Delay before retry number `attempt`, counted from 0."""
        # 2**63 seconds are beyond every cap; the bound keeps the float from overflowing after days of failures.
        ceiling = min(self.cap, self.base * 2.0 ** min(attempt, 63))
        return random.uniform(0.0, ceiling)  # noqa: S311  # spreads load, protects nothing
