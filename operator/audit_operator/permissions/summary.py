"""How many may read, write and disable; and what no such count can contain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.permissions.accesses import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.permissions.evaluation import Holding
    from audit_operator.permissions.findings import Unexpected

UNSEEN = (
    "members of the group system:masters may do everything; RBAC does not name them, and cannot stop them",
    "who is in a group is known to whoever authenticates people",
    "other authorizers (Node, Webhook, ABAC) may allow more, and admission other than pod security may forbid more",
    "whoever may write an object from which a controller makes pods, roles or Secrets has what that controller makes",
    "whoever has a control-plane node, etcd, a store or its credentials needs no right in the API",
)
"""What RBAC does not show, always said beside what it shows."""


@dataclass(frozen=True, slots=True)
class Holders:
    """Subjects that have an effect, and how many of these nobody expects."""

    subjects: int
    unexpected: int


def holders(holdings: Iterable[Holding], found: Iterable[Unexpected]) -> Mapping[Effect, Holders]:
    """The counts of every effect; a subject is a user, a service account or a whole group."""
    holdings, found = tuple(holdings), tuple(found)
    return {
        effect: Holders(
            len({each.subject for each in holdings if effect in each.access.effects}),
            len({each.subject for each in found if effect in each.effects}),
        )
        for effect in Effect
    }
