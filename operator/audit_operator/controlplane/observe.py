"""Driver `Observe`: the API servers' policy is somebody else's, and nothing is delivered.

What it records is judged in `plan`, on the policy that is taken as given; nothing about it can be seen from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import ApiServerObservation, DesiredPolicy


class ObserveDriver:
    """Does nothing and sees nothing. Implements `driver.Driver`."""

    async def deliver(self, desired: DesiredPolicy) -> tuple[Finding, ...]:  # noqa: ARG002 - the driver's interface
        """Nothing: those API servers are not ours to configure."""
        return ()

    async def hold(self) -> None:
        """Nothing to do."""

    async def observe(self) -> tuple[ApiServerObservation, ...]:
        """No API server: a provider shows neither its processes nor their arguments."""
        return ()

    async def aclose(self) -> None:
        """Nothing to do."""
