from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.plan.restarts import (
    at_once,
    can_roll,
    goal,
    held_back,
    is_rolled_out,
    was_restarted,
    wishes,
)
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

    def restarted_for(value):
        annotations = {"restart.audit-operator.dev/pci": value}
        return {"spec": {"template": {"metadata": {"annotations": annotations}}}}

    assert was_restarted(restarted_for(wish.goal), wish)
    assert not was_restarted(restarted_for("other"), wish)
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


WEB = {"matchLabels": {"app": "web"}}


def budget(selector, allowed, observed=1):
    return {
        "metadata": {"generation": 1, "name": "ours"},
        "spec": {"selector": selector},
        "status": {"observedGeneration": observed, "disruptionsAllowed": allowed},
    }


def workload(kind="Deployment", replicas=4, labels=None, **rolling):
    strategy = {"strategy" if kind == "Deployment" else "updateStrategy": {"rollingUpdate": rolling}}
    template = {"metadata": {"labels": labels or {"app": "web"}}}
    count = {} if kind == "DaemonSet" else {"replicas": replicas}
    status = {"desiredNumberScheduled": replicas}
    return {
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {**count, **strategy, "template": template},
        "status": status,
    }


def test_budgets_that_select_the_pods_must_have_room():
    pods = [seen(pod())]

    def is_allowed(*budgets):
        return held_back(workload(maxUnavailable=1), pods, budgets) is None

    assert is_allowed()
    assert is_allowed(budget(WEB, 1), budget({"matchLabels": {"app": "db"}}, 0))
    assert not is_allowed(budget(WEB, 1), budget(WEB, 0))
    assert not is_allowed(budget(WEB, 1, observed=0))
    assert not is_allowed(budget({}, 0))
    assert is_allowed(budget(None, 0))


@pytest.mark.parametrize(
    ("of", "taken"),
    [
        (workload(replicas=8), 2),
        (workload(replicas=3), 0),
        (workload(replicas=10, maxUnavailable="50%", maxSurge=0), 5),
        (workload(replicas=3, maxUnavailable="25%", maxSurge=0), 1),
        (workload(replicas=3, maxUnavailable="25%", maxSurge="1%"), 0),
        (workload(replicas=3, maxUnavailable=7), 3),
        (workload("StatefulSet", 5), 1),
        (workload("StatefulSet", 5, maxUnavailable="50%"), 2),
        (workload("StatefulSet", 5, maxUnavailable="10%"), 1),
        (workload("DaemonSet", 5), 1),
        (workload("DaemonSet", 5, maxUnavailable="50%"), 3),
        (workload("DaemonSet", 5, maxUnavailable=0, maxSurge=1), 0),
    ],
)
def test_what_a_strategy_may_take_at_once_is_resolved_as_controllers_do(of, taken):
    assert at_once(of) == taken


def test_a_restart_that_takes_more_at_once_than_a_budget_lets_go_waits_and_says_what_would_help():
    why = held_back(workload(replicas=10, maxUnavailable="50%", maxSurge=0), [seen(pod())], [budget(WEB, 1)])
    assert why is not None
    assert "Deployment web" in why.message
    assert "5 of its pods" in why.message
    assert "PodDisruptionBudget ours" in why.message
    assert "spec.strategy.rollingUpdate.maxUnavailable" in why.mend
    assert held_back(workload(replicas=8), [seen(pod())], [budget(WEB, 1)]) is not None
    paused = workload()
    paused["spec"]["paused"] = True
    by_hand = held_back(paused, [], [])
    assert by_hand is not None
    assert "paused" in by_hand.message


def test_a_surge_alone_takes_none_but_not_where_a_budget_lets_none_go():
    surging = workload(maxUnavailable=0, maxSurge=1)
    assert held_back(surging, [seen(pod())], [budget(WEB, 1)]) is None
    assert held_back(surging, [seen(pod())], [budget(WEB, 0)]) is not None


def test_a_budget_counts_that_selects_pods_that_have_their_sidecar_already():
    found = held_back(workload(labels={"app": "web", "tier": "a"}), [], [budget({"matchLabels": {"tier": "a"}}, 0)])
    assert found is not None


