from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.coverage.callers import SAMPLE_NAMESPACE, Caller, named_callers, sample_callers
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.operations import Operation
from audit_operator.coverage.probes import probes_of
from audit_operator.coverage.recording import MAX_SITUATIONS_PER_RULE, SAMPLE_NAME, CompiledPolicy, Extent, Situation
from audit_operator.policy.evaluate import evaluate, rule_matches
from audit_operator.policy.model import GroupResources, Policy, Rule, User
from tests.coverage.policies import NAMESPACES, POLICIES, policies, rules
from tests.examples import examples

PROBES = probes_of(builtin_catalogue(), None)
SAMPLES = sample_callers(builtin_catalogue().subjects)


def situations(policy, **options):
    found, truncated = CompiledPolicy(policy, PROBES.operations).situations(
        SAMPLES, PROBES.namespaces, Extent(20_000, **{"namespaces": True, **options})
    )
    assert not truncated
    return found


def assert_recorded_as_evaluated(policy, situation):
    for outcome in CompiledPolicy(policy, PROBES.operations).record(situation).outcomes:
        for operation in PROBES.operations.members(outcome.operations):
            request = operation.request(situation.caller.user, situation.namespace, situation.name)
            decision = evaluate(policy, request)
            assert (outcome.level, outcome.rule) == (decision.level, decision.rule), request
            assert outcome.omit_stages == decision.omit_stages


