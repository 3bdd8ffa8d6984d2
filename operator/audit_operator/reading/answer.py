"""An answer, piece by piece: records, and at the end that it is whole, or why it is not.

An answer without its end has been cut off somewhere, and whoever reads it can tell.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from audit_operator.reading.document import document, moment
from audit_operator.sinks.search import End, search
from audit_operator.sinks.store import Failure, Record, Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from audit_operator.sinks.selection import Selection
    from audit_operator.sinks.store import Store

END, ERROR = "end", "error"
"""The one key of the last piece; records have neither."""

Piece = dict[str, Any]


async def answer(store: Store, selection: Selection) -> AsyncGenerator[Piece, None]:
    """The pieces of what one store answers."""
    async with aclosing(pieces(search(store, selection), selection)) as made:
        async for each in made:
            yield each


async def pieces(
    answers: AsyncGenerator[Record | End | Failure | Unsupported, None], selection: Selection
) -> AsyncGenerator[Piece, None]:
    """What a search gives, piece by piece."""
    number = 0
    async with aclosing(answers) as found:
        async for each in found:
            match each:
                case Record():
                    number += 1
                    yield document(each)
                case End(copies, complete):
                    begins = _begins(selection)
                    said = {"records": number, "copies": copies, "complete": complete}
                    yield {END: {**said, **({"from": begins} if begins else {})}}
                case Failure(reason, message):
                    yield broken(reason.value, message)
                case Unsupported(reason):
                    yield broken("Unsupported", reason)


def _begins(selection: Selection) -> dict[str, str]:
    """From when on namespaces are read, of those of which that is later than was asked for."""
    return {
        each.namespace: moment(each.since)
        for each in selection.scopes
        if each.since is not None and each.since > selection.since
    }


def broken(reason: str, message: str) -> Piece:
    """The last piece of an answer that is not whole."""
    return {ERROR: {"reason": reason, "message": message}}
