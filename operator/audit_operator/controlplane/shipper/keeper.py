"""Keeps one collector running with what was planned, and looks at it. Blocks; `kept` runs it beside the event loop.

A configuration that the collector refuses, that makes of known lines what it must not, or that the collector does not
come up with, leaves the last one that worked in force. A collector that dies is started again, at once if it had run
for a while. Never do two run on one folder.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import (
    ExporterObservation,
    ShipperFigures,
    ShipperObservation,
    lag,
    volume,
)
from audit_operator.controlplane import os_process
from audit_operator.controlplane.ports import ADDRESS_IN_USE
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.canary import Outcome, TrialTimes, clear, try_out
from audit_operator.controlplane.shipper.collector import CollectorGone
from audit_operator.controlplane.shipper.counts import ShownCounts
from audit_operator.controlplane.shipper.flow import Sum, Way
from audit_operator.controlplane.shipper.probe_tally import ProbeTally
from audit_operator.controlplane.shipper.reading import OpenFile, Reading, open_files
from audit_operator.controlplane.shipper.retrying import PAUSE, Untried, words
from audit_operator.controlplane.shipper.telemetry import NoAnswer
from audit_operator.controlplane.shipper.unreadable_tally import UnreadableTally
from audit_operator.controlplane.shipper.volume import Volume
from audit_operator.shipping.collector.pseudonym_keys import keys_text
from audit_operator.shipping.redaction.keyring import Epoch, KeyringUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audit_operator.controlplane.shipper.collector import Collector
    from audit_operator.controlplane.shipper.telemetry import Telemetry
    from audit_operator.controlplane.shipper.trial import Trial
    from audit_operator.plan.collector_files import CollectorFiles

_LOG = logging.getLogger(__name__)
_POLL = 0.05
_RELOADS_FOR_PROOF = 2
"""One that began before the table was written may have ended after it."""
_REMEMBERED = 16


@dataclass(frozen=True, slots=True)
class ShipperTimes:
    """Seconds.

    Attributes:
        look_every: between two looks.
        ready: until a collector must be ready.
        settled: until it counts as having run for a while.
        longest_pause: between two attempts to start it.
        table: until it must have read its table.
        retry: until a configuration that was tried in vain is tried again: the machine may have been to blame.
        trial: how long one is tried before it is used.
        trial_again: until one is tried again whose trial was short of time; see `retrying`.
    """

    look_every: float = 5.0
    ready: float = 30.0
    settled: float = 10.0
    longest_pause: float = 30.0
    table: float = 30.0
    retry: float = 300.0
    trial: TrialTimes = TrialTimes()  # noqa: RUF009  # frozen
    trial_again: float = PAUSE


@dataclass(slots=True)
class _TableProof:
    """Whether a collector has read the present table: it says how often it has read one, and not which."""

    _digest: str = ""
    _from: tuple[str, int] = ("", 0)
    _began: float = 0.0
    _proven: bool = False

    def see(self, now: float, said: Telemetry, files: CollectorFiles) -> str:
        """Take note of what it says after the table was written; returns the table's digest if it has read it."""
        digest = hashlib.sha256(files.table.encode()).hexdigest()
        if digest != self._digest:
            self._digest, self._from, self._began = digest, (said.epoch, said.table_reloads), now
            self._proven = False
        epoch, reloads = self._from
        if epoch != said.epoch or said.table_reloads >= reloads + _RELOADS_FOR_PROOF:
            self._proven = True
        return digest if self._proven and said.config == files.digest else ""

    def age(self, now: float) -> float:
        """For how many seconds the table has been there."""
        return now - self._began


