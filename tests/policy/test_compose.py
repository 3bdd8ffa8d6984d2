"""The laws of composition, over random policies."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.compose import Budget, ExcessReason, Precision, compose
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.decision_list import Dialect
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User
from audit_operator.policy.render import render
from tests.examples import examples
from tests.policy.law import asked, outcome_of
from tests.policy.strategies import NAMESPACES, contributions, requests

KNOWN = frozenset(NAMESPACES)
EVERYWHERE = Reach(KNOWN, unseen_namespaces=True, cluster=True, non_resource=True)
some_contributions = st.lists(contributions(), min_size=1, max_size=4)
some_requests = st.lists(requests(), min_size=10, max_size=30)


def assert_never_less_and_exact_without_excess(composition, each, wanted):
    for request in wanted:
        recorded, exact = outcome_of(composition.policy, request), asked(each, request, KNOWN)
        assert recorded.is_at_least(exact), (request, composition.policy)
        if not composition.excess:
            assert recorded == exact, (request, composition.policy)


@settings(max_examples=examples(150))
@given(some_contributions, some_requests)
def test_never_records_less_than_asked_and_exactly_that_where_no_excess_is_reported(each, wanted):
    composition = compose(each, namespaces=NAMESPACES)
    assert_never_less_and_exact_without_excess(composition, each, wanted)


@settings(max_examples=examples(60))
@given(some_contributions, some_requests)
def test_without_user_groups_every_composition_is_exact(each, wanted):
    each = [without_user_groups(contribution) for contribution in each]
    composition = compose(each, namespaces=NAMESPACES)
    assert not composition.excess
    for request in wanted:
        assert outcome_of(composition.policy, request) == asked(each, request, KNOWN)


def without_user_groups(contribution: Contribution) -> Contribution:
    def stripped(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(replace(rule, user_groups=()) for rule in rules)

    policy = contribution.policy and replace(contribution.policy, rules=stripped(contribution.policy.rules))
    return replace(contribution, policy=policy, limits=stripped(contribution.limits))


@settings(max_examples=examples(60))
@given(some_contributions, some_requests)
def test_an_envelope_records_at_least_what_any_namespace_asks_for_and_lists_no_namespaces(each, wanted):
    policy = compose(each, namespaces=NAMESPACES, precision=Precision.ENVELOPE).policy
    assert not any(rule.namespaces for rule in policy.rules)
    for request in wanted:
        assert outcome_of(policy, request).is_at_least(asked(each, request, KNOWN))


OLDER = Dialect(group_wildcard=False, known_groups=frozenset({"", "apps"}))


@settings(max_examples=examples(60))
@given(some_contributions, some_requests)
def test_older_servers_never_get_a_group_wildcard_and_never_record_less(each, wanted):
    composition = compose(each, namespaces=NAMESPACES, dialect=OLDER)
    assert not any(entry.group == "*" for rule in composition.policy.rules for entry in rule.resources)
    assert_never_less_and_exact_without_excess(composition, each, wanted)


@settings(max_examples=examples(60))
@given(some_contributions, some_requests)
def test_for_want_of_a_group_wildcard_only_groups_that_are_not_known_are_recorded_higher(each, wanted):
    each = [without_user_groups(contribution) for contribution in each]
    composition = compose(each, namespaces=NAMESPACES, dialect=OLDER)
    assert {excess.reason for excess in composition.excess} <= {ExcessReason.GROUP_WILDCARD}
    for request in wanted:
        if not request.resource_request or request.api_group in OLDER.known_groups:
            assert outcome_of(composition.policy, request) == asked(each, request, KNOWN), request


@settings(max_examples=examples(60))
@given(some_contributions, st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_change_a_byte(each, shuffler):
    expected = render(compose(each, namespaces=NAMESPACES).policy)
    shuffled = [*each, shuffler.choice(each)]
    shuffler.shuffle(shuffled)
    assert render(compose(shuffled, namespaces=reversed(NAMESPACES)).policy) == expected


@settings(max_examples=examples(60))
@given(some_contributions, contributions().filter(lambda each: not each.limits), some_requests)
def test_a_policy_without_limits_only_ever_adds(each, another, wanted):
    before = compose(each, namespaces=NAMESPACES)
    after = compose([*each, another], namespaces=NAMESPACES)
    for request in wanted:
        exact = asked(each, request, KNOWN)
        assert outcome_of(after.policy, request).is_at_least(exact)
        if not before.excess:
            assert outcome_of(after.policy, request).is_at_least(outcome_of(before.policy, request))


@settings(max_examples=examples(40))
@given(some_contributions, contributions())
def test_removing_an_object_equals_never_having_added_it(each, another):
    before = render(compose(each, namespaces=NAMESPACES).policy)
    compose([*each, another], namespaces=NAMESPACES)  # what is remembered of this must leave no trace
    assert render(compose(each, namespaces=NAMESPACES).policy) == before


@settings(max_examples=examples(40))
@given(some_contributions, some_requests)
def test_a_product_too_large_records_more_and_says_so(each, wanted):
    composition = compose(each, namespaces=NAMESPACES, budget=Budget(cells=3))
    for request in wanted:
        assert outcome_of(composition.policy, request).is_at_least(asked(each, request, KNOWN))


@settings(max_examples=examples(40))
@given(some_contributions, some_requests)
def test_a_large_group_may_go_last_only_if_unseen_namespaces_lose_nothing(each, wanted):
    composition = compose(each, namespaces=NAMESPACES, budget=Budget(listed=1))
    for request in wanted:
        assert outcome_of(composition.policy, request).is_at_least(asked(each, request, KNOWN))


def test_a_namespaced_policy_never_lowers_the_baseline():
    baseline = Contribution(EVERYWHERE, Policy((Rule(Level.METADATA),)))
    hiding = Contribution(Reach(frozenset({"payments"})), Policy((Rule(Level.NONE, users=("mallory",)),)))
    assert compose([baseline, hiding], namespaces=KNOWN).policy == Policy((Rule(Level.METADATA),))


def test_a_limit_caps_every_policy():
    loud = Contribution(EVERYWHERE, Policy((Rule(Level.REQUEST_RESPONSE),)))
    secrets = (GroupResources("", ("secrets",)),)
    limit = Contribution(EVERYWHERE, limits=(Rule(Level.METADATA, resources=secrets),))
    assert compose([loud, limit], namespaces=KNOWN).policy == Policy(
        (Rule(Level.METADATA, resources=secrets), Rule(Level.REQUEST_RESPONSE))
    )


def test_a_stage_is_omitted_only_if_every_policy_that_records_the_request_omits_it():
    received = frozenset({Stage.REQUEST_RECEIVED})
    quiet = Contribution(EVERYWHERE, Policy((Rule(Level.METADATA),), received | {Stage.RESPONSE_STARTED}))
    other = Contribution(EVERYWHERE, Policy((Rule(Level.METADATA),), received))
    silent = Contribution(EVERYWHERE, Policy((Rule(Level.NONE),)))
    assert compose([quiet, other, silent], namespaces=KNOWN).policy == Policy((Rule(Level.METADATA),), received)


def test_an_order_of_rules_is_found_that_makes_overlapping_user_groups_exact():
    dev = Contribution(EVERYWHERE, Policy((Rule(Level.METADATA, user_groups=("dev",)),)))
    ops = Contribution(EVERYWHERE, Policy((Rule(Level.REQUEST, user_groups=("ops",)),)))
    composition = compose([dev, ops], namespaces=KNOWN)
    assert not composition.excess
    assert composition.policy.rules == (
        Rule(Level.REQUEST, user_groups=("ops",)),
        Rule(Level.METADATA, user_groups=("dev",)),
    )


def test_user_groups_that_no_order_can_tell_apart_are_recorded_at_the_higher_level_and_reported():
    one = Policy((Rule(Level.NONE, user_groups=("dev",)), Rule(Level.METADATA)))
    other = Policy((Rule(Level.NONE, user_groups=("ops",)), Rule(Level.REQUEST)))
    composition = compose([Contribution(EVERYWHERE, one), Contribution(EVERYWHERE, other)], namespaces=KNOWN)
    assert [each.reason for each in composition.excess] == [ExcessReason.INEXPRESSIBLE] * len(composition.excess)
    both = Request(User("u", ("dev", "ops")), "get", resource_request=True, resource="pods", namespace="web")
    assert evaluate(composition.policy, both).level > Level.NONE


def test_rules_follow_the_distinct_policies_and_not_the_namespaces():
    names = [f"team-{number}" for number in range(2000)]
    baseline = Contribution(replace(EVERYWHERE, namespaces=frozenset(names)), Policy((Rule(Level.METADATA),)))
    pods = Policy((Rule(Level.REQUEST, resources=(GroupResources("", ("pods",)),)),))
    own = [Contribution(Reach(frozenset({name})), pods) for name in names[:1000]]
    assert len(compose([baseline, *own], namespaces=names).policy.rules) == 2


def test_no_contribution_at_all_gives_a_policy_that_the_api_server_accepts():
    assert compose([]).policy == Policy((Rule(Level.NONE),))


def test_bytes_do_not_depend_on_the_hash_seed():
    program = (
        "from tests.policy.test_compose import *;"
        "from tests.policy.fixed import CONTRIBUTIONS;"
        "print(render(compose(CONTRIBUTIONS, namespaces=NAMESPACES).policy))"
    )
    outputs = {
        subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(outputs) == 1
    assert outputs != {""}