@given(policies, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_all_operations_at_once_are_decided_as_the_evaluator_decides_one_by_one(policy, data):
    situation = data.draw(st.sampled_from(situations(policy)))
    assert_recorded_as_evaluated(policy, situation)


@pytest.mark.parametrize("name", POLICIES)
def test_published_policies_are_decided_as_the_evaluator_decides(name):
    for situation in situations(POLICIES[name])[::5]:
        assert_recorded_as_evaluated(POLICIES[name], situation)


@given(policies, st.sampled_from(SAMPLES), st.sampled_from([*NAMESPACES, SAMPLE_NAMESPACE]))
@settings(max_examples=examples(60), deadline=None)
def test_every_operation_has_exactly_one_outcome(policy, caller, namespace):
    outcomes = CompiledPolicy(policy, PROBES.operations).record(Situation(caller, namespace)).outcomes
    operations = PROBES.operations
    everything = operations.in_namespace if namespace else operations.without_namespace
    seen = 0
    for outcome in outcomes:
        assert not seen & outcome.operations
        seen |= outcome.operations
    assert seen == everything


@given(rules())
def test_whoever_a_rule_names_is_somebody_whom_it_matches(rule):
    if not any(entry.group in ("", "*") for entry in rule.resources) and (rule.resources or rule.non_resource_urls):
        return
    for caller in named_callers(rule):
        unrestricted = Rule(rule.level, users=rule.users, user_groups=rule.user_groups)
        assert rule_matches(unrestricted, Operation("get", "", "pods").request(caller.user, "", "a"))


@pytest.mark.parametrize(
    ("rule", "subject"),
    [
        (Rule(Level.NONE, users=("mallory",)), "human"),
        (Rule(Level.NONE, user_groups=("ops",)), "human"),
        (Rule(Level.NONE, user_groups=("system:masters",)), "human"),
        (Rule(Level.NONE, users=("system:serviceaccount:payments:web",)), "serviceaccount"),
        (Rule(Level.NONE, user_groups=("system:serviceaccounts:payments",)), "serviceaccount"),
        (Rule(Level.NONE, user_groups=("system:serviceaccounts:kube-system",)), "serviceaccount"),
        (Rule(Level.NONE, users=("system:serviceaccount:kube-system:gc",)), "component"),
        (Rule(Level.NONE, users=("system:kube-scheduler",)), "component"),
        (Rule(Level.NONE, user_groups=("system:monitoring",)), "component"),
        (Rule(Level.NONE, users=("system:node:n1",)), "node"),
        (Rule(Level.NONE, user_groups=("system:nodes",)), "node"),
        (Rule(Level.NONE, users=("system:anonymous",)), "anonymous"),
        (Rule(Level.NONE, user_groups=("system:unauthenticated",)), "anonymous"),
        (Rule(Level.NONE, users=("system:bootstrap:abc",)), "bootstrap"),
        (Rule(Level.NONE, user_groups=("system:bootstrappers",)), "bootstrap"),
    ],
)
def test_whoever_is_named_is_of_the_sort_that_the_name_says(rule, subject):
    assert [caller.subject for caller in named_callers(rule)] == [subject]


def test_users_whom_all_rules_treat_alike_are_asked_about_once():
    names = tuple(f"user{number}" for number in range(500))
    found = situations(Policy((Rule(Level.NONE, users=names), Rule(Level.METADATA))))
    assert len(found) == (len(SAMPLES) + 1) * len(PROBES.namespaces)


def test_names_of_objects_are_kept_apart_by_what_they_are_names_of():
    rule = Rule(
        Level.NONE,
        resources=(GroupResources("", ("secrets",), ("db",)), GroupResources("", ("configmaps",), ("coredns",))),
    )
    assert {situation.name for situation in situations(Policy((rule,)))} == {SAMPLE_NAME, "db", "coredns"}


def test_namespaces_that_only_rules_name_are_followed_unless_told_otherwise():
    policy = Policy((Rule(Level.NONE, namespaces=("payments", "web")), Rule(Level.NONE, namespaces=("web",))))
    assert {"payments", "web"} <= {situation.namespace for situation in situations(policy)}
    without = situations(policy, namespaces=False)
    assert {situation.namespace for situation in without} == set(PROBES.namespaces)


def test_a_namespace_object_that_a_rule_names_is_asked_about():
    policy = Policy((Rule(Level.NONE, resources=(GroupResources("", ("namespaces",), ("payments",)),)),))
    assert "payments" in {situation.namespace for situation in situations(policy)}


def test_a_policy_with_more_names_than_are_asked_about_says_so():
    # Pairs of users differ in the second rule onwards, so that none stands for another.
    named = tuple(f"user{number}" for number in range(12))
    objects = tuple(f"object{number}" for number in range(12))
    first = Rule(Level.NONE, users=named, resources=(GroupResources("", ("secrets",), objects),))
    others = [
        Rule(Level.METADATA, users=(user,), resources=(GroupResources("", ("secrets",), (name,)),))
        for user, name in zip(named, objects, strict=True)
    ]
    compiled = CompiledPolicy(Policy((first, *others)), PROBES.operations)
    found, truncated = compiled.situations(SAMPLES, PROBES.namespaces, Extent(20_000, namespaces=True))
    assert truncated
    assert len(found) < 2 * MAX_SITUATIONS_PER_RULE


def test_a_policy_with_more_situations_than_are_enough_says_so():
    rules = tuple(Rule(Level.METADATA, users=(f"user{number}",)) for number in range(100))
    compiled = CompiledPolicy(Policy(rules), PROBES.operations)
    found, truncated = compiled.situations(SAMPLES, PROBES.namespaces, Extent(200))
    assert truncated
    assert 200 < len(found) < 200 + MAX_SITUATIONS_PER_RULE


def test_stages_of_policy_and_rule_are_omitted_together():
    policy = Policy(
        (Rule(Level.METADATA, omit_stages=frozenset({Stage.RESPONSE_STARTED})),), frozenset({Stage.RESPONSE_COMPLETE})
    )
    caller = Caller("human", User("alice"), "alice")
    recording = CompiledPolicy(policy, PROBES.operations).record(Situation(caller, ""))
    for stage in (Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE):
        assert recording.omitting(frozenset({stage})) == PROBES.operations.without_namespace
    assert not recording.omitting(frozenset({Stage.REQUEST_RECEIVED}))


def test_situations_have_the_same_order_whatever_the_hash_seed():
    script = (
        "from tests.coverage.policies import POLICIES\n"
        "from audit_operator.coverage.loading import builtin_catalogue\n"
        "from audit_operator.coverage.report import to_json\n"
        "from audit_operator.coverage.verdicts import assess\n"
        "for policy in POLICIES.values(): print(to_json(assess(policy, builtin_catalogue())))\n"
    )
    root = Path(__file__).parents[2]
    outputs = {
        subprocess.run(  # noqa: S603 - this interpreter on a fixed script
            [sys.executable, "-c", script],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{root / 'operator'}:{root}"},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
