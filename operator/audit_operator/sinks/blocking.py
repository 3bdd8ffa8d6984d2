"""Going through what blocks, such as files, without keeping anything else waiting."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator, Generator

_T = TypeVar("_T")


async def unblocked(
    items: Generator[_T, None, None], given_up: threading.Event, at_once: int
) -> AsyncGenerator[_T, None]:
    """The items, so many at a time out of a thread; the generator is closed once this is.

    It must look at `given_up` often, and end where that is set: whoever listens no more waits for it.
    """
    step: asyncio.Future[list[_T]] | None = None
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(lambda: list(islice(items, at_once))))
            some = await asyncio.shield(step)
            if not some:
                return
            for each in some:
                yield each
    finally:
        given_up.set()
        if step is not None and not step.done():
            await asyncio.wait({step})
        items.close()
