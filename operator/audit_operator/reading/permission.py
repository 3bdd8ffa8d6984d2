"""Which records a caller may read of those that they ask for: all of it, or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from audit_operator.reading.memory import Memory
from audit_operator.sinks.selection import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_operator.reading.reviews import Caller, Existing

REMEMBERED_SECONDS = 10.0
_MOST = 10_000


class Judge(Protocol):
    """Who is asked; see `reviews.Reviews`."""

    async def who(self, token: str) -> Caller | None:
        """Whose token this is."""

    async def may_read(self, caller: Caller, namespace: str) -> bool:
        """Whether somebody may read a namespace's records."""

    async def existing(self, namespace: str) -> Existing | None:
        """A namespace, if there is one of this name."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer of `who`, which may be nobody."""

    caller: Caller | None


def _callers() -> Memory[bytes, _Known]:
    return Memory(REMEMBERED_SECONDS, _MOST)


def _permits() -> Memory[tuple[Caller, str, str], bool]:
    return Memory(REMEMBERED_SECONDS, _MOST)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Remembers what the judge says for `REMEMBERED_SECONDS`.

    Tokens are remembered by their digest alone. What somebody may do is remembered for all that the API server knows
    of them, and for one namespace: not for another one that gets its name.
    """

    judge: Judge
    _callers: Memory[bytes, _Known] = field(default_factory=_callers)
    _permits: Memory[tuple[Caller, str, str], bool] = field(default_factory=_permits)

    def remembered(self, token: str) -> Caller | None:
        """Whose token this is, if that is known already."""
        known = self._callers.get(_digest(token))
        return known.caller if known else None

    async def who(self, token: str) -> Caller | None:
        """Whose token this is; None where it is none that is good here. Raises Refused."""
        digest = _digest(token)
        known = self._callers.get(digest)
        if known is None:
            known = _Known(await self.judge.who(token))
            self._callers.put(digest, known)
        return known.caller

    async def scopes(self, caller: Caller, namespaces: Sequence[str]) -> tuple[Scope, ...] | None:
        """What of these namespaces may be read; None unless all of them may.

        Whoever may read everywhere, reads what was before a namespace was made, too: it may have been another one of
        that name, with another owner. A namespace that is gone has no owner. Raises Refused.
        """
        everywhere = await self._may(caller, "", "")
        found = await asyncio.gather(*(self._scope(caller, each, everywhere) for each in namespaces))
        scopes = tuple(each for each in found if each is not None)
        return scopes if len(scopes) == len(namespaces) else None

    async def _scope(self, caller: Caller, namespace: str, everywhere: bool) -> Scope | None:  # noqa: FBT001  # a fact
        if not namespace:
            return Scope("") if everywhere else None
        # Never remembered: who gets a name that was free must not get what was before, for no second.
        existing = await self.judge.existing(namespace)
        if not await self._may(caller, namespace, existing.uid if existing else ""):
            return None
        if everywhere:
            return Scope(namespace)
        return Scope(namespace, existing.created) if existing else None

    async def _may(self, caller: Caller, namespace: str, uid: str) -> bool:
        key = caller, namespace, uid
        known = self._permits.get(key)
        if known is None:
            known = await self.judge.may_read(caller, namespace)
            self._permits.put(key, known)
        return known


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
