"""Sidecars are asked what they have counted, one after the other, and what they say is added up by policy.

They are in pods of tenants, so every answer is a claim of that pod about itself, and costs little whatever it is: one
that is slow, huge or wrong counts as none. Only so many are asked, policies by turns, so that one with very many pods
takes no turn from another.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING

from audit_operator.api.observations import ExporterFigures, Flow
from audit_operator.controlplane.shipper.flow import LOSS_SHOWN, Sum, Way
from audit_operator.plan.sidecar_figures import SidecarFigures, SidecarTotals, Trouble, stepped
from audit_operator.shipping.injection.figures import MOST_BYTES, PATH, SidecarAnswer, parse, ports
from audit_operator.sinks.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from audit_operator.api.findings import ObjectRef
    from audit_operator.shipping.injection.pod import Pod

_LOG = logging.getLogger(__name__)
_REQUEST = f"GET {PATH} HTTP/1.0\r\nConnection: close\r\n\r\n".encode()
_SILENT_AFTER = 3
"""Rounds without an answer from which on a sidecar counts as silent: its configuration takes a minute to reach it."""
_DOWN_AFTER = 2
"""Answers in a row without a collector: one is started again in less."""
_MOST = 10**15
_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Carriers:
    """The pods with the sidecar of one policy, and the names that their answers may have.

    Attributes:
        pods: all of them.
        fresh: UIDs of those with a sidecar of this release, which should answer.
        sources: entries of the policy's files.
        sinks: ids of exporters.
    """

    policy: ObjectRef
    pods: tuple[Pod, ...]
    fresh: frozenset[str]
    sources: frozenset[str]
    sinks: frozenset[str]


@dataclass(slots=True)
class SidecarQuestions:
    """Asks in rounds for as long as it runs, and sooner if told to; `facts` has what is known, by policy.

    Attributes:
        carriers: whom to ask.
        on_change: called when what `facts` said is not true any more.
        every: seconds between two rounds.
        pause: seconds between two at the least.
        patience: seconds for one pod.
        at_once: pods that are asked at the same time.
        most: pods that are asked in one round.
        network: which addresses may be connected to: never those of this machine, whatever a pod's status says.
    """

    every: float = 60.0
    carriers: Callable[[], Iterable[Carriers]] = tuple
    on_change: Callable[[], None] = lambda: None
    patience: float = 3.0
    at_once: int = 32
    most: int = 4000
    network: Network = field(default_factory=lambda: Network(foreign=True))
    pause: float = 5.0
    facts: dict[ObjectRef, SidecarFigures] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _known: dict[ObjectRef, _OfPolicy] = field(default_factory=dict)

    async def run(self) -> None:
        """Ask, until cancelled."""
        while True:
            await self.round()
            pause = min(self.pause, self.every)
            await asyncio.sleep(pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every - pause):
                    await self._wake.wait()

    def hurry(self) -> None:
        """Begin the next round as soon as may be: there is a policy whose sidecars were never asked."""
        self._wake.set()

    async def round(self) -> None:
        """Ask every pod once, and note what they say. Raises nothing."""
        try:
            await self._round()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing else may end for it
            _LOG.error("Sidecars not asked: %s", error, exc_info=error, extra={"reason": type(error).__name__})

    async def _round(self) -> None:
        self._wake.clear()
        carriers = {each.policy: each for each in self.carriers()}
        for gone in self._known.keys() - carriers.keys():
            del self._known[gone]
        asked = list(_by_turns(carriers.values(), self.most))
        uids: dict[ObjectRef, set[str]] = {ref: set() for ref in carriers}
        for of, pod in asked:
            uids[of.policy].add(pod.uid)
        for ref, theirs in uids.items():
            self._known.setdefault(ref, _OfPolicy()).keep_only(theirs)
        left = iter(asked)
        await asyncio.gather(*(self._ask_all(left) for _ in range(self.at_once)))
        now = time.monotonic()
        facts = {ref: known.figures(now, carriers[ref]) for ref, known in self._known.items()}
        before, self.facts = self.facts, facts
        if facts != before:
            self.on_change()

    async def _ask_all(self, left: Iterator[tuple[Carriers, Pod]]) -> None:
        for of, pod in left:
            answer = await ask(pod, of, self.network, self.patience)
            self._known[of.policy].note(time.monotonic(), pod, answer)


async def ask(pod: Pod, of: Carriers, network: Network, patience: float) -> SidecarAnswer | None:
    """What the sidecar of a policy in a pod says; None where it says nothing of use, or not in time (seconds)."""
    try:
        address = str(ipaddress.ip_address(pod.address))
    except ValueError:
        return None
    if not network.admits(address):
        return None
    policy = f"{of.policy.namespace}/{of.policy.name}"
    try:
        async with asyncio.timeout(patience):
            for port in ports(pod.uid, policy):
                body = await _body(address, port)
                if body is not None and (answer := parse(body, pod.uid, policy, of.sources, of.sinks)) is not None:
                    return answer
    except (OSError, TimeoutError):
        pass
    return None


async def _body(address: str, port: int) -> bytes | None:
    """What is answered at a port; None where nobody listens. Raises OSError."""
    try:
        reader, writer = await asyncio.open_connection(address, port, limit=MOST_BYTES)
    except ConnectionRefusedError:
        return None
    try:
        writer.write(_REQUEST)
        read = bytearray()
        while len(read) <= MOST_BYTES + _HEAD_BYTES and (part := await reader.read(MOST_BYTES)):
            read += part
        return bytes(read).partition(b"\r\n\r\n")[2]
    except ConnectionError:
        return None  # somebody else's port; the sidecar may be at the next
    finally:
        writer.transport.abort()


def _by_turns(carriers: Iterable[Carriers], most: int) -> Iterable[tuple[Carriers, Pod]]:
    """The same pods in every round as long as there are no others: the figures of a part are those of the same part."""
    each_in_order = ([(of, pod) for pod in sorted(of.pods, key=lambda pod: pod.uid)] for of in carriers)
    turns = chain.from_iterable(zip_longest(*each_in_order))
    return islice((each for each in turns if each is not None), most)


@dataclass(slots=True)
class _OfPod:
    """What one pod has said; `is_old` where it was there when its policy's pods were first asked."""

    name: str
    is_old: bool
    unanswered: int = 0
    down: int = 0
    has_answered: bool = False
    received: Sum = field(default_factory=Sum)
    refused: Sum = field(default_factory=Sum)
    quarantined: dict[str, Sum] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)

    @property
    def is_silent(self) -> bool:
        """Whether it was asked several times in vain."""
        return self.unanswered >= _SILENT_AFTER


