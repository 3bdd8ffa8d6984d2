"""Which records of several stores are the same one, and in which order records of one moment come.

Said once, so that whatever shows records of several stores shows the same ones in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.audit import Stage
from audit_operator.shipping.application.attributes import SHIPPED as OF_APPLICATIONS
from audit_operator.shipping.collector.attributes import SHIPPED as OF_EVENTS

if TYPE_CHECKING:
    from datetime import datetime

    from audit_operator.sinks.store import Record

_SHIPPED = frozenset(OF_EVENTS) | frozenset(OF_APPLICATIONS)
_STAGES = {str(each): number for number, each in enumerate(Stage)}


def shipped(record: Record) -> dict[str, str]:
    """The attributes that shippers wrote, in order, and nothing that a store has added."""
    return {name: value for name, value in sorted(record.attributes.items()) if name in _SHIPPED}


def identity(record: Record) -> tuple[object, ...]:
    """Two records are the same if all is equal that shippers say of them, and their texts."""
    return record.time, record.audit_id, record.stage, record.text, tuple(shipped(record).items())


def order(record: Record) -> tuple[datetime, str, int, str, tuple[tuple[str, str], ...]]:
    """By time; of one moment, those of a request beside each other, in the order of stages."""
    stage = _STAGES.get(record.stage, len(_STAGES))
    return record.time, record.audit_id, stage, record.text, tuple(shipped(record).items())
