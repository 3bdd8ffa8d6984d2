"""Where `query` reads from: the stores of sinks, a reader before one, or a folder of dated files."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.cli.from_cluster import kubeconfig_file
from audit_operator.cli.named_sinks import readable_secrets
from audit_operator.cli.opened_stores import open_all, open_stores, tell_of_halves
from audit_operator.cli.usage import UsageError
from audit_operator.cluster.connection import ConnectionConfigError, connect
from audit_operator.reading.answer import pieces
from audit_operator.reading.client import NotUsable, ReaderClient
from audit_operator.reading.question import BadQuestion, Question, read
from audit_operator.sinks.files import FileStore
from audit_operator.sinks.merging import search_all
from audit_operator.sinks.search import search
from audit_operator.sinks.selection import Scope
from audit_operator.sinks.unsupported import UnsupportedStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from audit_operator.cli.query import Parameters, Source
    from audit_operator.cluster.connection import Connection
    from audit_operator.plan.sinks import Sink
    from audit_operator.reading.answer import Piece
    from audit_operator.sinks.store import Store


@asynccontextmanager
async def stores_of(sinks: Sequence[Sink], options: argparse.Namespace) -> AsyncIterator[Source]:
    """The stores of some sinks, asked with their credentials; of several, each record is shown once.

    Raises:
        UsageError: it cannot be opened, or is asked what is no question.
    """
    async with readable_secrets(options) as secrets:
        if len(sinks) == 1:
            [store] = await open_stores(sinks, secrets, options.files)
            stores = {"": store}
        else:
            stores, unasked = await open_all(sinks, secrets, options.files)
            stores.update({name: UnsupportedStore(why) for name, why in unasked.items()})
    yield _asking(stores)
    for each in stores.values():
        tell_of_halves(each)


@asynccontextmanager
async def files_in(folder: Path) -> AsyncIterator[Source]:
    """The dated files of a folder, of whatever sink."""
    store = FileStore(folder)
    yield _asking({"": store})
    tell_of_halves(store)


def _asking(stores: Mapping[str, Store]) -> Source:
    async def ask(asked: Parameters) -> AsyncGenerator[Piece, None]:
        question = _question(asked)
        selection = question.selection((Scope(each) for each in question.namespaces), ())
        found = search_all(stores, selection) if len(stores) > 1 else search(next(iter(stores.values())), selection)
        async with aclosing(pieces(found, selection)) as answers:
            async for piece in answers:
                yield piece

    return ask


@asynccontextmanager
async def reader(options: argparse.Namespace) -> AsyncIterator[Source]:
    """A reader, asked with a token of a file, or that of the kubeconfig.

    Raises:
        UsageError: there is no token, or the address is none; or it is asked what is no question.
    """
    connection = None
    try:
        if options.token_file is None:
            connection = await connect(kubeconfig_file(options), options.context)
        client = ReaderClient.to(options.server, options.ca, lambda: _token(options.token_file, connection))
        await client.token()
    except (ConnectionConfigError, NotUsable) as error:
        raise UsageError(str(error)) from error

    async def ask(asked: Parameters) -> AsyncGenerator[Piece, None]:
        _question(asked)  # what is no question is wrong usage here, and no matter of the reader's
        async with aclosing(client.ask(asked)) as answers:
            async for piece in answers:
                yield piece

    try:
        yield ask
    finally:
        if connection is not None:
            await connection.aclose()


def _question(asked: Parameters) -> Question:
    try:
        return read(tuple(asked.items()), datetime.now(UTC))
    except BadQuestion as error:
        raise UsageError(str(error)) from error


async def _token(file: Path | None, connection: Connection | None) -> str:
    """As it is now: files and plug-ins renew it."""
    if file is not None:
        try:
            return (await asyncio.to_thread(file.read_text, "utf-8")).strip()
        except (OSError, ValueError) as error:
            raise UsageError(f"{file}: {error}") from error
    kind, _, token = (await connection.authorization()).partition(" ") if connection else ("", "", "")
    if kind.lower() != "bearer" or not token:
        raise UsageError(
            "the kubeconfig has no token, and a client certificate proves nothing to a reader; "
            "write one to a file, such as that of `kubectl create token`, and name it with --token-file"
        )
    return token
