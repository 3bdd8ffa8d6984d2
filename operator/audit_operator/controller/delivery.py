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
    from collections.abc import Callable, Iterable, Mapping

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

    async def deliver(
        self, planes: Iterable[AuditControlPlane], wanted: Mapping[str, DesiredPolicy]
    ) -> dict[str, tuple[Finding, ...]]:
        """Hand over what is wanted, by control plane; returns why something was not accepted.

        A control plane for which nothing is wanted is left as it is, and observed all the same.
        """
        by_name = {each.metadata.name: each for each in planes}
        for name in self._drivers.keys() - by_name.keys():
            await self._close(name)
        refused: dict[str, tuple[Finding, ...]] = {}
        for name, plane in by_name.items():
            driver = await self._driver(plane)
            if driver is None:
                if plane.spec.driver is DriverName.PROCESS:
                    refused[name] = (_NO_PROCESS,)
                continue
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
        seen = {name: await driver.observe() for name, (_, driver) in self._drivers.items()}
        changed, self.observations = seen != self.observations, seen
        return changed

    async def aclose(self) -> None:
        """Close all drivers; what runs keeps running."""
        for name in list(self._drivers):
            await self._close(name)

    async def _driver(self, plane: AuditControlPlane) -> Driver | None:
        name = plane.metadata.name
        known = self._drivers.get(name)
        if known is not None and _same_target(known[0], plane):
            return known[1]
        if known is not None:
            await self._close(name)
        driver = self.make(plane)
        if driver is not None:
            self._drivers[name] = (plane, driver)
        return driver

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
        return one.spec == other.spec
    if DriverName.CONFIG_MAP in (one.spec.driver, other.spec.driver) and one.spec.log != other.spec.log:
        return False
    return (one.spec.driver, one.spec.config_map) == (other.spec.driver, other.spec.config_map)
