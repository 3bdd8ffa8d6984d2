"""Restarting goes on, whatever a tenant's policy or workload looks like."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from audit_operator.cluster.lease import LeadershipLostError
from audit_operator.cluster.resources import DISRUPTION_BUDGET
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError, Listing
from audit_operator.controller.workload_restarts import WorkloadRestarts
from audit_operator.plan.sidecars import count
from audit_operator.shipping.injection.pod import Owner
from tests.plan.test_restarts import budget, owned
from tests.plan.test_sidecars import seen
from tests.shipping.injection.pods import TEMPLATE, model, pod, policy


async def test_a_bug_ends_nothing_and_is_logged_without_its_text(caplog):
    asked = []

    def counted():
        asked.append(True)
        raise TypeError("hunter2")

    working = asyncio.create_task(WorkloadRestarts(None, None, counted, lambda _: None, every=0.001).run())
    async with asyncio.timeout(60):
        while len(asked) < 3:  # noqa: ASYNC110  # what is waited for is the worker's
            await asyncio.sleep(0.001)
    assert not working.done()
    working.cancel()
    assert "counted:" in caplog.text
    assert "hunter2" not in caplog.text


class Client:
    """Has a workload in each namespace, all rolled out, and cannot do some of what it is asked."""

    def __init__(self, budgets=None, fail=None):
        self.budgets, self.fail = budgets or {}, fail or {}
        self.restarted, self.tried = [], Counter()

    def _ask(self, verb, namespace):
        self.tried[verb, namespace] += 1
        if (error := self.fail.get((verb, namespace))) is not None:
            raise error

    async def get(self, resource, *, name, namespace):
        self._ask("get", namespace)
        status = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}
        template = {"metadata": {"labels": {"app": "web"}}}
        if (namespace, name) in self.restarted:
            template["metadata"]["annotations"] = {}
            status = {}
        metadata = {"name": name, "namespace": namespace, "generation": 1, "resourceVersion": "1"}
        spec = {"replicas": 1, "template": template}
        return {"kind": resource.kind, "metadata": metadata, "spec": spec, "status": status}

    async def list(self, resource, convert, *, namespace):
        assert resource == DISRUPTION_BUDGET
        self._ask("list", namespace)
        return Listing(tuple(convert(each) for each in self.budgets.get(namespace, ())), "1")

    async def merge(self, _resource, *, name, namespace, body):
        assert body["metadata"]["resourceVersion"] == "1"
        self._ask("merge", namespace)
        self.restarted.append((namespace, name))


def restarting(client, *namespaces, tell=lambda _: None):
    """One workload in each namespace is to be restarted, the first first."""
    counted = []
    for namespace in namespaces:
        of = model(policy(namespace=namespace, restartWorkloads="Rolling"))
        pods = (owned(seen(pod()), Owner("StatefulSet", "web", "1")),)
        counted.append((of, count(of, pods, TEMPLATE)))
    return WorkloadRestarts(client, TEMPLATE, lambda: counted, tell)


@pytest.mark.parametrize("verb", ["get", "list", "merge"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ApiError(403, "Forbidden", "no"), "Forbidden"),
        (ApiError(409, "Conflict", "somebody else wrote"), "Conflict"),
        (InconsistentListError("pages of two moments"), "InconsistentListError"),
        (KeyError("spec"), "KeyError"),
    ],
)
async def test_what_goes_wrong_with_one_workload_keeps_no_other_waiting_and_is_logged_once(verb, error, reason, caplog):
    client = Client(fail={(verb, "evil"): error})
    steps = restarting(client, "evil", "good", "better")
    assert [await steps.step() for _ in range(4)] == [True, True, False, False]
    assert client.restarted == [("good", "web"), ("better", "web")]
    assert client.tried[verb, "evil"] == 3  # not where another was restarted before it
    said = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [(each.object, each.reason) for each in said] == [("StatefulSet evil/web", reason)]
    client.fail = {}
    assert await steps.step()
    assert client.restarted[-1] == ("evil", "web")


async def test_an_answer_that_does_not_come_ends_a_step_and_the_next_one_begins_with_the_others():
    client = Client(fail={("list", "evil"): ApiUnreachableError("cut off")})
    steps = restarting(client, "evil", "good")
    with pytest.raises(ApiUnreachableError):
        await steps.step()
    assert await steps.step()
    assert client.restarted == [("good", "web")]


async def test_who_does_not_lead_any_more_tries_nothing_else():
    client = Client(fail={("merge", "a"): LeadershipLostError("another one leads")})
    with pytest.raises(LeadershipLostError):
        await restarting(client, "a", "b").step()
    assert not client.tried["get", "b"]


async def test_a_budget_that_is_not_understood_or_very_large_holds_back_those_that_it_may_select():
    large = {"matchLabels": {"app": "web", **{f"k{number}": "v" for number in range(40)}}}
    told = []
    client = Client(budgets={"evil": [budget({"matchFields": []}, 0)], "large": [budget(large, 0)]})
    steps = restarting(client, "evil", "large", "good", tell=told.append)
    assert [await steps.step() for _ in range(3)] == [True, True, False]
    assert client.restarted == [("large", "web"), ("good", "web")]
    assert [(of.namespace, why.id) for of, why in told[-1].items()] == [("evil", "restart-held-back")]


async def test_a_policy_says_of_a_workload_that_its_restart_is_refused_until_it_is_not():
    told = []
    client = Client(fail={("merge", "evil"): ApiError(403, "Forbidden", "by an admission policy, at 12:01")})
    steps = restarting(client, "evil", tell=told.append)
    assert [await steps.step() for _ in range(2)] == [False, False]
    client.fail = {("merge", "evil"): ApiError(409, "Conflict", "somebody else wrote")}
    await steps.step()
    said = [[(of.namespace, why.id, why.message) for of, why in each.items()] for each in told]
    message = "StatefulSet web is not restarted: the API server refuses it (Forbidden)"
    assert said == [[("evil", "restart-refused", message)]] * 2 + [[]]
    client.fail = {}
    assert await steps.step()
    assert told[-1] == {}
