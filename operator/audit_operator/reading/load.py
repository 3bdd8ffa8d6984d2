"""How much is answered at once, and for one caller: nobody's questions may keep others from theirs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from audit_operator.reading.refusal import Refused, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_CALLERS = 10_000
_SERVICE_ACCOUNT = "system:serviceaccount:"


def share(name: str) -> str:
    """Whose share a user's requests count for: whoever may make service accounts in a namespace can make any number."""
    if name.startswith(_SERVICE_ACCOUNT):
        return name[: name.rfind(":") + 1]
    return name


def _is_of_many(share: str) -> bool:
    return share.startswith(_SERVICE_ACCOUNT)


@dataclass(slots=True)
class Load:
    """What is answered, and how much may be.

    Attributes:
        most: requests at once, of all callers, recognised or not.
        most_of_strangers: of them with tokens that are not known yet: the API server must be asked whose they are, and
            whoever sends none but bad ones must not take the room of others.
        most_of_one: requests at once of one user.
        most_of_many: of all service accounts of one namespace.
        questions: that the API server is asked at once for one share; all have 16 places together (`reviews`).
        burst: namespaces that a share has saved up at most, to be asked for; as many as one question may have, or more.
        per_second: that are added to them; whoever follows as many as a question may have, asks each 2 s.
        most_bytes: of records that wait to be sent, of all answers.
        now: a clock that never goes back.
        requests: that are answered now.
        bytes: that wait now.
    """

    most: int = 128
    most_of_strangers: int = 96
    most_of_one: int = 4
    most_of_many: int = 8
    questions: int = 2
    burst: float = 64.0
    per_second: float = 16.0
    most_bytes: int = 64 * 2**20
    now: Callable[[], float] = time.monotonic
    requests: int = 0
    strangers: int = 0
    bytes: int = 0
    _of_one: Counter[str] = field(default_factory=Counter)
    _saved: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    _asking: WeakValueDictionary[str, asyncio.Semaphore] = field(default_factory=WeakValueDictionary)

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
    def of(self, share: str) -> Iterator[None]:
        """Room for one request of a share.

        Raises:
            Refused: there is none.
        """
        most = self.most_of_many if _is_of_many(share) else self.most_of_one
        if self._of_one[share] >= most:
            whose = "of your namespace's service accounts" if _is_of_many(share) else "of yours"
            raise Refused(Why.TOO_MANY_REQUESTS, f"more than {most} requests {whose} at once")
        self._of_one[share] += 1
        try:
            yield
        finally:
            self._of_one[share] -= 1
            if not self._of_one[share]:
                del self._of_one[share]

    def asking(self, share: str) -> asyncio.Semaphore:
        """A place for asking the API server what a share may; there are `questions` of them."""
        places = self._asking.get(share)
        if places is None:
            places = self._asking[share] = asyncio.Semaphore(self.questions)
        return places

    def take(self, number: int) -> None:
        """Room for bytes that wait to be sent, until they are given back.

        Raises:
            Refused: there is none.
        """
        if self.bytes + number > self.most_bytes:
            raise Refused(Why.TOO_MANY_REQUESTS, "too much waits to be read by callers")
        self.bytes += number

    def give_back(self, number: int) -> None:
        """They are sent, or need not be."""
        self.bytes -= number

    def spend(self, share: str) -> None:
        """Take what one namespace costs.

        Raises:
            Refused: it has been used up.
        """
        now = self.now()
        saved, since = self._saved.pop(share, (self.burst, now))
        saved = min(self.burst, saved + (now - since) * self.per_second)
        enough = saved >= 1
        self._saved[share] = (saved - 1 if enough else saved, now)
        if len(self._saved) > _MOST_CALLERS:
            self._saved.popitem(last=False)
        if not enough:
            raise Refused(Why.TOO_MANY_REQUESTS, f"more than {self.per_second:g} namespaces in a second")
