"""One trial of a configuration: a collector of its own reads lines that are known, and is held against what must.

It runs in a folder that is thrown away. No planted line reaches a store from here, and nothing else is read. Blocks.
"""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from audit_operator.controlplane.ports import ADDRESS_IN_USE
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.controlplane.shipper.counts import ShownCounts
from audit_operator.controlplane.shipper.crowding import labels_of
from audit_operator.controlplane.shipper.telemetry import NoAnswer
from audit_operator.detections.series import DETECTION, EVENTS
from audit_operator.shipping import otlp
from audit_operator.shipping.canary.comparison import all_there, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from audit_operator.controlplane.shipper.telemetry import Telemetry
    from audit_operator.shipping.canary.comparison import Arrived
    from audit_operator.shipping.canary.planted import Canary

MEMORY: Mapping[str, str] = MappingProxyType({"GOMEMLIMIT": "96MiB", "GOGC": "100"})
"""For Go: the collector in force runs beside it, and takes more than it would alone."""
_POLL = 0.2
_GRACE = 5.0
_ANSWERS = 12
"""That must say the same before what is missing counts as lost; so many come later on a machine that is busy."""
_PORTS_TRIED = 2
_SAID = ("Error:", "panic:")
_MOST_GROWTH = 4


class Outcome(StrEnum):
    """What came of it."""

    PASSED = "Passed"
    FAILED = "Failed"
    UNFINISHED = "Unfinished"
    """It took too long, or could not be tried here: that says nothing about the configuration."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration, tried.

    Attributes:
        said: why it failed or did not end.
        arrived: the records by exporter.
        short_of_time: that nothing but time was lacking, so that it may end another time.
    """

    outcome: Outcome
    said: tuple[str, ...] = ()
    arrived: Mapping[str, tuple[Arrived, ...]] = field(default_factory=dict)
    short_of_time: bool = False


