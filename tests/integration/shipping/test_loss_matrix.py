"""Whatever happens on the way, every event arrives: 20,000 of them at 2,000 a second in each situation.

How often some arrived twice, and how long it took, is shown in a table at the end of the run.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from audit_operator.controlplane.api_server import trust
from audit_operator.controlplane.assets import provide
from audit_operator.controlplane.local_control_plane import LocalControlPlane
from tests.integration.shipping import clock, slow_disk, small_disk
from tests.integration.shipping.conftest import OUTCOMES
from tests.integration.shipping.delivery import (
    EVENTS,
    NAMESPACES,
    SIZE,
    Delivery,
    Outcome,
    basic,
    delivering,
    event,
    is_redacted,
)
from tests.integration.shipping.victoria_logs import victoria_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

KIB, MIB = 2**10, 2**20
AT_ONCE = 6
"""Situations: what two cores bear."""
OUTAGE = 60.0
TOGETHER = 48
"""Events that are read at once, of all namespaces alike."""
BOTH_STAGES = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules: [{level: Metadata}]
"""
MEMORY = Path("/dev/shm")  # noqa: S108  # where it is there
"""A killed process loses nothing there either, and the collectors do not wait for each other's disk."""


async def kills(it: Delivery, number: int = 10) -> None:
    draw = random.Random(number)
    for _ in range(number):
        await asyncio.sleep(draw.uniform(0.1, 0.8))
        await it.kill()


async def rotations(it: Delivery, number: int = 10, every: float = 0.9) -> None:
    for _ in range(number):
        await asyncio.sleep(every)
        it.log.rotate()


async def ten_kills(it: Delivery) -> None:
    await it.start()
    async with it.writing():
        await kills(it)


async def ten_kills_with_tenants_sinks(it: Delivery) -> None:
    it.with_tenants = True
    await ten_kills(it)


