"""Where `query` reads from: the store of a sink, or a reader before one."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.cli.from_cluster import kubeconfig_file
from audit_operator.cli.named_sinks import readable_secrets
from audit_operator.cli.opened_stores import open_stores
from audit_operator.cli.usage import UsageError
from audit_operator.cluster.connection import ConnectionConfigError, connect
from audit_operator.reading.answer import answer
from audit_operator.reading.client import NotUsable, ReaderClient
from audit_operator.reading.question import BadQuestion, Question, read
from audit_operator.sinks.selection import Scope

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from audit_operator.cli.query import Parameters, Source
    from audit_operator.cluster.connection import Connection
    from audit_operator.plan.sinks import Sink
    from audit_operator.reading.answer import Piece


@asynccontextmanager
async def store_of(sink: Sink, options: argparse.Namespace) -> AsyncIterator[Source]:
    """The store of a sink, asked with its credentials.

    Raises:
        UsageError: it cannot be opened, or is asked what is no question.
    """
    async with readable_secrets(options) as secrets:
        [store] = await open_stores([sink], secrets)

    async def ask(asked: Parameters) -> AsyncGenerator[Piece, None]:
        question = _question(asked)
        selection = question.selection((Scope(each) for each in question.namespaces), ())
        async with aclosing(answer(store, selection)) as pieces:
            async for piece in pieces:
                yield piece

    yield ask


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
        async with aclosing(client.ask(asked)) as pieces:
            async for piece in pieces:
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