@dataclass(frozen=True, slots=True)
class TrialTimes:
    """Seconds.

    Attributes:
        most: until it is given up.
        quiet: for which nothing new must be seen before what is missing counts as lost.
    """

    most: float = 20.0
    quiet: float = 3.0

    def grown(self, attempts: int) -> TrialTimes:
        """After so many attempts that were short of time: twice as long each time, up to four times as long."""
        return replace(self, most=self.most * min(2**attempts, _MOST_GROWTH))


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a trial is made of.

    Attributes:
        canary: what must become of the lines.
        config: text of the configuration.
        folders: where each exporter's records will lie, by its id.
        files: texts by their paths; none where lines are posted.
        links: paths by those that lead there.
        table: name and text of the decision table; empty where there is none.
        keys: text of the file with keys of pseudonyms; empty where there is none.
        environment: of the collector, besides what each of ours has.
    """

    canary: Canary
    config: str
    folders: Mapping[str, str]
    files: Mapping[str, str]
    links: Mapping[str, str] = field(default_factory=dict)
    table: tuple[str, str] = ("", "")
    keys: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


class StageCollector(Collector):
    """With less memory than the one that ships, and an environment that says so."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """See `Rehearsal.environment`."""
        super().__init__(folder)
        self._further = environment

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **MEMORY, **self._further}


@dataclass(slots=True)
class Stage:
    """One trial while it goes on, in the collector's folder, which must be there."""

    collector: StageCollector
    binary: Path
    rehearsal: Rehearsal
    times: TrialTimes
    halted: Callable[[], bool]
    _posted: bool = False
    _seen: object = None
    _unreadable: int = 0
    _since: float = 0.0
    _answers: int = 0

    @property
    def canary(self) -> Canary:
        """What must become of the lines."""
        return self.rehearsal.canary

    def play(self) -> Trial:
        """Run it to its end. Raises OSError, ValueError."""
        self._set_up()
        deadline = time.monotonic() + self.times.most
        self.collector.start(self.binary)
        ports = 1
        while time.monotonic() < deadline and not self.halted():
            if self.collector.process() is None:
                words = self.collector.last_words()
                if ADDRESS_IN_USE not in words or ports == _PORTS_TRIED:
                    # One that was killed, such as for lack of memory, says nothing.
                    outcome = Outcome.FAILED if words.startswith(_SAID) else Outcome.UNFINISHED
                    return Trial(outcome, (f"the collector ends: {words}",))
                ports += 1
                self.collector.take_ports()
                self.collector.start(self.binary)
            elif self._is_over():
                return self._judged()
            time.sleep(_POLL)
        said = f"it did not end within {self.times.most:.0f} s"
        return Trial(Outcome.UNFINISHED, (said,), short_of_time=not self.halted())

    def _set_up(self) -> None:
        told = self.rehearsal
        self.collector.configure(told.config)
        name, table = told.table
        if name:
            self.collector.write_table(name, table)
        if told.keys:
            self.collector.write_pseudonym_keys(told.keys)
        for path, text in told.files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text, encoding="utf-8")
        for path, target in told.links.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).symlink_to(target)

    def _is_over(self) -> bool:
        try:
            said = telemetry.read(self.collector.endpoints)
        except NoAnswer:
            return False
        if not self.rehearsal.files and not self._posted:
            self._posted = self._post()
            return False
        arrived, self._unreadable = self._arrived(), said.quarantined
        counted = self._unreadable >= self.canary.unreadable and self._counts() == self._wanted_counts()
        if counted and all_there(self.canary, arrived):
            return True
        return self._is_quiet(said, sum(map(len, arrived.values())))

    def _is_quiet(self, said: Telemetry, arrived: int) -> bool:
        now = time.monotonic()
        seen = said.epoch, said.received, said.dropped, said.quarantined, arrived, sum(self._counts().values())
        if seen != self._seen:
            self._seen, self._since, self._answers = seen, now, 0
        if any(each.queue for each in said.exporters.values()):
            return False
        self._answers += 1
        return self._answers > _ANSWERS and now - self._since > self.times.quiet

    def _post(self) -> bool:
        """Hand the lines on as a gateway does; whether the collector has taken them."""
        content = otlp.request(otlp.record(each.line.encode(), {}, observed=1) for each in self.canary.planted)
        connection = http.client.HTTPConnection(self.collector.webhook, timeout=self.times.most)
        try:
            connection.request("POST", "/v1/logs", content, {"Content-Type": otlp.CONTENT_TYPE})
            answer = connection.getresponse()
            return answer.status == HTTPStatus.OK and answer.read() in otlp.ALL_TAKEN
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _judged(self) -> Trial:
        counts = self._counts()
        self.collector.stop(_GRACE)
        arrived = self._arrived()
        wrong = [str(each) for each in differences(self.canary, arrived)]
        wrong += [
            f"detections: condition {each} counted {counts.get(each, 0)} of {number} events"
            for each, number in self._wanted_counts().items()
            if counts.get(each, 0) != number
        ]
        if self._unreadable < self.canary.unreadable:
            wrong.append(f"unreadable lines: counted {self._unreadable} of {self.canary.unreadable}")
        return Trial(Outcome.FAILED if wrong else Outcome.PASSED, tuple(wrong), arrived)

    def _wanted_counts(self) -> dict[str, int]:
        return {each: number for each, number in self.canary.counts.items() if number}

    def _counts(self) -> dict[str, int]:
        shown = ShownCounts(lambda: self.collector.endpoints.detections, self.collector.counting_since).look()
        found: Counter[str] = Counter()
        for line in shown.lines if shown else ():
            series, _, value = line.rpartition(" ")
            if series.startswith(EVENTS):
                found[labels_of(series).get(DETECTION, "")] += int(float(value))
        return {each: found[each] for each in self.canary.counts if found[each]}

    def _arrived(self) -> dict[str, tuple[Arrived, ...]]:
        return {exporter: tuple(_records(Path(folder))) for exporter, folder in self.rehearsal.folders.items()}


def _records(folder: Path) -> Iterator[Arrived]:
    """Whole lines alone: the collector may be writing the last one. One that is no record is shown as it is."""
    for file in sorted(folder.rglob("*.jsonl")):
        for line in file.read_bytes().split(b"\n")[:-1]:
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            yield record if isinstance(record, dict) else {"line": line.decode(errors="replace")}
