"""What every way of running the shippers of a control plane has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import ShipperObservation
    from audit_operator.controlplane.shipper.counts import Counts
    from audit_operator.plan.collector_files import CollectorFiles, Places
    from audit_operator.plan.credentials import HeldCredentials


class Shippers(Protocol):
    """Brings one control plane's shippers to what was planned, and sees what they do.

    They take a callback that they call whenever `deliver` or `observe` may have a new answer.
    """

    @property
    def places(self) -> Places:
        """Where a shipper finds its files: what is to be delivered must be rendered for it."""
        ...

    def fits(self, files: CollectorFiles) -> bool:
        """Whether shippers can be told all of this. Takes a while: not for the event loop."""
        ...

    async def held(self) -> Mapping[str, HeldCredentials]:
        """The credentials that shippers hold already, by the name of the sink, as far as somebody has written it down.

        Raises:
            BoardUnavailable: that cannot be read now.
        """
        ...

    async def deliver(self, files: CollectorFiles | None) -> tuple[Finding, ...]:
        """Make these the files that shippers run with; None ends them. The same files cost nothing.

        Returns soon, long before they are in force: see `observe` for that. The findings say why they are not put in
        force, as far as that is known yet.
        """
        ...

    async def observe(self) -> tuple[ShipperObservation, ...]:
        """What was seen of the shippers last; none where nothing is to be shipped. Never waits for one."""
        ...

    async def counts(self) -> Counts | None:
        """What was counted for detections, if it is ours to show: shippers that run elsewhere show their own."""
        ...

    async def aclose(self) -> None:
        """Stop working on them. What runs keeps running, and whoever comes next takes it over."""
        ...