async def killed_while_a_tenants_queue_is_written(it: Delivery) -> None:
    """All others have their events by then, and the shipper reads nothing more: it could note that it has read them."""
    if reason := slow_disk.unavailable():
        pytest.skip(reason)
    it.with_tenants = True
    await it.start()
    for first in range(0, 3 * TOGETHER, TOGETHER):
        async with slow_disk.slow(it.pid, it.files_of("queues", NAMESPACES[0])):
            lines = dict(map(event, range(first, first + TOGETHER)))
            it.written |= set(lines)
            it.log.write(b"".join(lines.values()))
            await it.until_count(len(it.written) - TOGETHER // len(NAMESPACES))
            await asyncio.sleep(1)
            assert await it.count() < len(it.written)
            await it.kill()
        await it.until_caught_up()
    async with it.writing(map(event, range(3 * TOGETHER, EVENTS))):
        pass


async def rotated_by_rename(it: Delivery) -> None:
    await it.start()
    async with it.writing():
        await rotations(it)


async def rotated_in_a_burst(it: Delivery) -> None:
    await it.start()
    async with it.writing():
        await rotations(it, 100, 0.05)


async def rotated_while_the_shipper_is_down(it: Delivery) -> None:
    await it.start()
    async with it.writing():
        for _ in range(2):
            await asyncio.sleep(1)
            await it.halt()
            await rotations(it, 3, 0.5)
            await it.start()


async def rotated_while_killed(it: Delivery) -> None:
    await it.start()
    async with it.writing():
        await asyncio.gather(kills(it), rotations(it, 20, 0.5))


async def refused_for_a_minute(it: Delivery) -> None:
    """And for ten more by the shipper's clock: its default is to give up after five."""
    await it.start()
    async with it.writing():
        await asyncio.sleep(2)
        it.door.status = 503
        await it.until(lambda: it.door.refused, "a refusal")
        it.remark = clock.unavailable() or "11 minutes by its own clock"
        if not clock.unavailable():
            it.jump(timedelta(0), monotonic=timedelta(minutes=10))
        await asyncio.sleep(OUTAGE)
        it.door.status = 0


async def answered_too_late(it: Delivery) -> None:
    """What the store has taken is sent again, since the shipper cannot know."""
    await it.start()
    async with it.writing():
        await asyncio.sleep(2)
        it.door.delay = 35.0
        await asyncio.sleep(15)
        it.door.delay = 0.0


async def refused_and_stopped_reloaded_and_killed(it: Delivery) -> None:
    await it.start()
    async with it.writing():
        await asyncio.sleep(1)
        it.door.status = 503
        await it.until(lambda: it.door.refused, "a refusal")
        await it.halt(signal.SIGTERM)
        await it.start()
        await it.reload()
        await it.kill()
        seen = it.door.refused
        await it.until(lambda: it.door.refused > seen, "a refusal after it all")
        it.door.status = 0


async def absent_at_start(it: Delivery) -> None:
    async with it.door.absent():
        await it.start()
        async with it.writing():
            pass
        await it.halt(signal.SIGTERM)
        await it.start()


async def queue_full(it: Delivery) -> None:
    await it.start(it.files(queue=2 * MIB))
    it.door.status = 503
    async with it.writing():
        await it.until_queue_is_full()
    it.door.status = 0


async def queue_full_and_stopped_reloaded_and_killed(it: Delivery) -> None:
    await it.start(it.files(queue=2 * MIB))
    it.door.status = 503
    async with it.writing():
        for _ in range(3):
            await it.until_queue_is_full()
            await it.halt(signal.SIGTERM)
            await it.start()
            await it.until_queue_is_full()
            await it.reload()
        await it.until_queue_is_full()
        await it.kill()
    it.door.status = 0


@asynccontextmanager
async def writing_until_the_disk_is_full(it: Delivery) -> AsyncIterator[small_disk.SmallDisk]:
    """Its store takes nothing, so that its queue fills the disk: then the block runs, while events are written."""
    if reason := small_disk.unavailable():
        pytest.skip(reason)
    disk = it.ends.enter_context(small_disk.mounted(it.folder / "shipper", 12 * MIB))
    await it.start()
    it.door.status = 503
    async with it.writing():
        await it.until(lambda: disk.free() < 128 * KIB, "a full disk")
        await asyncio.sleep(3)
        yield disk


async def disk_full(it: Delivery) -> None:
    """The audit log is on another one: an API server that cannot write it has lost events before anybody reads them."""
    async with writing_until_the_disk_is_full(it) as disk:
        it.kill_at_once()
        await asyncio.sleep(3)
        it.door.status = 0
        await asyncio.sleep(3)
    disk.relieve()


async def disk_full_for_a_while(it: Delivery) -> None:
    """Nothing is killed, so that nothing is read again: what its queue has refused must be offered once more."""
    async with writing_until_the_disk_is_full(it) as disk:
        said = await it.said()
        assert said is not None
        assert said.held_up
        disk.relieve()
        it.door.status = 0


async def large_events(it: Delivery) -> None:
    """More than one of a size in a row, and in one batch with small ones; the store takes 2 MiB with attributes."""
    sizes = dict.fromkeys(range(1000, 1200), 64 * KIB)
    sizes |= dict.fromkeys((3000, 3001, 3002, 5000, 7000, 7001), MIB)
    sizes |= dict.fromkeys((4000, 4001, 4002, 6000, 7002, 7003), 3 * MIB)
    sizes |= dict.fromkeys(range(8000, 8010), 2 * MIB - 64 * KIB - 100)
    await it.start()
    async with it.writing(event(number, size=sizes.get(number, SIZE)) for number in range(EVENTS)):
        pass
    await it.outcome()
    stored = await it.stored()
    kept = {number: size for number, size in sizes.items() if not is_redacted(number)}
    too_large = {event(number)[0]: size for number, size in kept.items() if size == 3 * MIB}
    assert set(stored.cut) == set(too_large)
    assert all(stored.cut[key] > size - KIB for key, size in too_large.items())
    whole = {event(number)[0]: size for number, size in kept.items() if size < 3 * MIB}
    assert all(stored.sizes[key] > size - KIB for key, size in whole.items())
    it.remark = f"{len(too_large)} cut, and say so"


async def large_events_with_tenants_sinks(it: Delivery) -> None:
    it.with_tenants = True
    await large_events(it)


async def malformed_lines(it: Delivery) -> None:
    """Each that is no event is of another length: that is what is left of most of them, since their text may be secret.

    One that begins with an event arrives as that.
    """
    broken = [b"no event", b"[ 7 ]", b"{}", b"\0" * 30, b'"x"', b"\xff\xfe\x80" * 11, b"{" * 40, b"null"]
    broken += [b'\xef\xbb\xbf{"a":1}', b'{"kind":"Event","apiVersion":"audit.k8s.io/v1"}', b"x" * 70_000]
    broken += [event(0)[1].rstrip(b"\n")[7:]]
    assert len({len(each) for each in broken}) == len(broken)
    cuts = (lambda line: line[:-1], lambda line: line[:500], without_an_end, lambda line: line * 2)
    later = [event(EVENTS + number) for number in range(len(cuts))]
    begun = [(key, cut(line.rstrip(b"\n")) + b"\n") for cut, (key, line) in zip(cuts, later, strict=True)]
    wrong = [*((None, each + b"\n") for each in broken), *begun]

    def lines():
        for number in range(EVENTS):
            yield event(number)
            yield from wrong[number : number + 1]

    await it.start()
    async with it.writing(lines()):
        pass
    await it.outcome()
    quarantined = await it.quarantined()
    assert len(quarantined) == len(set(quarantined)) == len(broken), quarantined
    assert await it.unreadable() == {key for key, _ in begun}
    it.remark = f"{len(broken)} in quarantine, {len(begun)} without what stood behind their heads"


def without_an_end(line: bytes) -> bytes:
    """Of a line, what is no text either."""
    return line.replace(b"team-", b"\xc3\x28\xff", 1)[:-2]


async def half_lines(it: Delivery) -> None:
    """A write that takes its time, and one that a kill falls into, while nothing else is to be read."""
    await it.start()
    async with it.writing(event(number) for number in range(EVENTS // 2)):
        pass
    await it.until_caught_up()
    number = EVENTS // 2
    for pause in (0.1, 1.0, 3.0):
        key, line = event(number)
        it.log.write(line[:700])
        await asyncio.sleep(pause)
        it.log.write(line[700:])
        it.written.add(key)
        number += 1
    await it.until_caught_up()
    key, line = event(number)
    it.log.write(line[:700])
    await asyncio.sleep(1)
    await it.kill()
    await asyncio.sleep(1)
    it.log.write(line[700:])
    it.written.add(key)
    async with it.writing(event(number) for number in range(number + 1, EVENTS)):
        pass
    await it.outcome()
    assert not await it.quarantined()


async def api_server_restarted(it: Delivery) -> None:
    """The real one, killed and started again; it opens its log anew, and rotates it at each megabyte."""
    arguments = ("--audit-log-maxsize=1", "--audit-log-maxbackup=1000")
    plane = LocalControlPlane(await asyncio.to_thread(provide), policy=BOTH_STAGES, arguments=arguments)
    await asyncio.to_thread(plane.start)
    it.ends.push_async_callback(asyncio.to_thread, plane.stop)
    it.path = plane.audit_log
    await it.start()
    asked = Asking(plane)
    tasks = [asyncio.create_task(asyncio.to_thread(asked.until, EVENTS // 2)) for _ in range(3)]
    for restart in range(1, 4):
        await it.until(lambda: asked.answered > restart * EVENTS // 8, "answers")  # noqa: B023  # awaited at once
        await asyncio.to_thread(plane.load_policy, BOTH_STAGES)
    await asyncio.gather(*tasks)
    files = list(plane.audit_log.parent.glob("audit*.log"))
    assert len(files) > 5
    events = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    it.written = {(each["auditID"], each["stage"]) for each in events}


class Asking:
    """Requests to an API server that is away at times."""

    def __init__(self, plane: LocalControlPlane) -> None:
        self.answered = 0
        self._address = urlsplit(plane.url)
        self._trust = trust(plane.api_server.certificates)
        self._headers = {"Authorization": f"Bearer {plane.token()}"}

    def until(self, answered: int) -> None:
        """Ask, one request after the other, until so many are answered by all that ask."""
        while self.answered < answered:
            connection = HTTPSConnection(self._address.hostname, self._address.port, context=self._trust, timeout=10)
            with closing(connection), suppress(OSError, HTTPException):
                while self.answered < answered:
                    connection.request("GET", "/api/v1/namespaces/team-0/services", headers=self._headers)
                    connection.getresponse().read()
                    self.answered += 1


async def reloaded_every_second(it: Delivery) -> None:
    await it.start()
    async with it.writing():
        for number in range(10):
            await it.start(it.files(profiles=[("Secrets", "Tokens"), ("Secrets",)][number % 2]))
            await asyncio.sleep(1)


async def clock_jumps(it: Delivery) -> None:
    """Of the shipper and of the API server: to and fro, at the most by what the store keeps."""
    if reason := clock.unavailable():
        pytest.skip(reason)
    offset = timedelta(0)

    def lines():
        for number in range(EVENTS):
            yield event(number, at=datetime.now(UTC) + offset)

    await it.start()
    async with it.writing(lines()):
        for days in (1.5, -6, 3650, -3650, 0):
            await asyncio.sleep(1.2)
            offset = timedelta(days=days) if abs(days) < 7 else timedelta(0)
            it.jump(timedelta(days=days), monotonic=timedelta(0))


async def credentials_rotated(it: Delivery) -> None:
    """So that nothing waits: the store takes both, then the shipper gets the new, then the store takes that alone."""
    it.door.accepted = frozenset({basic("first")})
    await it.start(it.files(password="first"))
    async with it.writing():
        await asyncio.sleep(2)
        it.door.accepted = frozenset({basic("first"), basic("second")})
        await it.start(it.files(password="second"))
        await asyncio.sleep(1)
        it.door.accepted = frozenset({basic("second")})
    assert set(it.door.authorizations) == {basic("first"), basic("second")}


async def credentials_rotated_in_a_store_that_takes_one(it: Delivery) -> None:
    """It, or the way to it, is shut meanwhile."""
    it.door.accepted = frozenset({basic("first")})
    await it.start(it.files(password="first"))
    async with it.writing():
        await asyncio.sleep(2)
        it.door.status = 503
        it.door.accepted = frozenset({basic("second")})
        await it.start(it.files(password="second"))
        it.door.status = 0


async def credentials_changed_in_the_store_first(it: Delivery) -> None:
    """What is refused meanwhile waits."""
    it.door.accepted = frozenset({basic("first")})
    await it.start(it.files(password="first"))
    async with it.writing():
        await asyncio.sleep(2)
        it.door.accepted = frozenset({basic("second")})
        await asyncio.sleep(4)
        await it.start(it.files(password="second"))
    assert it.door.refused


SITUATIONS = (
    refused_for_a_minute,
    answered_too_late,
    ten_kills,
    ten_kills_with_tenants_sinks,
    killed_while_a_tenants_queue_is_written,
    rotated_by_rename,
    rotated_in_a_burst,
    rotated_while_the_shipper_is_down,
    rotated_while_killed,
    refused_and_stopped_reloaded_and_killed,
    absent_at_start,
    queue_full,
    queue_full_and_stopped_reloaded_and_killed,
    disk_full,
    disk_full_for_a_while,
    large_events,
    large_events_with_tenants_sinks,
    malformed_lines,
    half_lines,
    api_server_restarted,
    reloaded_every_second,
    clock_jumps,
    credentials_rotated,
    credentials_rotated_in_a_store_that_takes_one,
    credentials_changed_in_the_store_first,
)


REPEATED = {
    answered_too_late,
    ten_kills,
    ten_kills_with_tenants_sinks,
    killed_while_a_tenants_queue_is_written,
    rotated_while_the_shipper_is_down,
    rotated_while_killed,
    refused_and_stopped_reloaded_and_killed,
    queue_full_and_stopped_reloaded_and_killed,
    disk_full,
    half_lines,
}
"""A kill, or an answer that is lost, may let what was on its way arrive twice; in all others, nothing does."""


async def happen(
    situations: list[Callable[[Delivery], Coroutine[None, None, None]]], folder: Path, store: str
) -> list[Outcome | BaseException]:
    """All of them, some at a time, in the order in which they are given."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, situation: Callable[[Delivery], Coroutine[None, None, None]]) -> Outcome:
        async with room, delivering(folder / situation.__name__, store, number) as it:
            await situation(it)
            return await it.outcome()

    with ThreadPoolExecutor(8 * AT_ONCE) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        tasks = [one(number, each) for number, each in enumerate(situations, 1)]
        return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """What came of each situation that is asked for in this run."""
    wanted = [each.callspec.params["situation"] for each in request.session.items if "situation" in _parameters(each)]
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:  # noqa: SIM117  # it is long
        with victoria_logs(tmp_path_factory.mktemp("loss")) as store:
            results = dict(zip(wanted, asyncio.run(happen(wanted, Path(folder), store)), strict=True))
    shown = {each.__name__: result for each, result in results.items() if isinstance(result, Outcome)}
    request.config.stash[OUTCOMES] = shown
    return results


def _parameters(item):
    return item.callspec.params if hasattr(item, "callspec") else {}


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_no_event_is_lost(outcomes, situation):
    outcome = outcomes[situation]
    if isinstance(outcome, BaseException):
        raise outcome
    assert outcome.events >= EVENTS
    assert outcome.missing == 0
    if situation not in REPEATED:
        assert outcome.duplicates == 0