@dataclass(slots=True)
class _OfPolicy:
    """What the pods of one policy have said, those that are gone included."""

    is_new: bool = True
    received: int = 0
    refused: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    sinks: dict[str, ExporterFigures] = field(default_factory=dict)
    pods: dict[str, _OfPod] = field(default_factory=dict)
    _has_answered: bool = False
    _lost_at: float = float("-inf")
    _lost_in: str = ""

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget pods that are gone, but not what they have counted."""
        self.pods = {uid: pod for uid, pod in self.pods.items() if uid in uids}

    def note(self, now: float, pod: Pod, answer: SidecarAnswer | None) -> None:
        """Take note of an answer, or of none."""
        known = self.pods.setdefault(pod.uid, _OfPod(pod.name, self.is_new))
        known.unanswered += 1
        if answer is None:
            return
        self._has_answered = known.has_answered = True
        known.unanswered = 0
        known.down = 0 if answer.runs else known.down + 1
        if not answer.runs:
            return
        self.received = _more(self.received, known.received, answer.epoch, answer.received)
        self.refused = _more(self.refused, known.refused, answer.epoch, answer.refused)
        for source, lines in answer.quarantined.items():
            counter = known.quarantined.setdefault(source, Sum())
            self.quarantined[source] = _more(self.quarantined.get(source, 0), counter, answer.epoch, lines)
        known.flows = {}
        for sink, figures in answer.sinks.items():
            self._see(now, known, answer.epoch, sink, figures)

    def figures(self, now: float, of: Carriers) -> SidecarFigures:
        """What is true at the end of a round; what was said several rounds ago is not."""
        self.is_new = False
        answering = {uid: pod for uid, pod in self.pods.items() if pod.has_answered and not pod.is_silent}
        silent = {uid: pod.name for uid, pod in self.pods.items() if pod.is_silent}
        # Where some answer, nobody expects it of those of an earlier release; where none does, nothing is known.
        named = [name for uid, name in silent.items() if uid in of.fresh] or ([] if answering else silent.values())
        return SidecarFigures(
            answering=len(answering),
            is_awaited=not self._has_answered and bool(self.pods),
            silent=min(named, default=""),
            quarantined=stepped(self.quarantined),
            troubled=dict(self._troubled(now, answering.values())),
            totals=SidecarTotals(self.received, self.refused, dict(self.quarantined), self._sinks(answering.values())),
        )

    def _see(self, now: float, pod: _OfPod, epoch: str, sink: str, seen: ExporterFigures) -> None:
        way = pod.ways.get(sink)
        if way is None:
            way = pod.ways[sink] = Way()
            if pod.is_old:
                # What it lost before anybody asked may be of any time: it is counted, and not shown as of late.
                total = self.sinks.get(sink, ExporterFigures())
                failed, not_queued = way.failed.add(epoch, seen.failed), way.not_queued.add(epoch, seen.not_queued)
                way.figures = ExporterFigures(failed=failed, not_queued=not_queued)
                self.sinks[sink] = _sum(total, ExporterFigures(), way.figures)
        before = way.figures
        pod.flows[sink] = way.see(now, epoch, seen)
        self.sinks[sink] = _sum(self.sinks.get(sink, ExporterFigures()), before, way.figures)
        if (way.figures.failed, way.figures.not_queued) != (before.failed, before.not_queued):
            if now - self._lost_at >= LOSS_SHOWN:
                self._lost_in = pod.name  # and no other while it is shown: status would change with every loss
            self._lost_at = now

    def _troubled(self, now: float, answering: Collection[_OfPod]) -> Iterator[tuple[Trouble, str]]:
        down = [each.name for each in answering if each.down >= _DOWN_AFTER]
        waiting = [each.name for each in answering if Flow.BACKLOG in each.flows.values()]
        if now - self._lost_at < LOSS_SHOWN:
            yield Trouble.LOSSY, self._lost_in
        for trouble, names in ((Trouble.DOWN, down), (Trouble.BACKLOG, waiting)):
            if names:
                yield trouble, min(names)

    def _sinks(self, answering: Collection[_OfPod]) -> dict[str, ExporterFigures]:
        """Records of all pods that ever were; what waits, of those that are there."""
        return {
            sink: replace(
                total,
                queue=sum(each.ways[sink].figures.queue for each in answering if sink in each.ways),
                capacity=sum(each.ways[sink].figures.capacity for each in answering if sink in each.ways),
            )
            for sink, total in self.sinks.items()
        }


def _more(total: int, counter: Sum, epoch: str, value: int) -> int:
    before = counter.total
    return min(_MOST, total + counter.add(epoch, value) - before)


def _sum(total: ExporterFigures, before: ExporterFigures, after: ExporterFigures) -> ExporterFigures:
    return ExporterFigures(
        min(_MOST, total.sent + after.sent - before.sent),
        min(_MOST, total.failed + after.failed - before.failed),
        min(_MOST, total.not_queued + after.not_queued - before.not_queued),
    )
