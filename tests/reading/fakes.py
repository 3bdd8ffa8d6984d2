"""A judge and a store that say what they are told to, for what real ones do not do on demand."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from audit_operator.reading.reviews import Caller, Existing
from audit_operator.sinks import Record

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeJudge:
    callers: dict = field(
        default_factory=lambda: {"token-a": Caller("a", "", (), ()), "token-b": Caller("b", "", (), ())}
    )
    may: set = field(default_factory=lambda: {("a", "payments"), ("b", "shop")})
    namespaces: dict = field(default_factory=lambda: {n: Existing(f"uid-{n}", CREATED) for n in ("payments", "shop")})
    asked: list = field(default_factory=list)
    away: Exception | None = None

    async def who(self, token):
        self.asked.append(("who", token))
        if self.away:
            raise self.away
        return self.callers.get(token)

    async def may_read(self, caller, namespace):
        self.asked.append((caller.name, namespace))
        return (caller.name, namespace) in self.may

    async def existing(self, namespace):
        return self.namespaces.get(namespace)


def record(number=1, namespace="payments", *, text=""):
    time = datetime.now(UTC) - timedelta(minutes=1)
    return Record(f"id-{number}", "Panic", time, text or f'{{"n":{number}}}', {"namespace": namespace, "cluster": "c"})


@dataclass
class FakeStore:
    answers: list = field(default_factory=lambda: [record(1), record(2)])
    delay: float = 0.0
    silence: float = 0.0
    bug: Exception | None = None
    open: int = 0

    async def search(self, _selection):
        self.open += 1
        try:
            await asyncio.sleep(self.silence)
            for each in self.answers:
                yield each
                await asyncio.sleep(self.delay)
            if self.bug:
                raise self.bug
        finally:
            self.open -= 1
