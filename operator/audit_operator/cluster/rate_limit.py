"""No more than so many requests a second, with an allowance for bursts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class RateLimit:
    """A leaky bucket (GCRA): `per_second` on average, `burst` at once."""

    per_second: float
    burst: int
    _next: float = float("-inf")

    async def wait(self) -> None:
        """Return when the next request may start; callers are served in the order of their calls."""
        now = asyncio.get_running_loop().time()
        slot = max(self._next, now - (self.burst - 1) / self.per_second)
        self._next = slot + 1 / self.per_second
        if slot > now:
            await asyncio.sleep(slot - now)
