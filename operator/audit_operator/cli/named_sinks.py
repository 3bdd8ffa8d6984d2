"""Sinks that a command is to talk to, and the Secrets that they name: those of a cluster, or those in files."""

from __future__ import annotations

import base64
import binascii
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.cli.from_cluster import kubeconfig_file, read_cluster
from audit_operator.cli.inputs import objects_in, read_facts, read_texts
from audit_operator.cli.usage import UsageError
from audit_operator.policy.document import parse_document

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from audit_operator.cluster.secrets import SecretUnreadable, SecretValues
    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.sinks import Sink


@dataclass(frozen=True, slots=True)
class NamedSinks:
    """The sinks, and whether something else was found faulty on the way."""

    sinks: tuple[Sink, ...]
    faulty: bool


def add_files(parser: argparse._ActionsContainer) -> None:
    """Add the option that names a folder of dated files."""
    parser.add_argument(
        "--files",
        metavar="FOLDER",
        type=Path,
        help="dated files of a sink of type File: its claim, mounted here, or a copy; needs no cluster",
    )


def name_of(sink: Sink) -> str:
    """As a sink is named on the command line: ``NAMESPACE/NAME``, or ``NAME`` of a ClusterAuditSink."""
    return "/".join(filter(None, (sink.metadata.namespace, sink.metadata.name)))


def named_sinks(options: argparse.Namespace, wanted: Sequence[str]) -> NamedSinks:
    """The sinks of these names, or all where there are none, of the files of `options`, or else of the cluster.

    Raises:
        UsageError: one is not there, or there is none at all.
    """
    facts = read_facts(options.filename) if options.filename else read_cluster(options)
    for finding in facts.findings:
        print(f"{finding.object or finding.location.file}: {finding.message}", file=sys.stderr)
    return NamedSinks(tuple(chosen(tuple(facts.snapshot.sinks()), wanted)), bool(facts.findings))


@asynccontextmanager
async def readable_secrets(options: argparse.Namespace) -> AsyncIterator[Secrets]:
    """The Secrets of the files of `options`, or else those of the cluster that one may read."""
    if options.filename:
        yield _InFiles(_secrets_in(options.filename))
        return
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.cluster.connection import connect  # noqa: PLC0415
    from audit_operator.cluster.rest import RestClient  # noqa: PLC0415
    from audit_operator.cluster.secrets import SecretReader  # noqa: PLC0415

    connection = await connect(kubeconfig_file(options), options.context)
    try:
        yield SecretReader(RestClient(connection.session()))
    finally:
        await connection.aclose()


def chosen(sinks: tuple[Sink, ...], wanted: Sequence[str]) -> list[Sink]:
    """Those of these names, or all where there are none. Raises UsageError: one is not there, or none at all."""
    by_name = {name_of(each): each for each in sinks}
    if unknown := [each for each in wanted if each not in by_name]:
        raise UsageError(f"there is no sink {', '.join(unknown)}; there are: {', '.join(sorted(by_name)) or 'none'}")
    if not by_name:
        raise UsageError("there is no AuditSink and no ClusterAuditSink")
    return [by_name[each] for each in (wanted or sorted(by_name))]


@dataclass(frozen=True, slots=True)
class _InFiles:
    """Secrets of files."""

    held: Mapping[tuple[str, str], SecretValues]

    async def read(self, namespace: str, name: str) -> SecretValues | SecretUnreadable:
        """The values of one Secret, or that it is not there."""
        from audit_operator.cluster.secrets import SecretUnreadable  # noqa: PLC0415 - see readable_secrets

        held = self.held.get((namespace, name))
        if held is None:
            return SecretUnreadable(f"Secret {namespace}/{name} is in no file", "name one that holds it with -f")
        return held


def _secrets_in(paths: Iterable[str]) -> dict[tuple[str, str], SecretValues]:
    """The Secrets in files, by namespace and name. Standard input has been read already, and holds none for us."""
    from audit_operator.cluster.secrets import SecretValues, addresses_of  # noqa: PLC0415 - see readable_secrets

    held = {}
    for text in read_texts(each for each in paths if each != "-"):
        for _, item in objects_in(parse_document(text.content).value):
            if (item.get("apiVersion"), item.get("kind")) == ("v1", "Secret"):
                metadata = item.get("metadata") or {}
                key = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
                held[key] = SecretValues(_values(item, text.file), addresses_of(item))
    return held


def _values(document: Mapping[str, Any], file: str) -> dict[str, bytes]:
    plain = {key: str(value).encode() for key, value in (document.get("stringData") or {}).items()}
    try:
        encoded = document.get("data") or {}
        return {**{key: base64.b64decode(value, validate=True) for key, value in encoded.items()}, **plain}
    except (binascii.Error, ValueError, TypeError) as error:
        raise UsageError(f"{file}: a Secret holds a value under data that is not base64") from error
