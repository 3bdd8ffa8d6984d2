"""Judges the roles and bindings of the cluster, from time to time.

They are listed and not watched: they change rarely, and there may be tens of thousands of them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from audit_operator.api.permissions import Permissions
from audit_operator.cluster.rbac import read_rbac
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError
from audit_operator.permissions.rbac import RbacError
from audit_operator.plan.permissions import PermissionBasis, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from audit_operator.cluster.rest import RestClient
    from audit_operator.permissions.expected import Installation
    from audit_operator.permissions.rbac import Rbac
    from audit_operator.plan.snapshot import Snapshot

_LOG = logging.getLogger(__name__)


_AGAIN = 30.0
"""Seconds after which a list is asked for again that could not be had."""
_LONGEST_REASON = 500


@dataclass(slots=True)
class PermissionChecks:
    """Judges every `every` seconds, and at once when somebody else is expected, or stores are elsewhere.

    `results` has what status is to say, by control plane; one that was not judged yet is absent. `on_change` is called
    when that has changed.
    """

    client: RestClient
    installation: Installation
    on_change: Callable[[], None]
    every: float = 600.0
    results: Mapping[str, Permissions] = field(default_factory=dict)
    _basis: PermissionBasis | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _rbac: Rbac | None = None
    _refused: str = ""

    def follow(self, snapshot: Snapshot) -> None:
        """Judge on these facts from now on. Labels of namespaces change often, and are looked at with the next list."""
        before, self._basis = self._basis, PermissionBasis.of(snapshot, self.installation)
        if before is None or _pressing(before) != _pressing(self._basis):
            self._wake.set()

    async def run(self) -> None:
        """Judge for ever. Raises nothing: a bug must not be the end of judging, nor of what else the operator does."""
        await self._wake.wait()
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + min(self.every, await self._attempt(self._read()) or _AGAIN)
            while (left := due - clock()) > 0:
                await self._attempt(self._judge())
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._wake.wait()

    async def _attempt(self, work: Coroutine[Any, Any, float | None]) -> float | None:
        try:
            return await work
        except Exception as error:  # noqa: BLE001 - see `run`
            _LOG.error("Permissions not judged", exc_info=error, extra={"reason": type(error).__name__})
            return None

    async def _read(self) -> float | None:
        """List everything; for how long that is good enough, None if it could not be had."""
        try:
            self._rbac, self._refused = await read_rbac(self.client), ""
        except (ApiError, ApiUnreachableError, InconsistentListError) as error:
            _LOG.warning("Roles and bindings cannot be read: %s", error, extra={"reason": type(error).__name__})
            if not isinstance(error, ApiError) or error.status != HTTPStatus.FORBIDDEN:
                return None  # what was known stays
            # Without the right, what was known would be older with every day.
            self._rbac, self._refused = None, _NO_RIGHT
        except RbacError as error:
            # It will be no other when asked for again, and without it nobody knows who may do what.
            said = str(error).partition("\n")[0][:_LONGEST_REASON]
            _LOG.error("Roles and bindings are not understood: %s", said, extra={"reason": type(error).__name__})
            self._rbac, self._refused = None, f"roles and bindings are not understood: {said}"
        return self.every

    async def _judge(self) -> None:
        self._wake.clear()
        basis, rbac = self._basis, self._rbac
        if basis is None or (rbac is None and not self._refused):
            return
        if rbac is None:
            found: Mapping[str, Permissions] = dict.fromkeys(basis.expected, Permissions(message=self._refused))
        else:
            found = await asyncio.to_thread(judged, rbac, basis)
        if found != self.results:
            self.results = found
            self.on_change()


_NO_RIGHT = "roles and bindings may not be listed; the chart's permissions.enabled grants it"


def _pressing(basis: PermissionBasis) -> tuple[object, ...]:
    return basis.expected, basis.places.stores
