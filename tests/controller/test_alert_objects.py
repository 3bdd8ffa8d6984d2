"""PrometheusRules of policies: ours are kept as they should be, and nobody else's is touched."""

from __future__ import annotations

import asyncio
import copy
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.rate_limit import RateLimit
from audit_operator.cluster.resources import PROMETHEUS_RULE
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.alert_objects import AlertObjects, AlertObjectState
from audit_operator.plan import Snapshot
from audit_operator.plan.alert_rules import COMPONENT, COMPONENT_LABEL, AlertSettings
from audit_operator.plan.snapshot import InvalidObject
from tests.cluster.fake_api_server import Fault, fake_api_server
from tests.plan.objects import audit_policy, cluster_policy

WEB, BASE = ObjectRef("AuditPolicy", "web", "shop"), ObjectRef("ClusterAuditPolicy", "base")
LABEL = {COMPONENT_LABEL: COMPONENT}
RULE, OF_CLUSTER = ("audit-detections.web", "shop"), ("audit-detections-of-cluster.base", "audit-system")


def policy(made, uid, preset="Exec"):
    detections = [{"name": "d", "preset": preset}]
    found = made(preset="Metadata", detections=detections)
    return found.model_copy(update={"metadata": found.metadata.model_copy(update={"uid": uid})})


def web(**given):
    return policy(lambda **spec: audit_policy("shop", "web", **spec), "uid-of-web", **given)


def both(**given):
    base = policy(lambda **spec: cluster_policy("base", **spec), "uid-of-base")
    return Snapshot(audit_policies=(web(**given),), cluster_audit_policies=(base,))


@pytest.fixture
async def api():
    async with fake_api_server() as server:
        yield server


@pytest.fixture
async def alerts(api):
    async with aiohttp.ClientSession(api.url) as session:
        client = RestClient(session, attempts=1, backoff=Backoff(base=0.0))
        settings = AlertSettings("audit-system", labels={"release": "p"})
        found = AlertObjects(client, "audit-operator", settings, RateLimit(1000.0, burst=1000), every=0.02)
        task = asyncio.create_task(found.run())
        yield found
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # conditions of tests have no event to wait for
            await asyncio.sleep(0.01)


def there(api, place):
    return api.get(PROMETHEUS_RULE, *place)


def lists(api):
    return sum(each.path.endswith("/apis/monitoring.coreos.com/v1/prometheusrules") for each in api.seen)


async def looked(api, times=3):
    """It has looked so many times more."""
    before = lists(api)
    await until(lambda: lists(api) >= before + times)


async def test_each_policy_has_its_object_which_is_written_once(api, alerts):
    alerts.follow(both())
    await until(lambda: alerts.states == dict.fromkeys([WEB, BASE], AlertObjectState.WRITTEN))
    assert there(api, RULE)["metadata"]["ownerReferences"][0]["uid"] == "uid-of-web"
    assert there(api, OF_CLUSTER)["metadata"]["labels"] == {
        "release": "p",
        "app.kubernetes.io/managed-by": "audit-operator",
        **LABEL,
    }
    writes = len(api.writes())
    alerts.follow(both())
    await looked(api)
    assert len(api.writes()) == writes


async def test_what_a_policy_wants_is_written_and_what_none_wants_is_deleted(api, alerts):
    alerts.follow(both())
    await until(lambda: there(api, RULE) and there(api, OF_CLUSTER))
    before = there(api, RULE)["spec"]
    alerts.follow(both(preset="TokenMinting"))
    await until(lambda: there(api, RULE)["spec"] != before)
    alerts.follow(replace(both(), audit_policies=()))
    await until(lambda: there(api, RULE) is None)
    assert there(api, OF_CLUSTER)


