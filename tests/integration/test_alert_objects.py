"""Alerts of detections in a real API server that serves PrometheusRules, or begins to while the operator runs."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.alert_objects import AlertObjects, AlertObjectState
from audit_operator.plan import Snapshot
from audit_operator.plan.alert_rules import AlertSettings
from tests.integration.prometheus_rule import CRD
from tests.plan.objects import audit_policy, cluster_policy

EXEC = [{"name": "exec", "preset": "Exec"}]


@pytest.fixture
async def alerts(control_plane, namespace):
    connection = await connect(control_plane.kubeconfig())
    settings = AlertSettings(namespace, "https://r/x", {"release": "p"})
    client = RestClient(connection.session())
    found = AlertObjects(client, "audit-operator", settings, RateLimit(100.0, burst=100), every=0.2)
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await connection.aclose()
    control_plane.kubectl("delete", "crd", CRD["metadata"]["name"], "--ignore-not-found")


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110  # conditions of tests have no event to wait for
            await asyncio.sleep(0.1)


async def test_objects_are_written_mended_and_deleted(control_plane, namespace, alerts):
    web = audit_policy(namespace, "web", preset="Metadata", detections=EXEC)
    web = web.model_copy(update={"metadata": web.metadata.model_copy(update={"uid": "of-web"})})
    base = cluster_policy("base", preset="Metadata", detections=EXEC)
    base = base.model_copy(update={"metadata": base.metadata.model_copy(update={"uid": "of-base"})})
    facts = Snapshot(audit_policies=(web,), cluster_audit_policies=(base,))
    alerts.follow(facts)
    await until(lambda: set(alerts.states.values()) == {AlertObjectState.NOT_SERVED})

    control_plane.apply(CRD)
    await until(lambda: set(alerts.states.values()) == {AlertObjectState.WRITTEN})

    def there():
        listed = json.loads(control_plane.kubectl("get", "prometheusrules", "-n", namespace, "-o", "json").stdout)
        return {each["metadata"]["name"]: each for each in listed["items"]}

    written = there()
    assert written.keys() == {"audit-detections.web", "audit-detections-of-cluster.base"}
    ours = written["audit-detections.web"]
    assert ours["metadata"]["labels"]["release"] == "p"
    [group] = ours["spec"]["groups"]
    assert group["rules"][0]["annotations"]["runbook_url"] == "https://r/x#auditdetection"

    await asyncio.sleep(2)
    assert there() == written, "what is as it should be is not written again"

    patch = json.dumps([{"op": "replace", "path": "/spec/groups/0/rules/0/expr", "value": "vector(0)"}])
    control_plane.kubectl(
        "patch", "prometheusrule", "audit-detections.web", "-n", namespace, "--type=json", f"--patch={patch}"
    )
    await until(lambda: there()["audit-detections.web"]["spec"] == ours["spec"])

    silenced = [
        {"op": "add", "path": "/spec/groups/0/limit", "value": 1},
        {"op": "add", "path": "/spec/groups/0/rules/0/for", "value": "8760h"},
    ]
    patch = f"--patch={json.dumps(silenced)}"
    control_plane.kubectl("patch", "prometheusrule", "audit-detections.web", "-n", namespace, "--type=json", patch)
    await until(lambda: there().get("audit-detections.web", {}).get("spec") == ours["spec"])

    alerts.follow(replace(facts, cluster_audit_policies=()))
    await until(lambda: there().keys() == {"audit-detections.web"})
