"""Which changes of a status are worth an event: when something waits for a person, and when it is over.

Everything else can be read in status; an event for each step of a roll-out would drown the ones that matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.api.conditions import ConditionType
from audit_operator.cluster.events import EventType, Notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.cluster.status import ObservedStatus

_ACTION = "Reconcile"


def notice_of(before: ObservedStatus, status: Mapping[str, Any]) -> Notice | None:
    """What to say about an object whose status was `before` and is `status` now, if anything."""
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    stalled = conditions.get(ConditionType.STALLED)
    was_stalled = before.condition(ConditionType.STALLED) is not None
    ready = conditions.get(ConditionType.READY, {})
    if stalled is not None:
        return Notice(EventType.WARNING, str(ready.get("reason", stalled["reason"])), _ACTION, str(stalled["message"]))
    if was_stalled and ready.get("status") == "True":
        return Notice(EventType.NORMAL, str(ready["reason"]), _ACTION, "what stood in the way is gone")
    return None