@dataclass(slots=True)
class Keeper:
    """Works on one collector; `step` is called again and again, by one thread at a time.

    Attributes:
        superseded: whether other files are wanted than those of the present step.
        seen: the last observation; None while nothing is to be shipped.
        looked_at: when that was.
        counts: what was counted for detections.
    """

    collector: Collector
    binary: Path
    node: str
    times: ShipperTimes = ShipperTimes()
    halted: Callable[[], bool] = lambda: False
    superseded: Callable[[], bool] = lambda: False
    seen: ShipperObservation | None = None
    looked_at: float = field(default_factory=time.monotonic)
    counts: ShownCounts = field(init=False)
    _unreadable: UnreadableTally = field(init=False)
    _probed: ProbeTally = field(default_factory=ProbeTally)
    _failed: dict[str, tuple[float, Finding]] = field(default_factory=dict)
    _settings: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _ways: dict[tuple[str, str], Way] = field(default_factory=dict)
    _sums: dict[str, Sum] = field(default_factory=dict)
    _table: _TableProof = field(default_factory=_TableProof)
    _reading: Reading = field(default_factory=Reading)
    _volume: Volume = field(default_factory=Volume)
    _keys: tuple[str, tuple[str, ...], str] | None = field(default=None, repr=False)
    _untried: Untried | None = None
    _since: datetime | None = None
    _failures: int = 0
    _not_before: float = 0.0
    _restarts: int = 0
    _ran: bool = False

    def __post_init__(self) -> None:
        self.counts = ShownCounts(lambda: self.collector.endpoints.detections, self.collector.counting_since)
        self._unreadable = UnreadableTally(lambda: self.collector.endpoints.detections)

    def refusal(self, digest: str) -> tuple[Finding, ...]:
        """Why the configuration with this digest is not in force, if it was tried in vain."""
        found = self._failed.get(digest)
        return () if found is None else (found[1],)

    def step(self, files: CollectorFiles | None) -> float:
        """Bring the collector nearer to these files, and look at it; returns after how many seconds to do so again."""
        if files is None:
            self.collector.stop()
            self.collector.forget_credentials()
            self.collector.forget_pseudonym_keys()
            self.seen, self._ran = None, False
            return self.times.look_every
        error = ""
        try:
            self._bring(files)
        except CollectorGone as gone:
            error = str(gone)
            self._put_off()
        except OSError as failure:
            error = f"the collector cannot be run: {failure}"
            self._put_off()
        self._look(files, error)
        if self.collector.process() is None and self.collector.configured():
            return max(_POLL, self._not_before - time.monotonic())
        return self.times.look_every

    # Bringing it to what is wanted

    def _bring(self, files: CollectorFiles) -> None:
        self._remember(files)
        collector = self.collector
        collector.prepare()
        clear(collector.folder)
        self._write_pseudonym_keys(files)
        collector.write_credentials(files.credentials)
        if collector.table(files.table_file) != files.table:
            collector.write_table(files.table_file, files.table)
        self._choose(files)
        if self.halted():
            return
        wanted = collector.configured_digest()
        if not wanted:
            return
        if not collector.runs(self.binary):
            self._start(wanted)
        elif (running := self._running()) is not None and running != wanted:
            self.counts.begin_anew()
            collector.reload()
            self._await(wanted)
        elif running == files.digest:
            collector.forget_credentials(but=files.credentials)

    def _choose(self, files: CollectorFiles) -> None:
        """Let the collector run with these files, if they may be used, or with others if they turn out not to be."""
        tried_at, _ = self._failed.get(files.digest, (-math.inf, None))
        if self.collector.configured() != files.config and time.monotonic() - tried_at >= self.times.retry:
            wrong = self._wrong(files)
            if self.halted():
                return
            if wrong:
                self._fail(files.digest, wrong)
            else:
                self.counts.look()  # as long as it is known since when they count
                self.collector.configure(files.config)
        elif self._untried is not None and self._untried.is_due(files.digest):
            self._try_again(files, self._untried.attempts)

    def _wrong(self, files: CollectorFiles) -> str:
        """Why this configuration must not replace the one in force; empty if it may."""
        refusal = self.collector.refusal(self.binary, files.config)
        if refusal:
            return f"the collector refuses its configuration: {refusal}"
        trial = try_out(self.collector.folder, self.binary, files, self.halted, self.times.trial)
        if trial.outcome is Outcome.FAILED:
            return _loses(trial)
        self._untried = None
        if trial.outcome is Outcome.UNFINISHED and not self.halted():
            # To ship with a configuration that the collector takes is better than not to ship.
            self._note_untried(trial, files.digest, 1)
        return ""

    def _try_again(self, files: CollectorFiles, attempts: int) -> None:
        """What is in force already, while it ships; given up for the moment where there is something else to do."""

        def interrupted() -> bool:
            return self.halted() or self.superseded() or self.collector.process() is None

        times = self.times.trial.grown(attempts)
        trial = try_out(self.collector.folder, self.binary, files, interrupted, times)
        if trial.outcome is Outcome.PASSED:
            self._untried = None
            self.collector.approve()
        elif trial.outcome is Outcome.UNFINISHED and not interrupted():
            self._note_untried(trial, files.digest, attempts + 1)
        elif trial.outcome is Outcome.FAILED and self.collector.go_back():
            self._untried = None
            self._fail(files.digest, _loses(trial))
        elif trial.outcome is Outcome.FAILED:
            said = f"there is no other one, though with it {words(trial)}"
            self._untried = Untried(files.digest, said, attempts + 1, math.inf)

    def _note_untried(self, trial: Trial, digest: str, attempts: int) -> None:
        self._untried = Untried.after(trial, digest, attempts, self.times.trial_again)
        _LOG.warning("%s", self._untried, extra={"reason": "CanaryUnfinished", "digest": digest})
        if not self._untried.is_pending and self.collector.configured_digest() == digest:
            self.collector.approve()

    def _write_pseudonym_keys(self, files: CollectorFiles) -> None:
        """Before any configuration that reads them. They are derived only where something has changed."""
        if not files.pseudonymous:
            return
        told = files.pseudonym_keys or self.collector.own_pseudonym_keys()
        known = self._keys
        if known is None or known[:2] != (told, files.pseudonymous):
            try:
                epoch = Epoch.decoded(told)
            except KeyringUnusable:
                _LOG.error("The keys of pseudonyms cannot be read; fields are masked", extra={"reason": "KeysUnusable"})
                epoch = None
            known = self._keys = told, files.pseudonymous, keys_text(files.pseudonymous, epoch)
        self.collector.write_pseudonym_keys(known[2])

    def _start(self, wanted: str) -> None:
        now = time.monotonic()
        if now < self._not_before:
            return
        if self._ran and self.collector.process() is None:
            self._restarts += 1
            _LOG.warning("The collector has ended: %s", self.collector.last_words(), extra={"reason": "ShipperEnded"})
        self._ran = False
        self.counts.begin_anew()
        self.collector.start(self.binary)
        self._put_off()
        self._await(wanted)

    def _put_off(self) -> None:
        """Wait longer each time, until one has run for a while."""
        self._failures += 1
        pause = min(self.times.longest_pause, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0
        self._not_before = time.monotonic() + pause

    def _await(self, digest: str) -> None:
        """Wait until the collector runs with this configuration; go back to the last one that worked if it does not."""
        deadline = time.monotonic() + self.times.ready
        while not self.halted():
            if self._running() == digest:
                self._failed.pop(digest, None)
                if self._untried is None or self._untried.digest != digest or not self._untried.is_pending:
                    # Else its trial may still fail, and what was there before be wanted again.
                    self.collector.approve()
                return
            ended = self.collector.process() is None
            if ended or time.monotonic() >= deadline:
                words = self.collector.last_words() if ended else "it is not ready in time"
                if ADDRESS_IN_USE in words:
                    self.collector.take_ports()
                elif self.collector.go_back():
                    self._fail(digest, f"the collector does not come up with its configuration: {words}")
                    self._not_before = 0.0
                if not ended:
                    self.collector.stop()
                return
            time.sleep(_POLL)

    def _running(self) -> str | None:
        try:
            return telemetry.read(self.collector.endpoints).config
        except NoAnswer:
            return None

    def _fail(self, digest: str, message: str) -> None:
        _LOG.error("%s", message, extra={"reason": "ShipperRefused", "digest": digest})
        mend = "the last configuration that worked stays in force; correct what the message names, in the sinks"
        finding = Finding("shipper-configuration-refused", Severity.ERROR, message, mend)
        self._failed[digest] = time.monotonic(), finding
        for oldest in list(self._failed)[:-_REMEMBERED]:
            del self._failed[oldest]

    def _remember(self, files: CollectorFiles) -> None:
        self._settings[files.digest] = files.settings
        for oldest in list(self._settings)[:-_REMEMBERED]:
            del self._settings[oldest]

    # Looking at it

    def _look(self, files: CollectorFiles, error: str) -> None:
        now = self.looked_at = time.monotonic()
        process = self.collector.process()
        try:
            said = telemetry.read(self.collector.endpoints) if process is not None else None
        except NoAnswer as silence:
            said, error = None, error or str(silence)
        if process is not None and os_process.age(process) >= self.times.settled:
            self._failures = 0
        if process is None:
            error = error or f"it has ended: {self.collector.last_words()}"
        if said is None:
            before = self.seen or ShipperObservation(self.node)
            self.seen = replace(before, healthy=False, last_error=error)
            return
        self._ran = True
        reads = list(open_files(process.pid, self.collector.folder)) if process is not None else []
        self.seen = self._observed(now, said, files, reads)

    def _observed(
        self, now: float, said: Telemetry, files: CollectorFiles, reads: list[OpenFile]
    ) -> ShipperObservation:
        table = self._table.see(now, said, files)
        # Levels would not be those that were asked for, just as with another configuration.
        stuck = not table and self._table.age(now) > self.times.table and said.config == files.digest
        return ShipperObservation(
            node=self.node,
            config="" if stuck else said.config,
            healthy=True,
            last_error="it does not read its table anew" if stuck else self._doubt(said.config),
            exporters=tuple(self._exporters(now, said)),
            unread_for=lag(self._reading.see(now, reads)),
            daily=volume(self._volume.see(now, reads)),
            crowded=self.counts.crowded(),
            figures=replace(self._figures(said, table), unread=self._reading.unread(reads)),
        )

    def _doubt(self, digest: str) -> str:
        return str(self._untried) if self._untried is not None and self._untried.digest == digest else ""

    def _exporters(self, now: float, said: Telemetry) -> list[ExporterObservation]:
        settings = self._settings.get(said.config, {})
        keys = {exporter: (exporter, settings.get(exporter, said.config)) for exporter in sorted(said.exporters)}
        self._ways = {key: self._ways.get(key) or Way() for key in keys.values()}
        return [_exporter(exporter, self._ways[key], now, said) for exporter, key in keys.items()]

    def _figures(self, said: Telemetry, table: str) -> ShipperFigures:
        now = datetime.now(UTC)
        self._since = self._since or now

        def total(name: str, value: int) -> int:
            return self._sums.setdefault(name, Sum()).add(said.epoch, value)

        return ShipperFigures(
            received=total("received", said.received),
            refused=total("refused", said.refused),
            quarantined=total("quarantined", said.quarantined),
            unreadable=self._unreadable.see(said.epoch, said.quarantined),
            dropped=total("dropped", said.dropped),
            uncounted=total("uncounted", said.uncounted) + self.counts.hidden,
            restarts=self._restarts,
            table=table,
            since=self._since,
            seen=now,
            probed=self._probed.see(self.counts.look()),
        )


def _loses(trial: Trial) -> str:
    return f"with its configuration, lines that are known do not become what they must: {words(trial)}"


def _exporter(exporter: str, way: Way, now: float, said: Telemetry) -> ExporterObservation:
    flow = way.see(now, said.epoch, said.exporters[exporter])
    return ExporterObservation(exporter, flow, way.figures, lag(way.stalled_for(now)))
