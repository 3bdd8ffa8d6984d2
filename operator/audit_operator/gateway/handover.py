"""Handing events to the collector beside us, which answers once its queues have them.

Its pipelines are synchronous up to the queues on disk: what it has answered for outlives its sudden end. What it has
not answered for is sent again by the API server, so an event may arrive twice, and is known by its auditID and stage.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import ClientError

from audit_operator.shipping import otlp
from audit_operator.shipping.pipeline import LARGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aiohttp import ClientSession

BATCH = 4 * 2**20
"""Bytes of events in one request, unless a single one is larger."""

_ENOUGH = 64
"""Bytes of an answer."""


class NotTaken(Exception):  # noqa: N818  # a state of the collector
    """The collector has not, or not all of it; the message says why. It may have taken some."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The way to a collector.

    Attributes:
        session: of the client.
        address: of its OTLP receiver, as ``HOST:PORT``; asked each time, since it may change.
    """

    session: ClientSession
    address: Callable[[], str]

    async def deliver(self, events: Iterable[bytes]) -> None:
        """Return once the collector has them in its queues.

        Raises:
            NotTaken: see there.
        """
        observed = time.time_ns()
        for batch in batches(events):
            await self._post(otlp.request(otlp.record(each, {}, observed=observed) for each in batch))

    async def _post(self, content: bytes) -> None:
        headers = {"Content-Type": otlp.CONTENT_TYPE}
        body = io.BytesIO(content)  # is written in pieces: large ones must not hold up the others
        try:
            async with self.session.post(
                f"http://{self.address()}/v1/logs", data=body, headers=headers, allow_redirects=False
            ) as answer:
                said = await answer.content.read(_ENOUGH)
                if answer.status != HTTPStatus.OK:
                    raise NotTaken(f"the collector answers {answer.status}")
                if said not in otlp.ALL_TAKEN:
                    raise NotTaken("the collector has not taken all")
        except (OSError, ClientError, TimeoutError) as error:
            raise NotTaken(f"the collector does not answer: {type(error).__name__}") from error


def batches(events: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Events in groups of a bounded size, as valid UTF-8.

    What is longer than the longest line that a collector reads from files is cut as it would be there.
    """
    batch: list[bytes] = []
    size = 0
    for event in events:
        text = _valid(event[:LARGEST_LINE])
        if batch and size + len(text) > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _valid(text: bytes) -> bytes:
    """Any sender can put a byte into a patch that is no UTF-8, and OTLP has no place for it."""
    return text if text.isascii() else text.decode(errors="replace").encode()
