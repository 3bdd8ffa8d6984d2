"""What a user points at: files, folders and standard input, read into the facts that a plan is made from."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.control_plane import AuditControlPlane
from audit_operator.api.findings import Finding, Location, ObjectRef, Severity
from audit_operator.api.parsing import parse_object
from audit_operator.api.references import INPUT_LABEL
from audit_operator.api.resource import GROUP
from audit_operator.api.sink import AuditSink, ClusterAuditSink
from audit_operator.cli.usage import UsageError
from audit_operator.folders import files_under
from audit_operator.plan.snapshot import InputConfigMap, NamespaceFact, Snapshot
from audit_operator.policy.document import Document, ProblemKind, parse_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Text:
    """One YAML or JSON document; `line` is the number of its first line, less one."""

    file: str
    content: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """The objects of some files, and what was wrong with them."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]

    @property
    def unreadable(self) -> tuple[Finding, ...]:
        """About objects that are not in the snapshot: whatever is made of it, is about less than was asked."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)


@dataclass(slots=True)
class _Collected:
    kinds: defaultdict[type, list[Any]] = field(default_factory=lambda: defaultdict(list))
    namespaces: dict[str, NamespaceFact] = field(default_factory=dict)
    inputs: list[InputConfigMap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_texts(paths: Iterable[str]) -> Iterator[Text]:
    """Every document of every file; folders are searched for YAML and JSON files.

    Raises:
        UsageError: a path does not exist or cannot be read.
    """
    yield from texts_of(read_files(paths))


def texts_of(files: Iterable[tuple[str, str]]) -> Iterator[Text]:
    """The documents of files, by name and content."""
    for file, content in files:
        yield from _split(file, content)


def places_of(texts: Iterable[Text]) -> dict[ObjectRef, Callable[[Finding], Finding]]:
    """For each object in the texts, what gives a finding about it file and line."""
    found: dict[ObjectRef, Callable[[Finding], Finding]] = {}
    for text in texts:
        document = parse_document(text.content)
        for path, item in objects_in(document.value):
            metadata = item.get("metadata")
            named = metadata if isinstance(metadata, dict) else {}
            name, namespace = str(named.get("name", "")), str(named.get("namespace", ""))
            found[ObjectRef(str(item.get("kind", "")), name, namespace)] = _Place(document, text, path).locate
    return found


def read_files(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and content of every file; folders are searched for YAML and JSON files.

    Raises:
        UsageError: a path does not exist or cannot be read.
    """
    for path in paths:
        yield from _read(path)


def read_file(path: str) -> str:
    """One file, or standard input.

    Raises:
        UsageError: it does not exist or cannot be read.
    """
    if path == STDIN:
        return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise UsageError(message) from error


def files_of(path: str, suffixes: frozenset[str]) -> list[str]:
    """The files of a folder, and of those below it, whose names end so; or the one file that `path` is.

    Raises:
        UsageError: a folder cannot be listed.
    """
    try:
        found = files_under(path)
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    return [path] if found is None else [str(each) for each in found if each.suffix in suffixes]


def _read(path: str) -> Iterator[tuple[str, str]]:
    if path == STDIN:
        yield "<stdin>", read_file(path)
        return
    files = files_of(path, SUFFIXES)
    if not files:
        message = f"there is no YAML or JSON file in {path}"
        raise UsageError(message)
    for file in files:
        yield file, read_file(file)


def _split(file: str, content: str) -> Iterator[Text]:
    """Split at document separators, keeping count of lines."""
    start = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate([*lines, "---"]):
        if re.match(r"---(\s|$)", line) and number > start:
            text = "".join(lines[start:number])
            if any(not re.match(r"\s*(#|---|$)", each) for each in lines[start:number]):
                yield Text(file, text, start)
            start = number
    return


