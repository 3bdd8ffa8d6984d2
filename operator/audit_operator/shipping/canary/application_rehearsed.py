"""A sidecar's configuration as it is tried: with files in place of stores, and lines of ours in place of a pod's.

It is the same for all policies that differ in their names and their stores alone, so that one trial is good for all of
them. Own patterns are left out, as in the table of a shipper's trial: what they leave of a line is not foretold, and
nobody's pattern is to have a right configuration refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from audit_operator.shipping.application.configuration import render
from audit_operator.shipping.application.pipeline import COMPRESSED, ApplicationPipeline
from audit_operator.shipping.application.standard import Standard
from audit_operator.shipping.canary.application_lines import GONE, WRITTEN, Written, few_lines, lines, numbered
from audit_operator.shipping.canary.application_prediction import ApplicationOracle
from audit_operator.shipping.canary.planted import Canary, Planted
from audit_operator.shipping.canary.rehearsed import FILES, to_files, unsynced
from audit_operator.shipping.collector.yaml_text import yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from audit_operator.shipping.application.pipeline import LogFiles
    from audit_operator.shipping.collector.configuration import Endpoints

_NAME = "canary"
_OUTSIDE = "a line outside of its volume"
_NUMBERS = 100
"""Of lines in the files of one entry, at the most."""
_ANYWHERE = "/canary"
"""Stands for the folder of the trial where configurations are compared."""


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line in a file of its own, by its path; one that is `outside` is only linked from there."""

    path: str
    planted: Planted
    outside: bool = False


@dataclass(frozen=True, slots=True)
class ApplicationRehearsed:
    """A configuration to be tried, the lines for it, and in which folder each exporter's records will lie."""

    configuration: dict[str, Any]
    folders: Mapping[str, str]
    lines: tuple[FileLine, ...]

    @property
    def canary(self) -> Canary:
        """What must become of the lines."""
        planted = tuple(each.planted for each in self.lines)
        return Canary(log="", planted=planted, unreadable=sum("quarantine" in each.attributes for each in planted))


@dataclass(frozen=True, slots=True)
class ApplicationRehearsal:
    """What can be tried of a sidecar's pipeline, anywhere; `digest` is equal for all that one trial is good for."""

    pipeline: ApplicationPipeline
    endpoints: Endpoints
    digest: str = ""

    @classmethod
    def of(cls, pipeline: ApplicationPipeline, endpoints: Endpoints) -> Self:
        """With its digest."""
        made = cls(pipeline, endpoints)
        compared = yaml_text(made._configuration(made._placed(_ANYWHERE)))
        return replace(made, digest=hashlib.sha256(compared.encode()).hexdigest())

    def within(self, folder: str) -> ApplicationRehearsed:
        """What is tried in a folder, whose path holds letters, digits, dashes and underscores alone."""
        placed = self._placed(folder)
        folders = {each.id: str(each.config["directory"]) for each in placed.exporters}
        return ApplicationRehearsed(self._configuration(placed), folders, tuple(_lines(placed)))

    def _placed(self, folder: str) -> ApplicationPipeline:
        pipeline = self.pipeline
        ids = {each.id: f"{FILES}/{number}" for number, each in enumerate(pipeline.exporters)}
        return replace(
            pipeline,
            cluster=_NAME,
            namespace=_NAME,
            policy=_NAME,
            files=tuple(replace(each, folder=f"{folder}/logs/{each.volume}") for each in pipeline.files),
            redaction=pipeline.redaction.built_in,
            exporters=tuple(
                replace(each, id=ids[each.id], config=to_files(each.config, f"{folder}/out/{number}"))
                for number, each in enumerate(pipeline.exporters)
            ),
            standard=tuple(ids[each] for each in pipeline.standard),
            quarantine=tuple(ids[each] for each in pipeline.quarantine),
            state=f"{folder}/state",
        )

    def _configuration(self, placed: ApplicationPipeline) -> dict[str, Any]:
        made = render(placed, self.endpoints)
        return {**made, "extensions": {name: unsynced(each) for name, each in made["extensions"].items()}}


def _lines(pipeline: ApplicationPipeline) -> Iterator[FileLine]:
    """All kinds in the files of the first entry, and a few in those of each other one."""
    oracle = ApplicationOracle(pipeline)
    standard = Standard(pipeline.fields, pipeline.time_format, pipeline.longest_line)
    taken: set[str] = set()
    for entry, files in enumerate(pipeline.files):
        paths, kinds = _paths(files, entry, taken), few_lines if entry else lines
        written = (*kinds(standard), Written(_OUTSIDE, "password=of-somebody-else"))
        for number, each in enumerate(written, entry * _NUMBERS):
            line = numbered(each.line, number, standard)
            yield _planted(oracle, next(paths), each.what, line, outside=each.what == _OUTSIDE)


def _planted(oracle: ApplicationOracle, path: str, what: str, line: str, *, outside: bool = False) -> FileLine:
    predicted = oracle.of_line(line, path, outside=outside)
    to = oracle.pipeline.standard if predicted.timed else oracle.pipeline.quarantine
    planted = Planted(
        name=f"{what}, in {predicted.attributes['source']}",
        line=line,
        exporters=to,
        attributes=predicted.attributes,
        time=WRITTEN if predicted.timed else "",
        event=predicted.event,
        text=predicted.text,
        gone=tuple(gone for profile, gone in GONE.items() if profile in oracle.pipeline.redaction.profiles),
    )
    return FileLine(path, planted, outside)


def _paths(files: LogFiles, entry: int, taken: set[str]) -> Iterator[str]:
    """Names of a file and of rotated ones, in all the ways that such files are named; each once."""
    whole = f"{files.folder}/{files.path.replace('**/', f'{_NAME}/').replace('*', _NAME)}"
    stem, dot, extension = whole.rpartition(".")
    has_extension = dot and "/" not in extension and "*" not in files.path.rpartition(".")[2]
    number = entry * _NUMBERS
    named = [whole]
    while True:
        for path in named:
            if path.rpartition(".")[2] not in COMPRESSED and path not in taken:
                taken.add(path)
                yield path
        number += 1
        ways = [f"{whole}.{number}", f"{whole}-{number}"]
        further = [f"{stem}-{number}.{extension}", f"{stem}.{number}.{extension}"] if has_extension else []
        named = [[*ways, *further][number % len([*ways, *further])]]
