"""`pseudonyms`: what a subject is called in the records of a namespace, for whoever has the keys."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.text import printable
from audit_operator.cli.erasing import opened
from audit_operator.cli.from_cluster import add_connection
from audit_operator.cli.inputs import read_files
from audit_operator.cli.usage import UsageError, namespace
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.integrity.interval import moment
from audit_operator.shipping.redaction.keyring import Keyring, KeyringUnusable
from audit_operator.shipping.redaction.pseudonyms import pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EXAMPLES = """examples:
  audit-operator pseudonyms -n payments --subject dora@example.com       under every key that is left, oldest first
  audit-operator pseudonyms -n payments --among users.txt --who p-3f2a9c01-5d41402abc4b2a76b9719d911017c592
  audit-operator pseudonyms -n "" --subject dora@example.com             in records without a namespace
  audit-operator pseudonyms -n payments --subject 10.0.0.7 --keyring keyring.json.gz

A pseudonym cannot be turned back: --who tries names, one a line of a file, - for standard input. The keys are those
of audit events; sidecars have others. Reading them shows in the audit log of the API server.

Exit status: 0 if something was found; 1 if not, or if the keys cannot be had; 2 for wrong usage.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "pseudonyms",
        help="print the pseudonyms of a subject, or whose one is",
        description="Print what a subject is called in the records of a namespace.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-n", "--namespace", type=namespace, metavar="NAME", required=True, help="whose records")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--subject", metavar="NAME", help="user, as API servers name them, or address")
    whose.add_argument("--among", metavar="FILE", help="names, one a line")
    parser.add_argument("--who", metavar="PSEUDONYM", help="print only whose this is")
    parser.add_argument("--control-plane", metavar="NAME", default="cluster", help="default: cluster")
    parser.add_argument(
        "--operator-namespace", metavar="NAME", default="audit-operator", help="default: audit-operator"
    )
    parser.add_argument("--keyring", metavar="FILE", type=Path, help="keys of pseudonyms, in place of the Secret")
    add_connection(parser)
    parser.set_defaults(run=run, register=None)


def run(options: argparse.Namespace) -> int:
    """Print them."""
    names = [options.subject] if options.among is None else list(_names(options.among))
    try:
        keyring = asyncio.run(_keyring(options))
    except BoardUnavailable as error:
        print(f"audit-operator: {error}", file=sys.stderr)
        return 1
    except KeyringUnusable:
        raise UsageError("the keys of pseudonyms cannot be read") from None
    if keyring is None:
        print("audit-operator: there are no keys: nothing has pseudonyms", file=sys.stderr)
        return 1
    found = [
        (since, each, name)
        for since, each, name in _rows(keyring, options.namespace, names)
        if _is_wanted(options, each)
    ]
    for since, each, name in found:
        print(f"{each}  {since}  {printable(name)}")
    return int(not found)


def _names(file: str) -> Iterator[str]:
    for _, content in read_files([file]):
        yield from filter(None, content.split("\n"))


async def _keyring(options: argparse.Namespace) -> Keyring | None:
    async with opened(options, options.control_plane) as places:
        held = await places.keyring()
        return Keyring.decoded(held.content) if held is not None else None


def _rows(keyring: Keyring, namespace: str, names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Begin of the epoch, pseudonym, name."""
    keys = [(moment(epoch.since), key) for epoch in keyring.epochs for key in epoch.kept(namespace)]
    return ((since, pseudonym(key, namespace, name), name) for name in names for since, key in keys)


def _is_wanted(options: argparse.Namespace, each: str) -> bool:
    return options.who is None or each == options.who
