"""The shipper of one node: learns what is to be shipped, keeps a collector running with it, and tells how that goes.

The cluster may be away for minutes. What was learned last lies on the node's disk and goes on to count then, also for a
shipper that has just been started.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.files import write_atomically
from audit_operator.controlplane.shipper.board import Told
from audit_operator.controlplane.shipper.instructions import ShipperInstructions, UnknownInstructions
from audit_operator.controlplane.shipper.report import Refusal, ShipperReport

if TYPE_CHECKING:
    from pathlib import Path

    from audit_operator.api.observations import ShipperObservation
    from audit_operator.controlplane.shipper.board import ShipperBoard
    from audit_operator.controlplane.shipper.kept import KeptCollector
    from audit_operator.plan.collector_files import CollectorFiles

_LOG = logging.getLogger(__name__)


class LearnedBefore:
    """What was learned last, in a file that nobody but us can read."""

    def __init__(self, path: Path) -> None:
        """The file need not exist."""
        self._path = path

    def read(self) -> Told | None:
        """What was written last; None where there is nothing that can be used."""
        try:
            key, content = self._path.read_bytes().split(b"\n", 1)
            return Told("", content, str(json.loads(key)))
        except (OSError, ValueError):
            return None

    def write(self, told: Told) -> None:
        """Remember it. Raises OSError."""
        write_atomically(self._path, json.dumps(told.pseudonym_keys).encode() + b"\n" + told.instructions)


@dataclass(slots=True)
class NodeShipper:
    """Runs until it is cancelled. The collector runs on then; whoever keeps it decides when it ends.

    Attributes:
        node: name of the node.
        plane: name of the AuditControlPlane that it serves.
        board: where instructions come from, and reports go to.
        kept: the collector. It must call `news` whenever something else is seen.
        before: what was learned last.
        poll: seconds between two looks at whether instructions have changed.
        heartbeat: seconds after which a report is renewed although nothing has changed.
    """

    node: str
    plane: str
    board: ShipperBoard
    kept: KeptCollector
    before: LearnedBefore
    poll: float = 2.0
    heartbeat: float = 10.0
    _revision: str = ""
    _instructions: ShipperInstructions | None = None
    _keys: str = field(default="", repr=False)
    _problem: str = ""
    _in_vain: set[str] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _logged: object = None

    def news(self) -> None:
        """Something else is to be told. To be called in the event loop."""
        self._news.set()

    async def run(self) -> None:
        """Work and tell, until cancelled."""
        remembered = await asyncio.to_thread(self.before.read)
        if remembered is not None:
            await self._use(remembered)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._learn_for_ever(), name="learn")
            tasks.create_task(self._tell_for_ever(), name="report")

    @property
    def report(self) -> ShipperReport:
        """How the node's shipper is now."""
        files = self._instructions.files if self._instructions else None
        refused = [Refusal(id=f.id, severity=f.severity, message=f.message, mend=f.mend) for f in self.kept.refusal()]
        return ShipperReport(
            plane=self.plane,
            wanted=files.digest if files else "",
            refused=tuple(refused),
            problem=self._problem,
            seen=self.kept.seen(),
        )

    async def _learn_for_ever(self) -> None:
        while True:
            try:
                await self._learn()
                self._note("read instructions")
            except BoardUnavailable as error:
                self._note("read instructions", str(error))
            except OSError as error:
                # They are in force all the same; a shipper that is started now would not have them.
                _LOG.error("Instructions cannot be kept on this node: %s", error, extra={"reason": "DiskFailed"})
            await asyncio.sleep(self.poll)

    async def _learn(self) -> None:
        """Read what has changed. Instructions that are not there any more change nothing: somebody may have erred."""
        revision = await self.board.revision(self.plane)
        if revision in {"", self._revision}:
            return
        told = await self.board.told(self.plane)
        if told is None:
            return
        if await self._use(told):
            await asyncio.to_thread(self.before.write, told)
        self._revision = told.revision

    async def _use(self, told: Told) -> bool:
        """Bring the collector to what was told; whether that was understood. If not, what runs stays in force."""
        try:
            instructions = await asyncio.to_thread(ShipperInstructions.decoded, told.instructions)
        except UnknownInstructions as error:
            self._problem = f"its instructions are not understood, and what it had before stays in force: {error}"
            _LOG.error("%s", self._problem, extra={"object": self.plane, "reason": "UnknownInstructions"})
            self._news.set()
            return False
        understood, self._problem = not self._problem, ""
        if not understood or (instructions, told.pseudonym_keys) != (self._instructions, self._keys):
            self._instructions, self._keys = instructions, told.pseudonym_keys
            files = _files(instructions, told.pseudonym_keys)
            extra = {"object": self.plane, "reason": "Instructed", "digest": files.digest if files else ""}
            _LOG.info("Told what to ship" if files else "Told that nothing is to be shipped", extra=extra)
            self.kept.keep(files)
            self._news.set()
        return True

    async def _tell_for_ever(self) -> None:
        while True:
            self._news.clear()
            report = self.report
            self._log(report)
            try:
                await self.board.report(self.node, report)
                self._note("report")
            except BoardUnavailable as error:
                self._note("report", str(error))
            try:
                async with asyncio.timeout(self.heartbeat):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _note(self, what: str, error: str = "") -> None:
        """Log that the cluster is away for something, or there again; once each, since it is tried all the time."""
        if bool(error) != (what in self._in_vain):
            self._in_vain ^= {what}
            if error:
                _LOG.warning("Cannot %s: %s", what, error, extra={"object": self.plane, "reason": "BoardUnavailable"})
            else:
                _LOG.info("Can %s again", what, extra={"object": self.plane, "reason": "BoardAvailable"})

    def _log(self, report: ShipperReport) -> None:
        """Say what is different from the last time; figures always are, and do not count."""
        seen = report.seen
        said = (report.problem, report.refused, seen and (seen.config, seen.healthy, seen.last_error))
        if said == self._logged or seen is None:
            return
        self._logged = said
        level = logging.INFO if seen.healthy and not report.refused else logging.WARNING
        extra = {"object": self.plane, "digest": seen.config, "reason": "Shipping" if seen.healthy else "ShipperDown"}
        _LOG.log(level, "Shipper of node %s: %s", self.node, _in_words(seen), extra=extra)


def _files(instructions: ShipperInstructions, pseudonym_keys: str) -> CollectorFiles | None:
    return instructions.files.for_collector(pseudonym_keys) if instructions.files else None


def _in_words(seen: ShipperObservation) -> str:
    return seen.last_error or ("it runs" if seen.healthy else "it does not run")
