"""`LocalShipper`: the shipper of an API server on this machine, for driver `Process`.

The collector outlives the operator, as the API server does, and the next operator takes it over: events are shipped
also while there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.controlplane.shipper.collector import Collector, places_of
from audit_operator.controlplane.shipper.keeper import ShipperTimes
from audit_operator.controlplane.shipper.kept import KeptCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import ShipperObservation
    from audit_operator.controlplane.shipper.counts import Counts
    from audit_operator.plan.collector_files import CollectorFiles, Places
    from audit_operator.plan.credentials import HeldCredentials


class LocalShipper:
    """Keeps the collector that a folder describes. Implements `shippers.Shippers`."""

    def __init__(  # noqa: PLR0913  # what it consists of
        self,
        folder: Path,
        binary: Path,
        audit_log: Path,
        changed: Callable[[], None],
        *,
        node: str = "local",
        times: ShipperTimes = ShipperTimes(),  # noqa: B008  # frozen
    ) -> None:
        """Does nothing yet; `deliver` starts the work.

        Args:
            folder: of the collector (see `collector`).
            binary: of the collector.
            audit_log: of the API server.
            changed: is called in the event loop when `deliver` or `observe` may have a new answer.
            node: name of the shipper in observations.
            times: see there.
        """
        self._places = places_of(str(audit_log))
        self._kept = KeptCollector(Collector(folder), binary, changed, node=node, times=times)

    @property
    def places(self) -> Places:
        """Where the collector finds its files."""
        return self._places

    async def deliver(self, files: CollectorFiles | None) -> tuple[Finding, ...]:
        """See `shippers.Shippers`."""
        self._kept.keep(files)
        return self._kept.refusal()

    def fits(self, files: CollectorFiles) -> bool:  # noqa: ARG002  # nothing travels, whatever it is
        """See `shippers.Shippers`."""
        return True

    async def held(self) -> Mapping[str, HeldCredentials]:
        """See `shippers.Shippers`. They lie in its folder, and nowhere is written whose they are."""
        return {}

    async def observe(self) -> tuple[ShipperObservation, ...]:
        """See `shippers.Shippers`."""
        seen = self._kept.seen()
        return () if seen is None else (seen,)

    async def counts(self) -> Counts | None:
        """See `shippers.Shippers`."""
        return await self._kept.counts()

    async def aclose(self) -> None:
        """Stop working; the collector stays up, unless nothing is to be shipped."""
        await self._kept.aclose()
