"""Tries a configuration before it is used.

A collector of its own, in a folder that is thrown away, reads lines that are known, and what comes out is held against
what must. `validate` takes much that loses records: a path with a wrong field, a file that does not exist, a pattern
that matches nothing. No planted line reaches a store from here, and nothing that the API server writes is read. Blocks.
"""

from __future__ import annotations

import http.client
import json
import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from audit_operator.controlplane.files import write_atomically
from audit_operator.controlplane.ports import ADDRESS_IN_USE
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.controlplane.shipper.counts import ShownCounts
from audit_operator.controlplane.shipper.crowding import labels_of
from audit_operator.controlplane.shipper.telemetry import NoAnswer
from audit_operator.detections.series import DETECTION, EVENTS
from audit_operator.shipping import otlp
from audit_operator.shipping.canary.comparison import all_there, differences
from audit_operator.shipping.canary.planted import EPOCH, Canary
from audit_operator.shipping.canary.rehearsed import rehearsed, rehearsed_table
from audit_operator.shipping.collector.pseudonym_keys import keys_text
from audit_operator.shipping.collector.yaml_text import parsed, yaml_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from audit_operator.controlplane.shipper.telemetry import Telemetry
    from audit_operator.plan.collector_files import CollectorFiles
    from audit_operator.shipping.canary.comparison import Arrived

FOLDER, BEGUN = "canary", "canary.begun"
"""In the collector's folder; and a file with the digest of what is being tried. Where there is no room for a second
collector, the kernel may end all of a container: whoever starts next must not try the same again, for ever."""
MEMORY: Mapping[str, str] = MappingProxyType({"GOMEMLIMIT": "96MiB", "GOGC": "100"})
"""For Go: the collector in force runs beside it, and takes more than it would alone."""
_POLL = 0.2
_GRACE = 5.0
_ANSWERS = 12
"""That must say the same before what is missing counts as lost; so many come later on a machine that is busy."""
_PORTS_TRIED = 2
_SAID = ("Error:", "panic:")


class Outcome(StrEnum):
    """What came of it."""

    PASSED = "Passed"
    FAILED = "Failed"
    UNFINISHED = "Unfinished"
    """It took too long, or could not be tried here: that says nothing about the configuration."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration, tried; `said` is why it failed or did not end. `arrived` has the records by exporter."""

    outcome: Outcome
    said: tuple[str, ...] = ()
    arrived: Mapping[str, tuple[Arrived, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrialTimes:
    """Seconds.

    Attributes:
        most: until it is given up.
        quiet: for which nothing new must be seen before what is missing counts as lost.
    """

    most: float = 20.0
    quiet: float = 3.0


def try_out(
    folder: Path,
    binary: Path,
    files: CollectorFiles,
    halted: Callable[[], bool] = lambda: False,
    times: TrialTimes = TrialTimes(),  # frozen
) -> Trial:
    """Run a configuration once with its own lines; `folder` is that of the collector which it is for."""
    canary = Canary.decoded(files.canary)
    if canary is None:
        return Trial(Outcome.PASSED)
    place, begun = folder / FOLDER, folder / BEGUN
    try:
        clear(folder)
        if begun.exists() and begun.read_text() == files.digest:
            return Trial(Outcome.UNFINISHED, ("whoever tried it was killed meanwhile",))
        place.mkdir(mode=0o700)
        write_atomically(begun, files.digest.encode())
        return _Stage(_Collector(place), binary, canary, times, halted).play(files)
    except (OSError, ValueError) as error:
        return Trial(Outcome.UNFINISHED, (f"it could not be tried: {error}",))
    finally:
        clear(folder)
        begun.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """End what was left of a trial by one that was killed, and remove its folder."""
    place = folder / FOLDER
    if place.exists():
        with suppress(OSError):
            Collector(place).stop(0.0)
        shutil.rmtree(place, ignore_errors=True)


class _Collector(Collector):
    """With less memory than the one that ships."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **MEMORY}


@dataclass(slots=True)
class _Stage:
    """One trial while it goes on."""

    collector: _Collector
    binary: Path
    canary: Canary
    times: TrialTimes
    halted: Callable[[], bool]
    _folders: Mapping[str, str] = field(default_factory=dict)
    _posted: bool = False
    _seen: object = None
    _since: float = 0.0
    _answers: int = 0

    def play(self, files: CollectorFiles) -> Trial:
        self._set_up(files)
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
        return Trial(Outcome.UNFINISHED, (f"it did not end within {self.times.most:.0f} s",))

    def _set_up(self, files: CollectorFiles) -> None:
        place = str(self.collector.folder)
        wanted = {exporter for each in self.canary.planted for exporter in each.exporters}
        made = rehearsed(parsed(files.config), wanted, place)
        self._folders = made.folders
        self.collector.configure(yaml_text(made.configuration))
        self.collector.write_table(files.table_file, rehearsed_table(files.table))
        self.collector.write_pseudonym_keys(keys_text(self.canary.pseudonymous, EPOCH))
        if self.canary.log:
            self._write_lines(Path(f"{place}{self.canary.log}"))

    def _write_lines(self, log: Path) -> None:
        """One of them to a file that was rotated: these must be read, too."""
        log.parent.mkdir(parents=True)
        first, *others = (f"{each.line}\n" for each in self.canary.planted)
        log.with_name(f"{log.stem}-2026-01-02T03-04-05.678{log.suffix}").write_text(first)
        log.write_text("".join(others))

    def _is_over(self) -> bool:
        try:
            said = telemetry.read(self.collector.endpoints)
        except NoAnswer:
            return False
        if not self.canary.log and not self._posted:
            self._posted = self._post()
            return False
        arrived = self._arrived()
        if all_there(self.canary, arrived) and self._counts() == self._wanted_counts():
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
        return {exporter: tuple(_records(Path(folder))) for exporter, folder in self._folders.items()}


def _records(folder: Path) -> Iterator[Arrived]:
    """Whole lines alone: the collector may be writing the last one. One that is no record is shown as it is."""
    for file in sorted(folder.rglob("*.jsonl")):
        for line in file.read_bytes().split(b"\n")[:-1]:
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            yield record if isinstance(record, dict) else {"line": line.decode(errors="replace")}
