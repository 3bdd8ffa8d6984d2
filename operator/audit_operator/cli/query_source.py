"""Where `query` reads from: the store of a sink."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.cli.named_sinks import readable_secrets
from audit_operator.cli.usage import UsageError
from audit_operator.controller.sink_access import Stores
from audit_operator.reading.answer import answer
from audit_operator.reading.question import BadQuestion, read
from audit_operator.sinks.network import Network
from audit_operator.sinks.selection import Scope
from audit_operator.sinks.store import Failure

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncGenerator, AsyncIterator

    from audit_operator.cli.query import Parameters, Source
    from audit_operator.plan.sinks import Sink
    from audit_operator.reading.answer import Piece


@asynccontextmanager
async def store_of(sink: Sink, options: argparse.Namespace) -> AsyncIterator[Source]:
    """The store of a sink, asked with its credentials.

    Raises:
        UsageError: it cannot be opened, or is asked what is no question.
    """
    async with readable_secrets(options) as secrets:
        opened = await Stores(secrets, Network(), Network()).open(sink)
    if isinstance(opened, Failure):
        raise UsageError(f"{sink.ref}: {opened.message} ({opened.mend})")

    async def ask(asked: Parameters) -> AsyncGenerator[Piece, None]:
        try:
            question = read(tuple(asked.items()), datetime.now(UTC))
        except BadQuestion as error:
            raise UsageError(str(error)) from error
        selection = question.selection((Scope(each) for each in question.namespaces), ())
        async with aclosing(answer(opened.store, selection)) as pieces:
            async for piece in pieces:
                yield piece

    yield ask
