"""`detections test`: which detections would have fired on a log."""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from audit_operator.api.detection import DetectionSeverity
from audit_operator.api.text import printable
from audit_operator.cli.inputs import read_facts
from audit_operator.cli.offline import print_findings
from audit_operator.cli.own_detections import add_own, detections_of, own_detections
from audit_operator.cli.usage import UsageError
from audit_operator.detections.history import Episode, History, named
from audit_operator.detections.own import preset_detections
from audit_operator.proof.selecting import prober_in
from audit_operator.replay.files import LogUnreadableError, Piece, log_files, read_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EXAMPLES = """examples:
  audit-operator detections test /var/log/kubernetes/audit/           with all detections that ship with the operator
  audit-operator detections test audit.log.gz --own ours.yaml
  audit-operator detections test audit.log -f policies/                with spec.detections of our objects
  audit-operator detections test server-1.log server-2.log -o json --fail-on high
  audit-operator query -n payments --order oldest --limit 10000 -o ndjson | audit-operator detections test -

A file of detections:
  apiVersion: detections.audit-operator.dev/v1alpha1
  kind: AuditDetections
  detections:
  - name: exec-in-production
    preset: Exec
    selection:
      verbs: [get, create]
      resources: [{group: "", resources: [pods/exec]}]
      namespaces: [prod-*]
    severity: Critical
  - name: many-refusals
    preset: ForbiddenBurst
    threshold: 100

Exit status: 0 fine; 1 if something fired that is as bad as --fail-on, or lines or objects could not be read; 2 for
wrong usage.
"""
PROBER = prober_in("audit-operator").name
"""Of an operator in the namespace, and with the prober, that settings have by default."""

MAX_FILES = 500
"""Files that are read side by side, in the order of time."""


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "test",
        help="say which detections would have fired on a log",
        description="Read audit logs in the order of time, and say which detections would have fired: for whom, when, "
        "and how often.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "logs",
        metavar="LOG",
        nargs="+",
        help="file, folder, or - for standard input; gzip is fine, and so is what query -o ndjson prints",
    )
    add_own(parser)
    parser.add_argument(
        "-f", "--filename", metavar="PATH", action="append", default=[], help="our objects, with spec.detections"
    )
    parser.add_argument(
        "--prober",
        metavar="USER",
        default=PROBER,
        help="user that live probes are sent as, whose events do not count; '' leaves out nobody's (default: "
        "%(default)s)",
    )
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table", help="default: table")
    parser.add_argument(
        "--fail-on",
        choices=[*(each.value.lower() for each in DetectionSeverity), "never"],
        default="never",
        help="exit with 1 if something of this severity fired, or worse",
    )
    parser.set_defaults(run=run)


@dataclass(slots=True)
class _Reader:
    """Events of files, and what could not be read of them."""

    unreadable: int = 0
    faults: list[str] = field(default_factory=list)

    def events(self, pieces: Iterable[Piece]) -> Iterator[dict[str, Any]]:
        """The events of all files, each in its order, the files merged by time."""
        return heapq.merge(*(self._events(each) for each in pieces), key=_time)

    def _events(self, piece: Piece) -> Iterator[dict[str, Any]]:
        answer = _Answer()
        for line in read_lines(piece, self.faults):
            try:
                event = answer.unwrapped(json.loads(line))
            except ValueError:
                event = None
            if isinstance(event, dict) and event.get("kind") == "Event":
                yield event
            elif event is not answer:
                self.unreadable += 1
        if fault := answer.fault():
            self.faults.append(f"{piece.file}: {fault}")


