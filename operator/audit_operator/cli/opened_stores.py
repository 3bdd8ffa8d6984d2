"""The stores of sinks, opened with the credentials that they name. Imported late: it brings in every client."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from audit_operator.api.sink import SinkType
from audit_operator.cli.named_sinks import name_of
from audit_operator.cli.usage import UsageError
from audit_operator.controller.sink_access import Stores
from audit_operator.sinks.files import FileStore
from audit_operator.sinks.network import Network
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit_operator.controller.sink_secrets import Secrets
    from audit_operator.plan.sinks import Sink
    from audit_operator.sinks.store import Store


async def open_stores(sinks: Sequence[Sink], secrets: Secrets, files: Path | None = None) -> list[Store]:
    """The stores, in the order of the sinks; `files` is where the claim of a sink of type File is mounted.

    Raises:
        UsageError: one cannot be opened, or there is none of type File.
    """
    _check_files(sinks, files)
    stores = Stores(secrets, Network(), Network())
    found: list[Store] = []
    for sink in sinks:
        if files is not None and sink.spec.type is SinkType.FILE:
            found.append(FileStore(files))
            continue
        opened = await stores.open(sink)
        if isinstance(opened, Failure):
            raise UsageError(f"{sink.ref}: {opened.message} ({opened.mend})")
        found.append(opened.store)
    return found


async def open_all(
    sinks: Sequence[Sink], secrets: Secrets, files: Path | None = None
) -> tuple[dict[str, Store], dict[str, str]]:
    """The stores by the name of their sink, and why others cannot be asked: one of a tenant's must not end it all.

    Raises:
        UsageError: `files` is of none of them, or of several.
    """
    _check_files(sinks, files)
    stores: dict[str, Store] = {}
    unasked: dict[str, str] = {}
    for sink in sinks:
        name = name_of(sink)
        try:
            [stores[name]] = await open_stores([sink], secrets, files if sink.spec.type is SinkType.FILE else None)
        except UsageError as error:
            unasked[name] = str(error)
    return stores, unasked


def _check_files(sinks: Sequence[Sink], files: Path | None) -> None:
    of_files = sum(each.spec.type is SinkType.FILE for each in sinks)
    if files is not None and of_files != 1:
        raise UsageError(f"--files says where the files of one sink are, and {of_files} are of type File")


def tell_of_halves(store: Store) -> None:
    """Of lines that kills have left in files: no record, and nothing that anybody has lost."""
    if not isinstance(store, FileStore):
        return
    for number, what in (
        (
            store.tally.half,
            "last lines of files have no end: they are being written, or were cut off, and are left out",
        ),
        (store.tally.again, "lines were cut off, and their records written again"),
    ):
        if number:
            print(f"{number:,} {what}", file=sys.stderr)
