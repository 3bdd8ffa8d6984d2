"""What `seal` and `verify` have in common: whose chain it is, which store is read, and where the seals are."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.cli.from_cluster import add_connection
from audit_operator.cli.named_sinks import add_files, named_sinks, readable_secrets
from audit_operator.cli.usage import UsageError, namespace
from audit_operator.integrity.seal import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.integrity.keys import SigningKey, VerifyKey
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.scanning import Scanner
    from audit_operator.sinks.seal_archive import SealArchive

_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class Opened:
    """A chain, the store that it is about, and where its seals are."""

    scope: Scope
    scanner: Scanner
    archive: SealArchive


def add_chain(parser: argparse.ArgumentParser, *, sink: bool) -> None:
    """Add the sink, and what says whose records, and where the seals are; `sink`: whether it must be named."""
    parser.add_argument(
        "sink",
        metavar="SINK",
        nargs=None if sink else "?",
        help="NAMESPACE/NAME of an AuditSink, NAME of a ClusterAuditSink: the store that is read",
    )
    parser.add_argument("--cluster", metavar="NAME", default="", help="only records of this cluster (default: all)")
    parser.add_argument(
        "-n",
        "--namespace",
        type=namespace,
        metavar="NAME",
        default="",
        help="a chain about this namespace alone (default: about all)",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--seals", metavar="FOLDER", type=Path, help="folder in which seals are kept")
    place.add_argument(
        "--seals-sink", metavar="NAME", help="sink of type S3 in whose bucket they are kept, below seals/"
    )
    parser.add_argument(
        "--public-key",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="public key (PEM, Ed25519) that is trusted; may be given again, for keys that were renewed",
    )
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text", help="default: text")
    parser.add_argument(
        "-f",
        "--filename",
        metavar="PATH",
        action="append",
        help="file, folder, or - for standard input, with sinks and Secrets (default: those of the cluster)",
    )
    add_files(parser)
    parser.add_argument(
        "--secrets", metavar="FOLDER", type=Path, help="with a folder for each Secret, as they are mounted into pods"
    )
    add_connection(parser)


async def open_chain(options: argparse.Namespace, sinks: tuple[Sink, ...]) -> Opened:
    """The chain of the first of these sinks; the second, if any, keeps the seals.

    Raises:
        UsageError: a store cannot be opened, or not be used for that.
    """
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.cli.opened_stores import open_stores  # noqa: PLC0415
    from audit_operator.sinks.seal_archive import FolderArchive, folder_of  # noqa: PLC0415
    from audit_operator.sinks.seal_opening import archive_of, scanner_of  # noqa: PLC0415
    from audit_operator.sinks.store import Unsupported  # noqa: PLC0415

    name = "/".join(filter(None, (sinks[0].kind, sinks[0].metadata.namespace, sinks[0].metadata.name)))
    scope = Scope(sink=name, cluster=options.cluster, namespace=options.namespace)
    async with _secrets(options) as secrets:
        stores = await open_stores(sinks, secrets, options.files)
    scanner = scanner_of(stores[0])
    if isinstance(scanner, Unsupported):
        raise UsageError(f"{sinks[0].ref}: {scanner.reason}")
    if options.seals is not None:
        return Opened(scope, scanner, FolderArchive(options.seals / folder_of(scope)))
    archive = archive_of(stores[-1], scope)
    if isinstance(archive, Unsupported):
        raise UsageError(f"{sinks[-1].ref}: {archive.reason}")
    return Opened(scope, scanner, archive)


@asynccontextmanager
async def _secrets(options: argparse.Namespace) -> AsyncIterator[Secrets]:
    if options.secrets is None:
        async with readable_secrets(options) as secrets:
            yield secrets
        return
    from audit_operator.controller.sink_in_files import SecretsInFolders  # noqa: PLC0415 - see open_chain

    yield SecretsInFolders(options.secrets)


def chosen_sinks(options: argparse.Namespace) -> tuple[Sink, ...]:
    """The sink that is read, and the one that keeps the seals, if that is one.

    Raises:
        UsageError: one is not there, or nothing says where seals are kept.
    """
    if options.sink is None:
        raise UsageError("name the sink whose records are meant")
    if options.seals is None and options.seals_sink is None:
        raise UsageError("say where seals are kept, with --seals FOLDER or --seals-sink NAME")
    return named_sinks(options, [options.sink, *filter(None, [options.seals_sink])]).sinks


def public_keys(paths: Iterable[Path]) -> tuple[VerifyKey, ...]:
    """The keys of files.

    Raises:
        UsageError: one cannot be read, or holds no such key.
    """
    from audit_operator.integrity.keys import KeyUnusableError, VerifyKey  # noqa: PLC0415 - see open_chain

    keys = []
    for path in paths:
        try:
            keys.append(VerifyKey.read(read_bytes(path)))
        except KeyUnusableError as error:
            raise UsageError(f"{path}: {error}") from error
    return tuple(keys)


def signing_key(path: Path) -> SigningKey:
    """The private key of a file.

    Raises:
        UsageError: it cannot be read, or holds no such key.
    """
    from audit_operator.integrity.keys import KeyUnusableError, SigningKey  # noqa: PLC0415 - see open_chain

    try:
        return SigningKey.read(read_bytes(path))
    except KeyUnusableError as error:
        raise UsageError(f"{path}: {error}") from error


def read_bytes(path: Path) -> bytes:
    """A file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def duration(text: str) -> timedelta:
    """Of minutes, hours or days, such as ``90m``, ``6h``, ``7d``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        message = f"{text!r} is no duration; write one like 90m, 6h or 7d"
        raise argparse.ArgumentTypeError(message)
    return int(found[1]) * _UNITS[found[2]]


def when(text: str) -> datetime:
    """A point in time with its zone, or an age."""
    if _DURATION.fullmatch(text):
        return datetime.now(UTC) - duration(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = f"{text!r} is no time; write one like 2026-11-28T10:00:00Z, or an age like 7d"
        raise argparse.ArgumentTypeError(message)
    return moment.astimezone(UTC)


def show_progress(text: str) -> None:
    """Say where it is, to somebody who watches."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