@dataclass(slots=True)
class _Answer:
    """What `query -o ndjson` printed, if a file is that: records, oldest first, and at last whether these are all."""

    latest: str = ""
    backwards: bool = False
    whole: bool = False
    ended: bool = False

    def unwrapped(self, line: Any) -> Any:
        """The event within a record; of the last line this answer itself, and of other lines what they are.

        Raises:
            ValueError: a record holds no JSON.
        """
        if not isinstance(line, dict) or "kind" in line:
            return line
        if "end" in line or "error" in line:
            end, self.ended = line.get("end"), True
            self.whole = isinstance(end, dict) and end.get("complete") is True
            return self
        if not isinstance(line.get("text"), str) or not isinstance(line.get("time"), str):
            return line
        self.backwards |= line["time"] < self.latest
        self.latest, self.whole = line["time"], False
        return json.loads(line["text"])

    def fault(self) -> str:
        """Why nothing can be concluded from what is missing here, if it is an answer."""
        if (self.latest or self.ended) and not self.whole:
            return "the query has left records out; ask it for less time, or for more with --limit"
        if self.backwards:
            return "these records are not in the order of time; ask the query for --order oldest"
        return ""


def run(options: argparse.Namespace) -> int:
    """Read, and tell."""
    found, unreadable = own_detections(options), False
    if options.filename:
        facts = read_facts(options.filename)
        print_findings(facts.findings)
        unreadable = bool(facts.unreadable)
        found += detections_of(facts.snapshot)
    asked = found or options.own or options.filename
    detections = [each for _, each in found] if asked else list(preset_detections())
    history, reader = History(detections, options.prober), _Reader()
    try:
        pieces = log_files(options.logs)
        if len(pieces) > MAX_FILES:
            message = f"these are {len(pieces)} files, and no more than {MAX_FILES} can be read side by side"
            raise UsageError(message)
        for event in reader.events(pieces):
            try:
                history.add(event)
            except ValueError:
                reader.unreadable += 1
    except LogUnreadableError as error:
        raise UsageError(str(error)) from error
    episodes = history.episodes()
    if options.output == "json":
        print(json.dumps(_as_json(history, reader, episodes), indent=2))
    else:
        sys.stdout.write(_as_table(history, reader, episodes))
    return 1 if unreadable else _status(reader, episodes, options.fail_on)


def _status(reader: _Reader, episodes: list[Episode], fail_on: str) -> int:
    if reader.unreadable or reader.faults:
        return 1
    if fail_on == "never":
        return 0
    least = DetectionSeverity(fail_on.capitalize()).rank
    return int(any(each.detection.severity.rank >= least for each in episodes))


def _time(event: dict[str, Any]) -> str:
    return str(event.get("stageTimestamp", ""))


def _as_json(history: History, reader: _Reader, episodes: list[Episode]) -> dict[str, Any]:
    return {
        "events": history.events,
        "unreadableLines": reader.unreadable,
        "unreadableFiles": reader.faults,
        "eventsOfProbes": history.probes,
        "eventsNotFollowed": history.not_followed,
        "fired": [
            {
                "detection": each.detection.name,
                "severity": each.detection.severity.value,
                "group": dict(named(each)),
                "first": _moment(each.first),
                "last": _moment(each.last),
                "count": each.count,
                "auditIDs": each.audit_ids,
            }
            for each in episodes
        ],
    }


def _as_table(history: History, reader: _Reader, episodes: list[Episode]) -> str:
    lines = [_row(each) for each in episodes]
    if reader.unreadable:
        lines.append(f"{reader.unreadable} lines are no audit events with a time")
    lines += [printable(each) for each in reader.faults]
    if history.not_followed:
        lines.append(f"{history.not_followed} events were not counted: there are too many groups at once")
    if history.probes:
        lines.append(f"{history.probes} events of live probes were left out")
    lines.append(f"{history.events} events; detections fired {len(episodes)} times")
    return "".join(f"{each}\n" for each in lines)


def _row(episode: Episode) -> str:
    group = " ".join(f"{key}={printable(value)}" for key, value in named(episode))
    events = "1 event" if episode.count == 1 else f"{episode.count} events"
    ids = ", ".join(map(printable, episode.audit_ids))
    detection = episode.detection
    when = f"{_moment(episode.first)} to {_moment(episode.last)}"
    return f"{detection.severity:<8}  {detection.name}  {group}  {when}  {events} (audit IDs {ids})"


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