NUMBERS = st.one_of(st.integers(0, 30), st.integers(0, 100).map("{}%".format))
KINDS = st.sampled_from(["Deployment", "StatefulSet", "DaemonSet"])


def healthy_at_least(replicas, of, number):
    """What the disruption controller wants of a budget, whose shares it rounds up."""
    count = number if isinstance(number, int) else -(-int(number[:-1]) * replicas // 100)
    return max(0, count if of == "minAvailable" else replicas - count)


ROLLS = st.builds(workload, KINDS, st.integers(1, 30), maxUnavailable=NUMBERS, maxSurge=NUMBERS)


@given(ROLLS, st.sampled_from(["minAvailable", "maxUnavailable"]), NUMBERS)
def test_whatever_is_restarted_leaves_as_many_pods_as_each_budget_wants(rolls, of, number):
    replicas = rolls["status"]["desiredNumberScheduled"]
    wanted = healthy_at_least(replicas, of, number)
    why = held_back(rolls, [seen(pod())], [budget(WEB, max(0, replicas - wanted)), budget(WEB, 30)])
    assert 0 <= at_once(rolls) <= replicas
    if why is None:
        assert replicas - at_once(rolls) >= wanted
    else:
        assert replicas - max(at_once(rolls), 1) < wanted


@given(ROLLS, st.integers(0, 30), st.integers(0, 30))
def test_more_room_holds_nothing_back(rolls, allowed, more):
    if held_back(rolls, [seen(pod())], [budget(WEB, allowed)]) is None:
        assert held_back(rolls, [seen(pod())], [budget(WEB, allowed + more)]) is None


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({"matchLabels": {"app": "web", **{f"k{number}": "v" for number in range(200)}}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": [*map(str, range(500)), "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": [*map(str, range(500))]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}] * 40}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists", "values": None}]}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"app": "no label, which updates of old budgets may keep"}}, False),
    ],
)
def test_a_budget_that_is_larger_than_our_own_kinds_may_be_selects_what_it_says(selector, selects):
    why = held_back(workload(), [], [budget(selector, 0)])
    assert (why is not None) is selects
    assert why is None or "not understood" not in why.message


NOT_UNDERSTOOD = [
    {"matchFields": []},
    {"matchLabels": {"app": 1}},
    {"matchLabels": ["app"]},
    ["app"],
    {"matchExpressions": {"key": "app"}},
    {"matchExpressions": ["app"]},
    {"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]},
    {"matchExpressions": [{"key": "app", "operator": ["In"], "values": ["1"]}]},
    {"matchExpressions": [{"key": "app", "operator": "In"}]},
    {"matchExpressions": [{"key": "app", "operator": "DoesNotExist", "values": ["1"]}]},
    {"matchExpressions": [{"key": 1, "operator": "Exists"}]},
    {"matchExpressions": [{"key": "app", "operator": "In", "values": [None]}]},
    {"matchExpressions": [{"key": "app", "operator": "Exists", "among": "pods"}]},
]


@pytest.mark.parametrize("selector", NOT_UNDERSTOOD)
def test_a_budget_that_is_not_understood_may_select_any_pod(selector):
    why = held_back(workload(), [], [budget(selector, 0)])
    assert why is not None
    assert "PodDisruptionBudget ours" in why.message
    assert "not understood" in why.message
    assert held_back(workload(), [], [budget(selector, 4)]) is None


VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.one_of(st.none(), st.text(max_size=3))))
REQUIREMENT = st.dictionaries(st.sampled_from(["key", "operator", "values", "x"]), VALUES | st.just("In"))
LABELS = st.dictionaries(st.text(max_size=3), VALUES)
SELECTORS = VALUES | st.fixed_dictionaries(
    {}, optional={"matchLabels": VALUES | LABELS, "matchExpressions": VALUES | st.lists(VALUES | REQUIREMENT)}
)


@given(SELECTORS)
def test_no_selector_of_somebody_else_is_an_error_of_the_operator(selector):
    held_back(workload(), [], [budget(selector, 0)])
