"""From an API server's log through the shipper that the operator keeps into a store, and what became of each event.

    async with delivering(folder, store, tenant=7) as it:
        async with it.writing():
            await it.kill()
        print(await it.outcome())

The configuration is the one that the operator renders for these objects, its process is kept by `LocalShipper`, and
each delivery is a tenant of its own in a VictoriaLogs that all of them share. Between the two is a door that can be
shut.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import aiohttp

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import ObjectRef
from audit_operator.api.sink import CredentialType
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.collector import Collector, places_of
from audit_operator.controlplane.shipper.keeper import ShipperTimes
from audit_operator.controlplane.shipper.local import LocalShipper
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.credentials import AUTHORIZATION, SinkCredentials
from audit_operator.plan.shipping import shipping
from audit_operator.policy.model import Request, User
from audit_operator.shipping.exporters import authorization
from tests.integration.shipping import clock
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.audit_log import AuditLog
from tests.integration.shipping.collector import binary
from tests.integration.shipping.door import Door
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from pathlib import Path

    from audit_operator.controlplane.os_process import ProcessIdentity
    from audit_operator.controlplane.shipper.telemetry import Telemetry
    from audit_operator.plan.collector_files import CollectorFiles

EVENTS, PER_SECOND, SIZE = 20_000, 2_000, 1_200
NAMESPACES = tuple(f"team-{number}" for number in range(4))
SINK = "otlp_http/clusterauditsink.central"

_PATIENCE = 300.0
_ASKED_AGAIN = 10
"""Seconds for which nothing new may arrive before what is missing counts as lost; retries are at most 45 s apart."""
_CENTRAL = ObjectRef("ClusterAuditSink", "central")
_TO_CENTRAL = [{"kind": "ClusterAuditSink", "name": "central"}]
_TO_OWN = [{"kind": "AuditSink", "name": "own"}]
_REQUEST = 150_000
"""Bytes of what the receiver hands on at a time, at the most."""
_ID, _TIME = "@ID@", "2026-11-28T07:00:00.000001Z"
_TIMES = ShipperTimes(look_every=1.0, longest_pause=0.1)

Key = tuple[str, str]
"""Audit ID and stage."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the events; `seconds` from the first that was written to the last that arrived."""

    events: int
    missing: int
    duplicates: int
    seconds: float
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has of events: copies of each, its bytes, and those that it had if it was cut."""

    events: Counter[Key]
    sizes: dict[Key, int] = field(default_factory=dict)
    cut: dict[Key, int] = field(default_factory=dict)


def event(number: int, *, size: int = SIZE, at: datetime | None = None) -> tuple[Key, bytes]:
    """The line of an event, of about `size` bytes. Two in a row have one audit ID, as stages of a request do."""
    stage = (Stage.REQUEST_RECEIVED, Stage.RESPONSE_COMPLETE)[number % 2]
    audit_id = f"00000000-0000-4000-8000-{number // 2:012d}"
    moment = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    template = _template(number // 2 % len(_KINDS), stage, size)
    return (audit_id, stage.value), template.replace(_ID.encode(), audit_id.encode()).replace(
        _TIME.encode(), moment.encode()
    )


def is_redacted(number: int) -> bool:
    """Whether the event with this number is about a Secret, and loses most of its bodies."""
    return _KINDS[number // 2 % len(_KINDS)].resource == "secrets"


_ALICE = User("alice", ("dev", "system:authenticated"))
_KINDS = tuple(
    Request(_ALICE, verb, True, group, "v1", namespace, resource, "", "a")
    for namespace in NAMESPACES
    for verb, group, resource in (("create", "", "pods"), ("get", "apps", "deployments"), ("update", "", "secrets"))
)


@cache
def _template(kind: int, stage: Stage, size: int) -> bytes:
    made = event_of(_KINDS[kind], stage, Level.REQUEST_RESPONSE, _ID)
    assert made is not None
    made["requestObject"] = {"kind": "Thing", "data": {"password": "hunter2"}, "spec": {"filler": ""}}
    made["responseObject"] = {}
    made["requestObject"]["spec"]["filler"] = "x" * max(0, size - len(line_of(made)) - len("00000000-0000-0000-0000"))
    return line_of(made) + b"\n"


class Delivery:
    """One log, one shipper, one door, one tenant.

    Attributes:
        path: of the log that the shipper reads.
        written: every event that must arrive.
        ends: what is to be closed after the shipper has ended.
        remark: what is worth knowing besides.
        with_tenants: whether each namespace has a sink of its own, in place of one for all of them.
    """

    def __init__(self, folder: Path, store: str, tenant: int) -> None:
        folder.mkdir()
        self.folder, self.store, self.tenant = folder, store, tenant
        self.path = folder / "audit.log"
        self.log = AuditLog(self.path)
        self.door = Door(store)
        self.ends = AsyncExitStack()
        self.remark = ""
        self.with_tenants = False
        self.collector = Collector(folder / "shipper")
        self.written: set[Key] = set()
        self.began = time.monotonic()
        self._shipper: LocalShipper | None = None
        self._files: CollectorFiles | None = None
        self._outcome: Outcome | None = None

    # The shipper

    def files(
        self, *, queue: int | None = None, password: str = "", profiles: Iterable[str] = ("Secrets",)
    ) -> CollectorFiles:
        """What the operator renders. `queue` are bytes, in place of the gigabytes that a test would have to fill."""
        store = {"type": "VictoriaLogs", "victoriaLogs": {"url": self.door.url, "accountID": self.tenant}}
        secret = {"credentials": {"type": "Basic", "secretRef": {"name": "s", "namespace": "audit"}}}
        tenants = NAMESPACES if self.with_tenants else ()
        wanted = {"rules": [{"level": "RequestResponse"}], "sinkRefs": _TO_OWN if tenants else _TO_CENTRAL}
        snapshot = Snapshot(
            audit_policies=tuple(
                audit_policy(namespace, **wanted, redaction={"profiles": list(profiles)}) for namespace in NAMESPACES
            ),
            audit_sinks=tuple(parsed("AuditSink", "own", store, namespace) for namespace in tenants),
            cluster_audit_policies=() if tenants else (cluster_policy(**wanted),),
            cluster_audit_sinks=()
            if tenants
            else (parsed("ClusterAuditSink", "central", {**store, **(secret if password else {})}),),
            local_sinks=bool(tenants),
            control_planes=(control_plane(),),
            namespaces=tuple(map(NamespaceFact, NAMESPACES)),
        )
        secrets = {_CENTRAL: SinkCredentials({AUTHORIZATION: basic(password).encode()})} if password else {}
        planned = shipping(snapshot, plan(snapshot), "main")
        files = collector_files(planned, snapshot, "test", places_of(str(self.path)), secrets)
        expected = [f"otlp_http/auditsink.{namespace}.own" for namespace in tenants] or [SINK]
        assert sorted(files.sinks.values()) == expected, files.findings
        if queue is None:
            return files
        config, changed = re.subn(r'("queue_size": )[0-9]+', rf"\g<1>{queue}", files.config)
        assert changed == 1
        return replace(files, config=config)

    async def start(self, files: CollectorFiles | None = None) -> None:
        """Returns when the collector is up."""
        await self.deliver(files or self._files or self.files())
        await self.until(self.is_up, "a collector that is up")

    async def deliver(self, files: CollectorFiles) -> None:
        """Returns at once."""
        if self._shipper is None:
            self.collector.prepare()
            self._shipper = LocalShipper(self.collector.folder, binary(), self.path, lambda: None, times=_TIMES)
        self._files = files
        findings = await self._shipper.deliver(files)
        assert not findings, findings

    async def halt(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the collector, with nobody there to start it again until `start`."""
        assert self._shipper is not None
        await self._shipper.aclose()
        self._shipper = None
        if number is signal.SIGKILL:
            self.kill_at_once()
        await asyncio.to_thread(self.collector.stop)

    async def kill(self) -> None:
        """SIGKILL; returns when there is another one. Killed while it starts, it can lose events (docs/sinks.md)."""
        before = self.kill_at_once()

        async def another() -> bool:
            return self.collector.process() not in (None, before) and await self.is_up()

        await self.until(another, "another collector")

    def kill_at_once(self) -> ProcessIdentity:
        """SIGKILL; gives what was killed."""
        process = self._process()
        os.kill(process.pid, signal.SIGKILL)
        return process

    async def reload(self) -> None:
        """SIGHUP; returns when everything within the process was started anew."""
        before = await self.said()
        assert before is not None
        await asyncio.to_thread(self.collector.reload)

        async def again() -> bool:
            said = await self.said()
            return said is not None and said.epoch != before.epoch

        await self.until(again, "a collector that has reloaded")

    def jump(self, time_of_day: timedelta, *, monotonic: timedelta = timedelta(0)) -> None:
        """Set the collector's clocks off by so much."""
        pid = self._process().pid
        clock.jump(pid, time_of_day=int(time_of_day.total_seconds()), monotonic=int(monotonic.total_seconds()))

    @property
    def pid(self) -> int:
        """Of the collector."""
        return self._process().pid

    def files_of(self, storage: str, name: str) -> list[Path]:
        """Where the collector keeps what has this in its name."""
        found = [each for each in (self.collector.folder / "state" / storage).iterdir() if name in each.name]
        assert found
        return found

    def _process(self) -> ProcessIdentity:
        process = self.collector.process()
        assert process is not None, self.collector.last_words()
        return process

    async def until_queue_is_full(self) -> None:
        async def full() -> bool:
            said = await self.said()
            figures = said and said.exporters.get(SINK)
            return bool(figures) and figures.queue > figures.capacity - _REQUEST

        await self.until(full, "a full queue")

    async def said(self) -> Telemetry | None:
        """What the collector says of itself, if it does."""
        try:
            return await asyncio.to_thread(telemetry.read, self.collector.endpoints)
        except telemetry.NoAnswer:
            return None

    async def is_up(self) -> bool:
        said = await self.said()
        return said is not None and self._files is not None and said.config == self._files.digest

    # The log

    @asynccontextmanager
    async def writing(self, lines: Iterator[tuple[Key | None, bytes]] | None = None) -> AsyncIterator[None]:
        """Write while the block runs, and to the end. What has no key is no event."""
        stop = threading.Event()

        def noted() -> Iterator[bytes]:
            for key, line in lines or map(event, range(EVENTS)):
                if stop.is_set():
                    return
                if key is not None:
                    self.written.add(key)
                yield line

        if not self.written:
            self.began = time.monotonic()
        writer = asyncio.create_task(asyncio.to_thread(self.log.write_all, noted(), PER_SECOND))
        try:
            yield
        except BaseException:
            stop.set()
            raise
        finally:
            await writer

    # The store

    async def until_caught_up(self) -> None:
        """Until everything that was written has arrived."""

        await self.until_count(len(self.written))

    async def until_count(self, events: int) -> None:
        """Until so many different events have arrived."""

        async def there() -> bool:
            return await self.count() == events

        await self.until(there, f"{events} events")

    async def outcome(self) -> Outcome:
        """Wait until every event has arrived, or nothing does any more. The same each time."""
        if self._outcome is None:
            self._outcome = await self._awaited()
        return replace(self._outcome, remark=self.remark)

    async def _awaited(self) -> Outcome:
        seen, since = -1, time.monotonic()
        while (count := await self.count()) < len(self.written):
            if count != seen:
                seen, since = count, time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                break
            await asyncio.sleep(0.5)
        seconds = time.monotonic() - self.began
        stored = (await self.stored()).events
        missing = self.written - set(stored)
        return Outcome(len(self.written), len(missing), stored.total() - len(stored), seconds)

    async def count(self) -> int:
        """How many different events the store has."""
        rows = await self._query("quarantine:'' | count_uniq(auditID, stage) n")
        return int(rows[0]["n"])

    async def stored(self) -> Stored:
        """Every event that the store has."""
        found = Stored(Counter())
        for row in await self._query("quarantine:'' | len(_msg) size | fields auditID, stage, cut, size"):
            key = row["auditID"], row["stage"]
            found.events[key] += 1
            found.sizes[key] = int(row["size"])
            if row.get("cut"):
                found.cut[key] = int(row["cut"])
        return found

    async def quarantined(self) -> list[str]:
        """What the store has that is no event: text, without what may be secret."""
        return [row["_msg"] for row in await self._query("quarantine:* | fields _msg")]

    async def unreadable(self) -> set[tuple[str, str]]:
        """Events that lack what could not be read of them."""
        rows = await self._query("unreadable:* | fields auditID, stage")
        return {(row["auditID"], row["stage"]) for row in rows}

    async def _query(self, query: str) -> list[dict[str, Any]]:
        """On a starved machine, the store closes connections that it has just taken: it is asked again then."""
        for _ in range(_ASKED_AGAIN):
            try:
                return await self._ask(query)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(1)
        return await self._ask(query)

    async def _ask(self, query: str) -> list[dict[str, Any]]:
        headers = {"AccountID": str(self.tenant)}
        url = f"{self.store}/select/logsql/query"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data={"query": query}, headers=headers) as answer,
        ):
            text = await answer.text()
            assert answer.ok, text
            return [json.loads(line) for line in text.splitlines()]

    # Waiting

    @staticmethod
    async def until(condition: Callable[[], Any], what: str, patience: float = _PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not (await result if inspect.isawaitable(result := condition()) else result):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            await asyncio.sleep(0.1)

    async def aclose(self) -> None:
        if self._shipper is not None:
            await self._shipper.aclose()
        await asyncio.to_thread(self.collector.retire)
        self.log.close()
        await self.ends.aclose()


@asynccontextmanager
async def delivering(folder: Path, store: str, tenant: int) -> AsyncIterator[Delivery]:
    """A delivery with an open door; the shipper is not started yet."""
    it = Delivery(folder, store, tenant)
    try:
        async with it.door.open():
            yield it
    finally:
        await it.aclose()


def basic(password: str) -> str:
    """The header that proves who the shipper is."""
    made = authorization(CredentialType.BASIC, {"username": b"shipper", "password": password.encode()})
    assert isinstance(made, str)
    return made
