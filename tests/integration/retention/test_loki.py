"""The operator, a real API server, and a Loki that is a fake (tests/sinks/fake_loki.py): what status says of it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tests.integration.operator_process import MAIN, eventually, thing
from tests.integration.retention.test_operator import Watched, as_a_week_ago, policy
from tests.sinks.fake_loki import fake_loki


@contextmanager
def loki():
    """In a thread of its own."""
    ready, made = threading.Event(), []

    async def serve():
        end = asyncio.Event()
        async with fake_loki(datetime.now(UTC)) as store:
            made.append((store, asyncio.get_running_loop(), end))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    store, loop, end = made[0]
    try:
        yield store
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(60)


def spec(store):
    return {"type": "Loki", "loki": {"url": store.url, "tenant": store.tenant}}


def test_status_says_what_a_loki_keeps_what_was_ordered_and_what_somebody_changed(operator):
    with loki() as store:
        seen = Watched(operator, store.url)
        store.add([60] * 3 + [20] * 2, cluster="main", namespace="payments")
        store.overrides["retention_period"] = "90d"
        operator.control_plane.apply(
            MAIN,
            thing("ClusterAuditSink", "central", spec(store)),
            policy("payments", maximum="30d"),
            policy("web", minimum="30d"),
        )
        as_a_week_ago(operator.control_plane, spec(store), "payments", "30d")
        operator.start(retention_seconds="1")
        line = seen.until("web", "Enforced")
        assert (line["condition"], line["effective"]) == (("True", "Enforced"), "deletes after 90d")
        seen.until("payments", "Pending", "are hidden, and removed after delete_request_cancel_period")
        [ordered] = store.deletions
        assert 'namespace="payments"' in ordered.query
        assert datetime.now(UTC) - ordered.end >= timedelta(days=30)

        store.now += timedelta(hours=25)
        store.compact()
        store.now = datetime.now(UTC)
        assert len(store.records) == 2
        seen.until("payments", "Enforced")

        store.overrides["retention_period"] = "7d"
        line = seen.until("web", "Drifted", "the store deletes after 7d")
        assert line["condition"][0] == "False"
        store.overrides["retention_period"] = "90d"
        seen.until("web", "Enforced")
        eventually(lambda: seen.line("web")["condition"] == ("True", "Enforced"), "the condition to be true again")
