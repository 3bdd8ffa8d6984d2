"""How much is answered at once, and for one caller: nobody's questions may keep others from theirs."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.reading.refusal import Refused, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_CALLERS = 10_000


@dataclass(slots=True)
class Load:
    """What is answered, and how much may be.

    Attributes:
        most: requests at once, of all callers, recognised or not.
        most_of_strangers: of them with tokens that are not known yet: the API server must be asked whose they are, and
            whoever sends none but bad ones must not take the room of others.
        most_of_one: requests at once of one caller.
        burst: requests that a caller has saved up at most.
        per_second: that are added to them.
        now: a clock that never goes back.
        requests: that are answered now.
    """

    most: int = 128
    most_of_strangers: int = 96
    most_of_one: int = 4
    burst: float = 30.0
    per_second: float = 5.0
    now: Callable[[], float] = time.monotonic
    requests: int = 0
    strangers: int = 0
    _of_one: Counter[str] = field(default_factory=Counter)
    _saved: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Room for one request.

        Raises:
            Refused: there is none.
        """
        if self.requests >= self.most:
            raise Refused(Why.TOO_MANY_REQUESTS, "too many requests at once")
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def stranger(self) -> Iterator[None]:
        """Room for asking who somebody is.

        Raises:
            Refused: there is none.
        """
        if self.strangers >= self.most_of_strangers:
            raise Refused(Why.TOO_MANY_REQUESTS, "too many requests at once of callers who are not known yet")
        self.strangers += 1
        try:
            yield
        finally:
            self.strangers -= 1

    @contextmanager
    def of(self, caller: str) -> Iterator[None]:
        """Room for one request of a caller.

        Raises:
            Refused: there is none.
        """
        if self._of_one[caller] >= self.most_of_one:
            raise Refused(Why.TOO_MANY_REQUESTS, f"more than {self.most_of_one} requests of yours at once")
        self._spend(caller)
        self._of_one[caller] += 1
        try:
            yield
        finally:
            self._of_one[caller] -= 1
            if not self._of_one[caller]:
                del self._of_one[caller]

    def _spend(self, caller: str) -> None:
        now = self.now()
        saved, since = self._saved.pop(caller, (self.burst, now))
        saved = min(self.burst, saved + (now - since) * self.per_second)
        enough = saved >= 1
        self._saved[caller] = (saved - 1 if enough else saved, now)
        if len(self._saved) > _MOST_CALLERS:
            self._saved.popitem(last=False)
        if not enough:
            raise Refused(Why.TOO_MANY_REQUESTS, f"more than {self.per_second:g} requests of yours in a second")