def read_facts(paths: Iterable[str]) -> Facts:
    """Our kinds, Namespaces and input ConfigMaps in files; other kinds are passed over.

    Raises:
        UsageError: a path cannot be read.
    """
    return facts_in(read_texts(paths))


def facts_in(texts: Iterable[Text]) -> Facts:
    """The same, of texts that were read."""
    collected = _Collected()
    for text in texts:
        document = parse_document(text.content)
        collected.findings.extend(_problems(document, text))
        for path, item in objects_in(document.value):
            place = _Place(document, text, path)
            _collect(item, collected, place.locate)
    return _facts(collected)


def facts_of(objects: Iterable[dict[str, Any]]) -> Facts:
    """Facts from objects that have no text, such as those of a cluster."""
    collected = _Collected()
    for item in objects:
        _collect(item, collected, lambda finding: finding)
    return _facts(collected)


def _facts(collected: _Collected) -> Facts:
    snapshot = Snapshot(
        audit_policies=tuple(collected.kinds[AuditPolicy]),
        cluster_audit_policies=tuple(collected.kinds[ClusterAuditPolicy]),
        audit_sinks=tuple(collected.kinds[AuditSink]),
        cluster_audit_sinks=tuple(collected.kinds[ClusterAuditSink]),
        control_planes=tuple(collected.kinds[AuditControlPlane]),
        namespaces=tuple(collected.namespaces.values()),
        inputs=tuple(collected.inputs),
    )
    return Facts(snapshot, tuple(collected.findings))


def _problems(document: Document, text: Text) -> Iterator[Finding]:
    for problem in document.problems:
        if problem.kind is not ProblemKind.FURTHER_DOCUMENT:
            yield Finding(
                id=problem.kind.value,
                severity=Severity.ERROR,
                message=problem.message,
                location=Location(text.file, text.line + problem.line),
            )


def objects_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """The objects in a document: itself, or the items of a List."""
    if not isinstance(value, dict):
        return
    if str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
        for number, item in enumerate(value["items"]):
            yield from objects_in(item, (*path, "items", number))
        return
    yield path, value


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a text an object stands."""

    document: Document
    text: Text
    path: tuple[str | int, ...]

    def locate(self, finding: Finding) -> Finding:
        """The finding with file and line."""
        line = self.document.line((*self.path, *_steps(finding.path))) or 1
        return replace(finding, location=Location(self.text.file, self.text.line + line))


def _collect(item: dict[str, Any], collected: _Collected, locate: Callable[[Finding], Finding]) -> None:
    api_version = str(item.get("apiVersion", ""))
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name = str(metadata.get("name", ""))
    if api_version.startswith(f"{GROUP}/"):
        parsed = parse_object(item)
        if isinstance(parsed, tuple):
            collected.findings.extend(map(locate, parsed))
        else:
            collected.kinds[type(parsed)].append(parsed)
    elif api_version == "v1" and item.get("kind") == "Namespace" and name:
        collected.namespaces[name] = NamespaceFact(name, _strings(metadata.get("labels")))
    elif api_version == "v1" and item.get("kind") == "ConfigMap" and INPUT_LABEL in _strings(metadata.get("labels")):
        collected.inputs.append(InputConfigMap(str(metadata.get("namespace", "")), name, _strings(item.get("data"))))
    elif api_version.startswith("audit.k8s.io/"):
        collected.findings.append(
            locate(
                Finding(
                    id="raw-policy",
                    severity=Severity.ERROR,
                    message="this is an audit policy of the API server, not one of our kinds",
                    mend="pass it with --policy, or put its rules into a ClusterAuditPolicy",
                    object=ObjectRef(str(item.get("kind", "")), name),
                )
            )
        )


def _strings(value: object) -> dict[str, str]:
    return {str(key): str(each) for key, each in value.items()} if isinstance(value, dict) else {}


def _steps(path: str) -> Iterator[str | int]:
    """The steps of ``spec.rules[3].verbs``."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        yield name or int(index)
