"""An incident as files that can be handed on: what was asked, what was found, and hashes of both.

The hashes say that nobody has changed the files since; that the stores had not been tampered with before is what seals
are for. The files are for their owner alone: they hold what audit logs hold.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.text import printable
from audit_operator.incident.leads import event_of
from audit_operator.reading.document import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from audit_operator.incident.leads import Lead
    from audit_operator.incident.timeline import Entry

EVENTS, TIMELINE, QUESTIONS, SUMS = "events.ndjson", "timeline.txt", "questions.json", "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to one sink, and what came of it. `problem` says why the answer is not whole; empty if it is."""

    sink: str
    lead: Lead
    namespaces: tuple[str, ...]
    records: int
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the bundle."""
        lead = asdict(self.lead) | {"since": moment(self.lead.since), "until": moment(self.lead.until)}
        lead["equal"] = dict(self.lead.equal)
        return {
            "sink": self.sink,
            **{key: value for key, value in lead.items() if value not in ("", None, {}) and key != "namespace"},
            "namespaces": list(self.namespaces),
            "records": self.records,
            "whole": not self.problem,
            **({"problem": self.problem} if self.problem else {}),
        }


@dataclass(frozen=True, slots=True)
class Bundle:
    """All of an incident.

    Attributes:
        left_out: leads that were too many to follow.
        made: when, as a text with its zone.
        unasked: sinks that could not be asked at all, and why.
    """

    entries: tuple[Entry, ...]
    asked: tuple[Asked, ...]
    left_out: int
    made: str
    version: str
    unasked: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every question had a whole answer, and every lead was followed."""
        return not self.left_out and not self.unasked and not any(each.problem for each in self.asked)


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write the files into a folder that is made for them.

    Raises:
        FileExistsError: it is there.
        OSError: it cannot be written; nothing of it is left.
    """
    files = {
        EVENTS: "".join(f"{json.dumps(each.as_json(), ensure_ascii=False)}\n" for each in bundle.entries),
        TIMELINE: "".join(f"{line}\n" for line in _timeline(bundle)),
        QUESTIONS: json.dumps(_questions(bundle), indent=2, ensure_ascii=False) + "\n",
    }
    contents = {name: text.encode("utf-8", "surrogatepass") for name, text in files.items()}
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items()]
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True)
        for name, content in {**contents, SUMS: "".join(sums).encode()}.items():
            _write(folder / name, content)
    except OSError:
        _remove(folder, made)
        raise


def _remove(folder: Path, made: list[Path]) -> None:
    """Take back what was made, so that the same call can be made again."""
    with suppress(OSError):
        if folder in made:
            for name in (EVENTS, TIMELINE, QUESTIONS, SUMS):
                (folder / name).unlink(missing_ok=True)
        for each in made:
            each.rmdir()


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)


def _questions(bundle: Bundle) -> dict[str, Any]:
    return {
        "made": bundle.made,
        "by": f"audit-operator {bundle.version}",
        "whole": bundle.is_whole,
        "leadsLeftOut": bundle.left_out,
        "notAsked": dict(bundle.unasked),
        "questions": [each.as_json() for each in bundle.asked],
    }


def _timeline(bundle: Bundle) -> Iterator[str]:
    sinks = {each.sink for each in bundle.asked}
    yield f"{len(bundle.entries)} records of {', '.join(sorted(sinks))}, {bundle.made}"
    yield from _gaps(bundle)
    for entry in bundle.entries:
        yield ""
        yield printable(f"{moment(entry.record.time)}  {_sentence(entry)}")
        yield printable(
            f"  audit ID {entry.record.audit_id or '-'} {entry.record.stage}; {', '.join(sorted(entry.why))}"
        )
        if absent := sinks - entry.sinks:
            yield printable(f"  in {', '.join(sorted(entry.sinks))}; not found in {', '.join(sorted(absent))}")


def _gaps(bundle: Bundle) -> Iterable[str]:
    broken = [f"NOT WHOLE: {each.sink}, {each.lead.why}: {each.problem}" for each in bundle.asked if each.problem]
    broken += [f"NOT WHOLE: {sink} was not asked: {why}" for sink, why in bundle.unasked.items()]
    if bundle.left_out:
        broken.append(f"NOT WHOLE: {bundle.left_out} further leads were not followed")
    return map(printable, broken)


def _sentence(entry: Entry) -> str:
    """Who did what to what, and what came of it; of an application, its line as far as a terminal shows it."""
    own, event = entry.record.attributes, event_of(entry.record)
    if not own.get("verb"):
        return f"{own.get('pod') or own.get('source') or 'application'}: {entry.record.text[:400]}"
    impersonated = event.get("impersonatedUser")
    alias = f" as {impersonated.get('username')}" if isinstance(impersonated, dict) else ""
    what = "/".join(filter(None, (own.get("resource", ""), own.get("subresource", "")))) or event.get("requestURI", "")
    name = f" {own['name']}" if own.get("name") else ""
    where = f" in {own['namespace']}" if own.get("namespace") else ""
    return f"{own.get('username') or 'nobody'}{alias} {own['verb']} {what}{name}{where}: {own.get('code') or '-'}"
