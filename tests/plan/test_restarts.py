from __future__ import annotations

import dataclasses

import pytest

from audit_operator.plan.restarts import can_roll, goal, is_allowed, is_rolled_out, was_restarted, wishes
from audit_operator.plan.sidecars import count
from audit_operator.shipping.injection.pod import Owner
from audit_operator.shipping.injection.template import SidecarTemplate
from tests.plan.test_sidecars import injected, seen
from tests.shipping.injection.pods import LEFT_ALONE, TEMPLATE, TEMPLATE_TEXT, model, pod, policy

ROLLING = model(policy(restartWorkloads="Rolling"))
DEPLOYED = Owner("ReplicaSet", "web-5d", "1")


def owned(found, owner=DEPLOYED):
    return dataclasses.replace(found, owner=owner)


def wanted(*pods, of=ROLLING):
    return wishes(of, count(of, pods, TEMPLATE), TEMPLATE)


def test_controllers_of_pods_without_their_sidecar_are_restarted_each_once():
    found = wanted(owned(seen(pod(), "a")), owned(seen(pod(), "b")), owned(injected(pod(), "c", by=policy())))
    assert [(each.owner, {pod.name for pod in each.pods}) for each in found] == [(DEPLOYED, {"a", "b"})]


@pytest.mark.parametrize("owner", [None, Owner("Job", "j", "1"), Owner("CloneSet", "c", "1")])
def test_jobs_bare_pods_and_what_is_not_known_are_left_alone(owner):
    assert wanted(owned(seen(pod()), owner)) == ()


def test_nothing_is_restarted_unless_the_policy_says_so_nor_where_it_would_not_help():
    assert wanted(owned(seen(pod())), of=model(policy())) == ()
    assert wanted(owned(seen(LEFT_ALONE["without the volume"]))) == ()
    assert wanted(owned(seen(pod())), of=model(policy("a" * 43, restartWorkloads="Rolling"))) == ()
    there = model(policy(namespace="kube-system", restartWorkloads="Rolling"))
    assert wanted(owned(seen(pod())), of=there) == ()


def test_what_was_restarted_for_this_is_not_restarted_again_and_is_for_something_else():
    [wish] = wanted(owned(seen(pod())))

    def workload(value):
        annotations = {"restart.audit-operator.dev/pci": value}
        return {"spec": {"template": {"metadata": {"annotations": annotations}}}}

    assert was_restarted(workload(wish.goal), wish)
    assert not was_restarted(workload("other"), wish)
    assert not was_restarted({"spec": {"template": {}}}, wish)
    others = {
        goal(ROLLING, SidecarTemplate.parse(TEMPLATE_TEXT.replace("160Mi", "200Mi"))),
        goal(model(policy(restartWorkloads="Rolling", files=[{"volume": "x", "path": "a"}])), TEMPLATE),
        goal(model(policy(restartWorkloads="Rolling", podSelector={"matchLabels": {"app": "web"}})), TEMPLATE),
    }
    assert len(others | {wish.goal}) == 4
    more_files = policy(restartWorkloads="Rolling")
    more_files["spec"]["applicationLogs"]["files"].append({"volume": "logs", "path": "more.log"})
    assert goal(model(more_files), TEMPLATE) == wish.goal  # those are read without a restart


def deployment(generation=1, observed=1, updated=2, available=2, replicas=2, **spec):
    status = {
        "observedGeneration": observed,
        "updatedReplicas": updated,
        "availableReplicas": available,
        "replicas": replicas,
    }
    return {
        "kind": "Deployment",
        "metadata": {"generation": generation},
        "spec": {"replicas": 2, **spec},
        "status": status,
    }


def test_a_roll_out_is_complete_when_all_replicas_are_new_and_available():
    assert is_rolled_out(deployment())
    assert not is_rolled_out(deployment(generation=2))
    assert not is_rolled_out(deployment(updated=1))
    assert not is_rolled_out(deployment(available=1))
    assert not is_rolled_out(deployment(replicas=3))
    daemon = {"kind": "DaemonSet", "metadata": {"generation": 1}, "spec": {}}
    status = {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
    assert is_rolled_out({**daemon, "status": status})
    assert not is_rolled_out({**daemon, "status": {**status, "numberAvailable": 2}})
    assert not is_rolled_out(daemon)


def test_what_is_paused_or_is_rolled_by_hand_is_left_alone():
    assert can_roll(deployment())
    assert can_roll(deployment(strategy={"type": "RollingUpdate"}))
    assert not can_roll(deployment(paused=True))
    assert not can_roll(deployment(strategy={"type": "Recreate"}))
    assert not can_roll(deployment(updateStrategy={"type": "OnDelete"}))


def budget(selector, allowed, observed=1):
    return {
        "metadata": {"generation": 1},
        "spec": {"selector": selector},
        "status": {"observedGeneration": observed, "disruptionsAllowed": allowed},
    }


def test_budgets_that_select_the_pods_must_have_room():
    pods, web = [seen(pod())], {"matchLabels": {"app": "web"}}
    assert is_allowed(pods, [])
    assert is_allowed(pods, [budget(web, 1), budget({"matchLabels": {"app": "db"}}, 0)])
    assert not is_allowed(pods, [budget(web, 1), budget(web, 0)])
    assert not is_allowed(pods, [budget(web, 1, observed=0)])
    assert not is_allowed(pods, [budget({}, 0)])
    assert is_allowed(pods, [budget(None, 0)])
