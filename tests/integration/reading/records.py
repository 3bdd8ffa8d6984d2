"""Records in a real VictoriaLogs, written as the shipper writes them."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import aiohttp

from audit_operator.api.sink import AuditSinkSpec
from audit_operator.shipping import otlp
from audit_operator.sinks import Access, open_store
from audit_operator.sinks.otlp_record import CONTENT_TYPE
from audit_operator.sinks.store import Record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def spec(url):
    return AuditSinkSpec.model_validate_json(json.dumps({"type": "VictoriaLogs", "victoriaLogs": {"url": url}}))


def record(namespace, mark, *, ago=60.0, cluster="cluster", event=None, **attributes):
    """One event of a namespace (none if empty), whose text has the mark."""
    audit_id = attributes.pop("auditID", "") or str(uuid.uuid4())
    own = {"cluster": cluster, "username": "jane", "verb": "get", "resource": "secrets", "code": "200", **attributes}
    text = json.dumps({"auditID": audit_id, "mark": mark, **(event or {})}, separators=(",", ":"))
    of_namespace = {"namespace": namespace} if namespace else {}
    time = datetime.now(UTC) - timedelta(seconds=ago)
    return Record(audit_id, "ResponseComplete", time, text, {**own, **of_namespace})


def write(url, records):
    """Write them in one request, and wait until they can be found."""
    asyncio.run(_write(url, records))


async def _write(url, records):
    store = open_store(spec(url), Access())
    body = otlp.request(
        otlp.record(
            each.text.encode(),
            {**each.attributes, "auditID": each.audit_id, "stage": each.stage},
            time=(each.time - EPOCH) // timedelta(microseconds=1) * 1000,
        )
        for each in records
    )
    headers = {**store.endpoint.headers, "Content-Type": CONTENT_TYPE}
    async with aiohttp.ClientSession() as session, session.post(store.endpoint.url, data=body, headers=headers) as done:
        assert done.status == 200, await done.text()
    deadline = time.monotonic() + 180
    last = records[-1]
    while not (found := await store.find(last.audit_id, None, since=last.time)).records:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)
