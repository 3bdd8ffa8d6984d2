"""What is left of requests for whoever counts events: the policies of a control plane, as shippers apply them.

`Envelope` makes API servers record more than is asked for, and API servers that are only observed record what others
say. Shippers let pass what our policies ask for, so that this is what detections see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.policy.contribution import Contribution
    from audit_operator.policy.model import Policy


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """Of one control plane.

    Attributes:
        policy: what our policies ask for, exactly in each namespace.
        given: what API servers record that are only observed; None for others.
        known: whether it is known what they record.
        limiting: those contributions that limit others.
    """

    policy: Policy
    given: Policy | None
    known: bool
    limiting: tuple[Contribution, ...]
