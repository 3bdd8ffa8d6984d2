"""The drivers of the control planes that there are: made when one appears, closed when it goes or changes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Driver as DriverName
from audit_operator.api.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.observations import ApiServerObservation, DesiredPolicy
    from audit_operator.controlplane.driver import Driver

    MakeDriver = Callable[[AuditControlPlane], Driver | None]

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Delivery:
    """Hands policies to drivers and collects what they see.

    `make` returns the driver for a control plane, or None if this process has none for it.
    """

    make: MakeDriver
    observations: dict[str, tuple[ApiServerObservation, ...]] = field(default_factory=dict)
    _drivers: dict[str, tuple[AuditControlPlane, Driver]] = field(default_factory=dict)

    async def follow(self, planes: Collection[AuditControlPlane]) -> None:
        """Have a driver for each control plane that there is, and look at the API servers of those that are new.

        A policy depends on the versions of the API servers: none is made before they have been looked at.
        """
        by_name = {each.metadata.name: each for each in planes}
        for name in self._drivers.keys() - by_name.keys():
            await self._close(name)
        made = [await self._follow(plane) for plane in by_name.values()]
        if any(made):
            await self.observe()

    async def deliver(
        self, planes: Collection[AuditControlPlane], wanted: Mapping[str, DesiredPolicy]
    ) -> dict[str, tuple[Finding, ...]]:
        """Hand over what is wanted, by control plane, to those followed; returns why something was not accepted.

        A control plane for which nothing is wanted is left as it is, and observed all the same.
        """
        refused: dict[str, tuple[Finding, ...]] = {}
        for plane in planes:
            name = plane.metadata.name
            if name not in self._drivers:
                if plane.spec.driver is DriverName.PROCESS:
                    refused[name] = (_NO_PROCESS,)
                continue
            _, driver = self._drivers[name]
            if name not in wanted:
                await driver.hold()
            elif findings := await driver.deliver(wanted[name]):
                refused[name] = findings
                _LOG.error(
                    "Not delivered: %s",
                    findings[0].message,
                    extra={"object": str(plane.ref), "digest": wanted[name].digest, "reason": findings[0].id},
                )
        await self.observe()
        return refused

    async def observe(self) -> bool:
        """Look at all API servers; whether anything is different from the last time."""
        # A list: control planes may come and go meanwhile.
        seen = {name: await driver.observe() for name, (_, driver) in list(self._drivers.items())}
        changed, self.observations = seen != self.observations, seen
        return changed

    async def aclose(self) -> None:
        """Close all drivers; what runs keeps running."""
        for name in list(self._drivers):
            await self._close(name)

    async def _follow(self, plane: AuditControlPlane) -> bool:
        """Have the driver that the spec asks for; whether it was made just now."""
        name = plane.metadata.name
        if (known := self._drivers.get(name)) is not None:
            if _same_target(known[0], plane):
                return False
            await self._close(name)
        if (driver := self.make(plane)) is None:
            return False
        self._drivers[name] = (plane, driver)
        return True

    async def _close(self, name: str) -> None:
        _, driver = self._drivers.pop(name)
        # Its task may have been cancelled already, by kopf on its way out.
        with suppress(asyncio.CancelledError):
            await driver.aclose()


_NO_PROCESS = Finding(
    id="no-process",
    severity=Severity.ERROR,
    message="this operator runs no API server of its own",
    mend="set AUDIT_OPERATOR_PROCESS_FOLDER where it runs, or use another driver",
    path="spec.driver",
)


def _same_target(one: AuditControlPlane, other: AuditControlPlane) -> bool:
    if DriverName.STATIC_POD in (one.spec.driver, other.spec.driver):
        return (one.spec, one.metadata.uid) == (other.spec, other.metadata.uid)
    if DriverName.CONFIG_MAP in (one.spec.driver, other.spec.driver) and one.spec.log != other.spec.log:
        return False
    return (one.spec.driver, one.spec.config_map) == (other.spec.driver, other.spec.config_map)
