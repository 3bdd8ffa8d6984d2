"""Which records a caller may read of those that they ask for: all of it, or nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from audit_operator.reading.memory import Memory
from audit_operator.sinks.selection import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


def _callers() -> Memory[bytes, Caller]:
    return Memory(REMEMBERED_SECONDS, _MOST)


def _refused() -> Memory[bytes, bool]:
    return Memory(REMEMBERED_SECONDS, _MOST)


def _permits() -> Memory[tuple[Caller, str, str], bool]:
    return Memory(REMEMBERED_SECONDS, _MOST)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Remembers what the judge says for `REMEMBERED_SECONDS`.

    Tokens are remembered by their digest alone, and those that are none apart: they push nobody out. What somebody may
    do is remembered for all that the API server knows of them, and for one namespace: not for another one that gets its
    name.
    """

    judge: Judge
    _callers: Memory[bytes, Caller] = field(default_factory=_callers)
    _permits: Memory[tuple[Caller, str, str], bool] = field(default_factory=_permits)
    _refused: Memory[bytes, bool] = field(default_factory=_refused)

    def remembered(self, token: str) -> Caller | None:
        """Whose token this is, if that is known already."""
        return self._callers.get(_digest(token))

    async def who(self, token: str) -> Caller | None:
        """Whose token this is; None where it is none that is good here. Raises Refused."""
        digest = _digest(token)
        known = self._callers.get(digest)
        if known is not None or self._refused.get(digest):
            return known
        caller = await self.judge.who(token)
        if caller is None:
            self._refused.put(digest, True)
        else:
            self._callers.put(digest, caller)
        return caller

    async def scopes(
        self, caller: Caller, namespaces: Sequence[str], before_next: Callable[[], None] = lambda: None
    ) -> tuple[Scope, ...] | None:
        """What of these namespaces may be read; None unless all of them may.

        They are asked about in turn, and no more once one may not: a refusal is cheap. `before_next`
        is called before all but the first, and may raise.

        Whoever may read everywhere, reads what was before a namespace was made, too: it may have been another one of
        that name, with another owner. A namespace that is gone has no owner. Raises Refused.
        """
        everywhere = await self._may(caller, "", "")
        scopes: list[Scope] = []
        for each in namespaces:
            if scopes:
                before_next()
            scope = await self._scope(caller, each, everywhere)
            if scope is None:
                return None
            scopes.append(scope)
        return tuple(scopes)

    async def _scope(self, caller: Caller, namespace: str, everywhere: bool) -> Scope | None:  # noqa: FBT001  # a fact
        if not namespace:
            return Scope("") if everywhere else None
        # Never remembered: who gets a name that was free must not get what was before, for no second.
        existing = await self.judge.existing(namespace)
        if not await self._may(caller, namespace, _uid(existing)):
            return None
        if everywhere:
            return Scope(namespace)
        return Scope(namespace, existing.created) if existing else None

    async def _may(self, caller: Caller, namespace: str, uid: str) -> bool:
        key = caller, namespace, uid
        known = self._permits.get(key)
        if known is None:
            known = await self.judge.may_read(caller, namespace)
            if known and namespace:
                # While that was asked, the name may have got another owner, who is the one that gave the right.
                known = _uid(await self.judge.existing(namespace)) == uid
            self._permits.put(key, known)
        return known


def _uid(existing: Existing | None) -> str:
    return existing.uid if existing else ""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
