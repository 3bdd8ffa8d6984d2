"""`NodeShippers`: says to the shippers of nodes what is wanted, and collects what they say. They do the rest.

Nothing is remembered here that does not lie in the cluster: another replica can go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import ShipperObservation
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.shipper.instructions import (
    LARGEST,
    ShippedFiles,
    ShipperInstructions,
    UnknownInstructions,
    instructions_name,
    keyring_name,
)
from audit_operator.controlplane.shipper.pseudonym_keys import KeyAges, PseudonymKeys
from audit_operator.shipping.redaction.keyring import KeyringUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.controlplane.shipper.board import Posted, ShipperBoard
    from audit_operator.controlplane.shipper.counts import Counts
    from audit_operator.plan.collector_files import CollectorFiles, Places
    from audit_operator.plan.credentials import HeldCredentials

_LOG = logging.getLogger(__name__)
_EVERY_NODE = "*"
_FIRST_LOOK = 10.0
_NO_KEYS = "-"
"""Told where there are none: no shipper then makes its own, and fields are masked."""
_UNLISTED = "nodes cannot be listed: there may be some that nothing is shipped from"

WITHHELD = "gateway-not-told"
TOO_LARGE = "shipper-instructions-too-large"
NOT_TOLD = "shippers-not-told"
KEYS_UNUSABLE = "pseudonym-keys-unusable"


@dataclass(slots=True)
class NodeShippers:
    """The shippers of one AuditControlPlane. Implements `shippers.Shippers`.

    Attributes:
        plane: name of the AuditControlPlane.
        uid: of it.
        board: where shippers read and tell.
        places: where they find their files.
        selector: label selector of the nodes that must have a shipper. None: shippers are the replicas of a gateway;
            each that has ever reported is expected until its Lease is deleted, since it may hold events.
        changed: is called in the event loop when `deliver` or `observe` may have a new answer.
        look_every: seconds between two looks at what they say.
        silent_after: seconds after which a shipper that says nothing is taken for gone.
        nodes_age: seconds for which a list of nodes is good.
        nodes_trusted: seconds after which a list that cannot be renewed is not believed any more.
        key_ages: when keys of pseudonyms are rotated and forgotten.
        clock: seconds, monotonic.
    """

    plane: str
    uid: str
    board: ShipperBoard
    places: Places
    selector: str | None
    changed: Callable[[], None]
    look_every: float = 5.0
    silent_after: float = 60.0
    nodes_age: float = 30.0
    nodes_trusted: float = 300.0
    key_ages: KeyAges = field(default_factory=KeyAges)
    clock: Callable[[], float] = time.monotonic
    _files: CollectorFiles | None = None
    _asked: bool = False
    _told: tuple[CollectorFiles | None, str, str] | None = field(default=None, repr=False)
    _encoded: tuple[CollectorFiles | None, bytes] | None = field(default=None, repr=False)
    _keys: PseudonymKeys | None = None
    _problem: Finding | None = None
    _nodes: tuple[str, ...] | None = None
    _listed: float = float("-inf")
    _reports: Mapping[str, Posted] = field(default_factory=dict)
    _heard: dict[str, tuple[str, float]] = field(default_factory=dict)
    _deaf: bool = False
    _shown: object = None
    _closing: bool = False
    _work: asyncio.Task[None] | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _looked: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, files: CollectorFiles) -> bool:
        """See `shippers.Shippers`. What is told next need not be encoded again."""
        self._encoded = known = files, _encoded(self.plane, files)
        return len(known[1]) <= LARGEST

    async def held(self) -> Mapping[str, HeldCredentials]:
        """See `shippers.Shippers`."""
        told = await self.board.told(self.plane)
        if told is None:
            return {}
        try:
            files = (await asyncio.to_thread(ShipperInstructions.decoded, told.instructions)).files
        except UnknownInstructions as error:
            extra = {"object": self.plane, "reason": "UnknownInstructions"}
            _LOG.warning("What shippers were told last cannot be read: %s", error, extra=extra)
            return {}
        return files.held() if files is not None else {}

    async def deliver(self, files: CollectorFiles | None) -> tuple[Finding, ...]:
        """See `shippers.Shippers`. The first time, it waits a moment for what shippers say already."""
        if not self._asked or files != self._files:
            self._asked, self._files = True, files
            self._wake.set()
        if self._work is None:
            self._work = asyncio.create_task(self._work_for_ever(), name="shippers")
            await self._first_look(self._work)
        self._raise_if_broken()
        return self._refused()

    async def observe(self) -> tuple[ShipperObservation, ...]:
        """See `shippers.Shippers`."""
        self._raise_if_broken()
        return () if self._files is None else tuple(self._observations())

    async def counts(self) -> Counts | None:
        """See `shippers.Shippers`. Nodes show what they have counted."""
        return None

    async def aclose(self) -> None:
        """Say what was not said yet, and stop working; shippers go on with what they were told."""
        self._closing = True
        self._wake.set()
        if self._work is not None:
            await self._work

    async def _first_look(self, work: asyncio.Task[None]) -> None:
        looking = asyncio.create_task(self._looked.wait())
        try:
            await asyncio.wait({work, looking}, timeout=_FIRST_LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()

    # Telling

    async def _work_for_ever(self) -> None:
        while True:
            self._wake.clear()
            closing = self._closing
            await self._tell()
            if closing:
                return
            await self._listen()
            self._looked.set()
            shown = tuple(self._observations()), self._refused(), self._files
            if shown != self._shown:
                self._shown = shown
                self.changed()
            try:
                async with asyncio.timeout(self.look_every):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _tell(self) -> None:
        """Say what is wanted where it is not what was said, or somebody else has written there since."""
        files = self._files
        if self.selector is None and files is not None and files.unkept:
            self._problem = _withheld(files.unkept)
            return
        try:
            encoded = await self._encode(files)
            keys, problem = await self._present_keys(files)
            if len(encoded) + len(keys) > LARGEST:
                self._problem = _too_large(len(encoded) + len(keys))
                return
            present = await self.board.revision(self.plane)
            if self._told != (files, keys, present):
                self._told = files, keys, await self._write(encoded, keys, present)
            self._problem = problem
        except BoardUnavailable as error:
            if self._problem is None:
                _LOG.warning("Shippers are told later: %s", error, extra={"object": self.plane, "reason": NOT_TOLD})
            self._problem = _not_told(self.plane, str(error))

    async def _present_keys(self, files: CollectorFiles | None) -> tuple[str, Finding | None]:
        """With which keys pseudonyms are to be made, and why with none, so that fields are masked."""
        if files is None or not files.pseudonymous:
            return _NO_KEYS, None
        self._keys = self._keys or PseudonymKeys(self.plane, self.board, self.key_ages)
        try:
            return await self._keys.present(), None
        except KeyringUnusable:
            return _NO_KEYS, _keys_unusable(self.plane)

    async def _write(self, encoded: bytes, keys: str, present: str) -> str:
        """Write it unless it is there; returns the revision."""
        told = await self.board.told(self.plane) if present else None
        if told is not None and (told.instructions, told.pseudonym_keys) == (encoded, keys):
            return told.revision
        return await self.board.tell(self.plane, self.uid, encoded, keys)

    async def _encode(self, files: CollectorFiles | None) -> bytes:
        known = self._encoded
        if known is None or known[0] is not files:
            known = self._encoded = files, await asyncio.to_thread(_encoded, self.plane, files)
        return known[1]

    # Hearing

    async def _listen(self) -> None:
        """What cannot be read now counts as it was read last, and grows old."""
        try:
            self._reports = await self.board.reports()
            if self.selector is not None and self.clock() - self._listed >= self.nodes_age:
                self._nodes = await self.board.nodes(self.selector)
                self._listed = self.clock()
            self._deaf = False
        except BoardUnavailable as error:
            if not self._deaf:
                extra = {"object": self.plane, "reason": "BoardUnavailable"}
                _LOG.warning("Shippers are not heard: %s", error, extra=extra)
            self._deaf = True
        for node, posted in self._reports.items():
            self._hear(node, posted)

    def _hear(self, node: str, posted: Posted) -> None:
        """Note when a report was renewed. Clocks differ: what it says of that counts only until it is renewed again."""
        version, _ = self._heard.get(node, ("", 0.0))
        if version != posted.version:
            self._heard[node] = (posted.version, self.clock() - (0.0 if version else posted.age))

    def _observations(self) -> Iterator[ShipperObservation]:
        """One for each node that must have a shipper, and for each other one that has one."""
        mine = {node: each for node, each in self._reports.items() if each.report.plane == self.plane}
        # What a node says of another control plane excuses it for as long as somebody there says it.
        elsewhere = {each for each in self._reports if each not in mine and not self._is_silent(each)}
        expected = [each for each in self._nodes or () if each not in elsewhere]
        stay = self.selector is None
        others = [each for each in mine if each not in expected and (stay or not self._is_silent(each))]
        for node in sorted({*expected, *others}):
            yield self._observation(node, mine.get(node))
        if not expected and not others:
            yield ShipperObservation(_EVERY_NODE, last_error=self._why_none())
        elif self._nodes_are_unknown():
            yield ShipperObservation(_EVERY_NODE, last_error=_UNLISTED)

    def _nodes_are_unknown(self) -> bool:
        """Whether there may be nodes that nobody has seen, and from which nothing is shipped."""
        return self.selector is not None and self.clock() - self._listed > self.nodes_trusted

    def _why_none(self) -> str:
        """Why no node is known that ships what this control plane records."""
        if self.selector is None:
            return "no replica of a gateway has reported (audit-operator gateway run)"
        if self._nodes is None:
            return _UNLISTED
        if not self._nodes:
            return f"there is no node with the labels {self.selector} (AUDIT_OPERATOR_SHIPPER_NODE_SELECTOR)"
        return "the shippers of all nodes serve other AuditControlPlanes (AUDIT_OPERATOR_CONTROL_PLANE)"

    def _is_silent(self, node: str) -> bool:
        return self.clock() - self._heard[node][1] > self.silent_after

    def _observation(self, node: str, posted: Posted | None) -> ShipperObservation:
        if posted is None:
            return ShipperObservation(node, last_error="no shipper has reported from it")
        seen = posted.report.seen or ShipperObservation(node)
        if self._is_silent(node):
            since = posted.renewed.strftime("%Y-%m-%dT%H:%M:%SZ") if posted.renewed else "some time ago"
            return replace(seen, node=node, healthy=False, last_error=f"no report since {since}")
        if posted.report.problem:
            return replace(seen, node=node, config="", last_error=posted.report.problem)
        if posted.report.seen is None:
            return replace(seen, last_error="it has not read yet what is to be shipped")
        return replace(seen, node=node)

    def _refused(self) -> tuple[Finding, ...]:
        """Why the files are not in force, as far as that is known."""
        said = [
            Finding(each.id, each.severity, f"shipper {node}: {each.message}", each.mend)
            for node, posted in sorted(self._reports.items())
            if self._files is not None and not self._is_silent(node)
            if posted.report.plane == self.plane and posted.report.wanted == self._files.digest
            for each in posted.report.refused
        ]
        return tuple(filter(None, (self._problem, *said)))

    def _raise_if_broken(self) -> None:
        """A bug in the work must not look like shippers that take long."""
        if self._work is not None and self._work.done() and not self._closing:
            self._work.result()


def _encoded(plane: str, files: CollectorFiles | None) -> bytes:
    return ShipperInstructions(plane=plane, files=ShippedFiles.of(files) if files else None).encoded()


def _too_large(size: int) -> Finding:
    return Finding(
        TOO_LARGE,
        Severity.ERROR,
        f"what shippers are to be told takes {size} bytes compressed, and a Secret holds {LARGEST}",
        "what they were told before stays in force; let more namespaces share the same policies and sinks",
    )


def _keys_unusable(plane: str) -> Finding:
    return Finding(
        KEYS_UNUSABLE,
        Severity.ERROR,
        f"Secret {keyring_name(plane)} holds no keys that can be read, so that fields are masked that were to get "
        "pseudonyms",
        "restore the Secret; or delete it, and new keys are made: nobody will find a subject by its old pseudonyms",
    )


def _withheld(sinks: Iterable[ObjectRef]) -> Finding:
    """A gateway answers for events: the API server has no file of them, and forgets what was answered for."""
    return Finding(
        WITHHELD,
        Severity.ERROR,
        f"{', '.join(map(str, sinks))}: nothing can be written there, and a gateway would answer for events that go "
        "nowhere; so it goes on with what it was told before, and answers 503 where that is nothing",
        "see the conditions of that sink; or let the policies name another ClusterAuditSink",
    )


def _not_told(plane: str, why: str) -> Finding:
    return Finding(
        NOT_TOLD,
        Severity.ERROR,
        f"Secret {instructions_name(plane)} cannot be read or written: {why}",
        "what shippers were told before stays in force; see that the operator may get, create and patch this Secret",
    )
