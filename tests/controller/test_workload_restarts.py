"""Restarting goes on, whatever a tenant's policy or workload looks like."""

from __future__ import annotations

import asyncio

from audit_operator.controller.workload_restarts import WorkloadRestarts


async def test_a_bug_ends_nothing_and_is_logged_without_its_text(caplog):
    asked = []

    def counted():
        asked.append(True)
        raise TypeError("hunter2")

    working = asyncio.create_task(WorkloadRestarts(None, None, counted, every=0.001).run())
    async with asyncio.timeout(20):
        while len(asked) < 3:  # noqa: ASYNC110  # what is waited for is the worker's
            await asyncio.sleep(0.001)
    assert not working.done()
    working.cancel()
    assert "counted:" in caplog.text
    assert "hunter2" not in caplog.text
