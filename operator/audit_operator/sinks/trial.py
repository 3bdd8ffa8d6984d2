"""A sink tried once, by whoever asks for it: reached, written to, and read back. Only the last is proof."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level, Stage
from audit_operator.shipping.exporters import NAMESPACE
from audit_operator.sinks.store import Failure, Found, Reason, Record, Unsupported

if TYPE_CHECKING:
    from audit_operator.sinks.store import Store

USER = "audit-operator:sinks-check"
"""Of the record that is written: nobody else has this name, so that such records can be told from others."""
_STEP = 0.5
_NOT_THERE = "see what the store says it has dropped; or give it more time, with --timeout"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried; `trouble` is why it failed, or cannot be done with such a store. Seconds it took."""

    name: str
    seconds: float
    trouble: Failure | Unsupported | None = None

    @property
    def failed(self) -> bool:
        """Whether it went wrong; what cannot be done does not."""
        return isinstance(self.trouble, Failure)


async def try_store(store: Store, namespace: str, *, write: bool, patience: float) -> tuple[Step, ...]:
    """Reach a store; with `write`, also write a record and read it back within `patience` seconds."""
    began = time.monotonic()
    checked = await store.check()
    trouble = checked if isinstance(checked, Failure | Unsupported) else None
    steps = [Step("reached", time.monotonic() - began, trouble)]
    if trouble is not None or not write:
        return tuple(steps)
    record = marked_record(namespace)
    began = time.monotonic()
    written = await store.write(record)
    trouble = written if isinstance(written, Failure | Unsupported) else None
    steps.append(Step("written", time.monotonic() - began, trouble))
    if trouble is None:
        trouble = await _find(store, record, patience)
        steps.append(Step("read back", time.monotonic() - began, trouble))
    return tuple(steps)


async def _find(store: Store, record: Record, patience: float) -> Failure | Unsupported | None:
    """Why a record is not there; None once it is, as it was written."""
    end = time.monotonic() + patience
    while True:
        found = await store.find(record.audit_id, record.stage, since=record.time)
        if not isinstance(found, Found):
            return found
        if any(each.text == record.text for each in found.records):
            return None
        if time.monotonic() >= end:
            said = f"the record was taken, and is not there after {patience:g} s"
            return Failure(Reason.TIMED_OUT, said, _NOT_THERE)
        await asyncio.sleep(_STEP)


def marked_record(namespace: str) -> Record:
    """An audit event that says of itself what it is."""
    now, audit_id = datetime.now(UTC), str(uuid.uuid4())
    moment = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": Level.METADATA.value,
        "auditID": audit_id,
        "stage": Stage.RESPONSE_COMPLETE.value,
        "requestURI": "/audit-operator/sinks/check",
        "verb": "get",
        "user": {"username": USER},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": moment,
        "stageTimestamp": moment,
        "annotations": {"audit-operator.dev/test": "audit-operator sinks check"},
    }
    return Record(audit_id, Stage.RESPONSE_COMPLETE.value, now, json.dumps(event), {NAMESPACE: namespace})
