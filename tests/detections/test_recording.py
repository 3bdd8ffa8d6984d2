from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level
from audit_operator.detections.recording import Recording
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.evaluate import evaluate
from tests.examples import examples
from tests.policy.law import asked
from tests.policy.strategies import policies, requests, rules

EVERYWHERE = Reach(cluster=True, non_resource=True, unseen_namespaces=True)


def outcome(decision):
    return (Level.NONE, frozenset()) if decision.level is Level.NONE else (decision.level, decision.omit_stages)


@given(
    policy=policies(),
    added=policies(),
    limits=st.lists(st.lists(rules(limit=True), max_size=2).map(tuple), max_size=2).map(tuple),
    request=requests(),
)
@settings(max_examples=examples(300))
def test_what_is_added_is_composed_as_a_further_policy_would_be(policy, added, limits, request):
    recorded = Recording(policy, added=added, limits=limits).evaluator()(request)
    capped = [Contribution(EVERYWHERE, None, each) for each in limits]
    law = asked([*capped, Contribution(EVERYWHERE, added)], request, frozenset())
    unlimited = asked([Contribution(EVERYWHERE, policy)], request, frozenset())
    assert outcome(recorded) == outcome(unlimited.join(law))


@given(policy=policies(), given_policy=policies(), request=requests())
@settings(max_examples=examples(200))
def test_of_what_others_record_no_more_is_left_than_is_asked_for(policy, given_policy, request):
    left = Recording(policy, given=given_policy).evaluator()(request)
    one, other = evaluate(policy, request), evaluate(given_policy, request)
    assert left.level is min(one.level, other.level)
    assert left.omit_stages == one.omit_stages | other.omit_stages