async def test_what_somebody_changed_or_deleted_is_made_anew(api, alerts):
    alerts.follow(both())
    await until(lambda: there(api, RULE) and there(api, OF_CLUSTER))
    good, metadata = there(api, RULE)["spec"], there(api, RULE)["metadata"]
    api.put(PROMETHEUS_RULE, *RULE, metadata=metadata, spec={"groups": []})
    await until(lambda: there(api, RULE)["spec"] == good)
    unlabelled = {**metadata, "labels": {}}
    api.put(PROMETHEUS_RULE, *RULE, metadata=unlabelled, spec={"groups": []})
    await until(lambda: there(api, RULE)["spec"] == good)
    api.remove(PROMETHEUS_RULE, *RULE)
    await until(lambda: there(api, RULE))


@pytest.mark.parametrize("where", ["group", "rule"])
async def test_what_somebody_added_is_taken_away_again(api, alerts, where):
    """A rule can be kept from firing by what stands beside it: `for: 8760h`, `limit: 1`."""
    alerts.follow(both())
    await until(lambda: there(api, RULE) and there(api, OF_CLUSTER))
    good, metadata = there(api, RULE)["spec"], there(api, RULE)["metadata"]
    changed = copy.deepcopy(good)
    group = changed["groups"][0]
    (group if where == "group" else group["rules"][0]).update({"limit": 1} if where == "group" else {"for": "8760h"})
    api.put(PROMETHEUS_RULE, *RULE, metadata=metadata, spec=changed)
    await until(lambda: there(api, RULE)["spec"] == good)
    await until(lambda: alerts.states[WEB] is AlertObjectState.WRITTEN)


def owned(name="web", kind="AuditPolicy", group="audit-operator.dev/v1alpha1", *, controller=True):
    return [{"apiVersion": group, "kind": kind, "name": name, "uid": "u", "controller": controller}]


@pytest.mark.parametrize(
    "owners",
    [[], owned(kind="Deployment", group="apps/v1"), owned("another"), owned(controller=False)],
    ids=["nobody's", "another kind's", "another policy's", "no controller's"],
)
async def test_an_object_of_somebody_else_is_neither_written_nor_adopted_nor_deleted(api, alerts, owners):
    metadata = {"labels": LABEL, "ownerReferences": owners}
    found = api.put(PROMETHEUS_RULE, *RULE, metadata=metadata, spec={"groups": []})
    alerts.follow(both())
    await until(lambda: alerts.states == {WEB: AlertObjectState.TAKEN, BASE: AlertObjectState.WRITTEN})
    alerts.follow(replace(both(), audit_policies=()))
    await until(lambda: alerts.states == {BASE: AlertObjectState.WRITTEN})
    await looked(api)
    assert there(api, RULE) == found


async def test_the_object_of_a_policy_that_cannot_be_read_now_stays(api, alerts):
    alerts.follow(both())
    await until(lambda: there(api, RULE) and there(api, OF_CLUSTER))
    alerts.follow(replace(both(), audit_policies=(), invalid=(InvalidObject(WEB, 2, ()),)))
    await until(lambda: WEB not in alerts.states)
    await looked(api)
    assert there(api, RULE)


async def test_one_that_is_refused_hinders_no_other_and_is_tried_again(api, alerts):
    api.faults.append(Fault("PATCH", "/namespaces/shop/prometheusrules", times=2, status=403))
    alerts.follow(both())
    await until(lambda: there(api, OF_CLUSTER))
    await until(lambda: alerts.states == dict.fromkeys([WEB, BASE], AlertObjectState.WRITTEN))


async def test_a_cluster_without_that_kind_is_asked_again_later(api, alerts):
    api.faults.append(Fault("GET", "prometheusrules", times=1_000_000, status=404))
    alerts.follow(both())
    await until(lambda: alerts.states == dict.fromkeys([WEB, BASE], AlertObjectState.NOT_SERVED))
    assert api.writes() == []
    api.faults.clear()
    await until(lambda: alerts.states == dict.fromkeys([WEB, BASE], AlertObjectState.WRITTEN))
