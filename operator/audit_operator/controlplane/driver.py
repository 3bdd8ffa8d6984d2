"""What every way of delivering a policy has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from audit_operator.api.findings import Finding
    from audit_operator.api.observations import ApiServerObservation, DesiredPolicy


class Driver(Protocol):
    """Brings one control plane's API servers to a policy, and sees what they run.

    A driver takes a callback that it calls whenever `deliver` or `observe` may have a new answer.
    """

    async def deliver(self, desired: DesiredPolicy) -> tuple[Finding, ...]:
        """Make this the policy that is wanted; call it as often as you like, the same policy costs nothing.

        Returns soon, long before the policy runs: see `observe` for that. The findings say why it is not delivered,
        as far as that is known yet; none means that it is being worked on, or runs.
        """
        ...

    async def hold(self) -> None:
        """Begin no change until `deliver` is called again; what is under way is brought to its end."""
        ...

    async def observe(self) -> tuple[ApiServerObservation, ...]:
        """What the API servers run now: facts, read when asked."""
        ...

    async def aclose(self) -> None:
        """Stop working on it. What runs keeps running, and the next driver takes it over."""
        ...
