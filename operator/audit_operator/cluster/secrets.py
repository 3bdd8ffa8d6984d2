"""Reading the Secrets that sinks name: one at a time, by name, and no more often than needed.

Never by list or watch, so that the operator needs `get` in the namespaces that the chart was told of and nothing more,
and holds no Secret that no sink names. What it holds shows in no text form and in no log.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from audit_operator.api.references import ADDRESS_ANNOTATION
from audit_operator.cluster.resources import SECRET
from audit_operator.cluster.rest import ApiError, ApiUnreachableError

if TYPE_CHECKING:
    from audit_operator.cluster.rest import RestClient

READABLE_NAMESPACES = "shipper.secretNamespaces"
"""The chart's value that lists the namespaces whose Secrets the operator may read."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecretUnreadable:
    """Why a Secret could not be read, and what mends it; both may be shown to whoever named the Secret."""

    message: str
    mend: str


class SecretValues(Mapping[str, bytes]):
    """What a Secret holds, by key. Its text form has the keys alone.

    Attributes:
        addresses: where it says that its content may be sent (`ADDRESS_ANNOTATION`).
    """

    __slots__ = ("_values", "addresses")

    def __init__(self, values: Mapping[str, bytes], addresses: Iterable[str] = ()) -> None:
        self._values = dict(values)
        self.addresses = tuple(addresses)

    def __getitem__(self, key: str) -> bytes:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"SecretValues({', '.join(sorted(self._values))})"


Answer = SecretValues | SecretUnreadable


@dataclass(frozen=True, slots=True)
class SecretMemory:
    """Seconds that answers are remembered.

    Attributes:
        found: a Secret; one that is changed is used at most this much later.
        refused: a reason why there is none.
        outage: a Secret, while the API server cannot be asked. A sink's credentials do not become wrong because the
            API server is away, and without them nothing could be shipped or judged just then.
    """

    found: float = 60.0
    refused: float = 10.0
    outage: float = 3600.0


@dataclass(frozen=True, slots=True)
class _Remembered:
    answer: Answer
    until: float


@dataclass(frozen=True, slots=True)
class _Known:
    values: SecretValues
    read_at: float


@dataclass(slots=True)
class SecretReader:
    """Reads Secrets through one client; callers that ask for the same one at the same time share a request."""

    client: RestClient
    memory: SecretMemory = field(default_factory=SecretMemory)
    clock: Callable[[], float] = time.monotonic
    _remembered: dict[tuple[str, str], _Remembered] = field(default_factory=dict, repr=False)
    _known: dict[tuple[str, str], _Known] = field(default_factory=dict, repr=False)
    _asking: dict[tuple[str, str], asyncio.Task[Answer]] = field(default_factory=dict, repr=False)
    _swept: float = float("-inf")

    async def read(self, namespace: str, name: str) -> Answer:
        """The values of one Secret, decoded, or why there are none.

        Raises:
            ValueError: a part of the name is empty, which would address more than one Secret.
        """
        if not namespace or not name:
            raise ValueError("a Secret is read by its namespace and its name")
        key = (namespace, name)
        remembered = self._remembered.get(key)
        if remembered is not None and self.clock() < remembered.until:
            return remembered.answer
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # Shielded: a caller that gives up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, str]) -> Answer:
        namespace, name = key
        try:
            document = await self.client.get(SECRET, namespace=namespace, name=name)
        except ApiUnreachableError:
            return self._during_outage(key, "Unreachable")
        except ApiError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                return self._during_outage(key, error.reason or str(error.status))
            answer: Answer = _refusal(key, error)
        else:
            answer = _values_of(document, key)
        if isinstance(answer, SecretUnreadable):
            self._known.pop(key, None)
            return self._remember(key, answer, self.memory.refused)
        self._known[key] = _Known(answer, self.clock())
        return self._remember(key, answer, self.memory.found)

    def _during_outage(self, key: tuple[str, str], reason: str) -> Answer:
        """The last known value where it is not too old; the API server is asked again soon in any case."""
        known = self._known.get(key)
        if known is not None and self.clock() - known.read_at < self.memory.outage:
            _LOG.warning(
                "Secret %s cannot be read now; its last known value is used", _shown(key), extra={"reason": reason}
            )
            return self._remember(key, known.values, self.memory.refused)
        answer = SecretUnreadable(
            f"Secret {_shown(key)} cannot be read: the API server does not answer ({reason})",
            "nothing, if the API server is back soon: it is asked again; otherwise see the operator's log",
        )
        return self._remember(key, answer, self.memory.refused)

    def _remember(self, key: tuple[str, str], answer: Answer, seconds: float) -> Answer:
        now = self.clock()
        self._remembered[key] = _Remembered(answer, now + seconds)
        if now - self._swept >= self.memory.found:
            self._sweep(now)
        return answer

    def _sweep(self, now: float) -> None:
        """What nobody asks for any more is not kept: neither the names, nor above all the values.

        Not at every answer: with thousands of Secrets, each would then cost the event loop a look at all of them.
        """
        self._swept = now
        for other in [each for each, what in self._remembered.items() if what.until + self.memory.found < now]:
            del self._remembered[other]
        for other in [each for each, what in self._known.items() if now - what.read_at >= self.memory.outage]:
            del self._known[other]


def _shown(key: tuple[str, str]) -> str:
    return "/".join(key)


def _values_of(document: Mapping[str, Any], key: tuple[str, str]) -> Answer:
    data = document.get("data") or {}
    try:
        values = {name: base64.b64decode(value, validate=True) for name, value in data.items()}
        return SecretValues(values, addresses_of(document))
    except (binascii.Error, ValueError, TypeError, AttributeError):
        # Not the error itself: it may quote what it could not read.
        return SecretUnreadable(
            f"Secret {_shown(key)} holds a value that is not base64",
            "write the Secret again, for example with `kubectl create secret`; values under `data` are base64",
        )


def addresses_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Where a Secret, as the API server has it, says that its content may be sent."""
    annotations = (document.get("metadata") or {}).get("annotations")
    said = annotations.get(ADDRESS_ANNOTATION) if isinstance(annotations, Mapping) else None
    return tuple(filter(None, map(str.strip, str(said or "").split(","))))


def _refusal(key: tuple[str, str], error: ApiError) -> SecretUnreadable:
    namespace, name = key
    if error.not_found:
        return SecretUnreadable(
            f"Secret {_shown(key)} does not exist",
            f"create Secret {name} in namespace {namespace}, or name another one",
        )
    return SecretUnreadable(
        f"the operator may not read Secret {_shown(key)}",
        f"let whoever installed the operator add {namespace} to the chart's value {READABLE_NAMESPACES}",
    )
