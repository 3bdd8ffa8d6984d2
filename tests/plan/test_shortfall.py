"""Where a policy that is not ours records less than was asked for: never missed, and said at the right place."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import Severity
from audit_operator.plan.shortfall import shortfalls
from audit_operator.policy.contribution import Reach
from audit_operator.policy.decision_list import NOTHING
from audit_operator.policy.evaluate import rule_matches
from audit_operator.policy.model import GroupResources, Policy, Rule
from tests.examples import examples
from tests.policy.law import outcome_of
from tests.policy.strategies import NAMESPACES, policies, requests, rules

KNOWN = frozenset(NAMESPACES)
HERE = Reach(frozenset({"payments"}))
EVERYWHERE = Reach(KNOWN, unseen_namespaces=True, cluster=True, non_resource=True)
SECRETS = (GroupResources("", ("secrets",)),)

reaches = st.builds(Reach, st.frozensets(st.sampled_from(NAMESPACES)), st.booleans(), st.booleans(), st.booleans())
limit_lists = st.lists(st.lists(rules(limit=True), min_size=1, max_size=2).map(tuple), max_size=2).map(tuple)


def policy(*rules_: Rule, **more) -> Policy:
    return Policy(rules_, **more)


def messages(asked: Policy, theirs: Policy, reach: Reach = HERE, limits=()) -> dict[str, str]:
    return {each.path: each.message for each in shortfalls(asked, len(asked.rules), reach, limits, theirs)}


@settings(max_examples=examples(100))
@given(policies(), policies(), reaches, limit_lists, requests())
def test_no_request_that_is_recorded_below_what_was_asked_goes_unsaid(asked, theirs, reach, limits, request_):
    if not reach.includes(request_, KNOWN):
        return
    found = shortfalls(asked, len(asked.rules), reach, limits, theirs)
    wanted, actual = outcome_of(asked, request_), outcome_of(theirs, request_)
    caps = (
        next((each.level for each in one if rule_matches(each, request_)), Level.REQUEST_RESPONSE) for one in limits
    )
    if actual.level < min([wanted.level, *caps]):
        assert any(each.severity is Severity.WARNING for each in found)
    if NOTHING not in (wanted, actual) and actual.omit_stages - wanted.omit_stages:
        assert any("stage" in each.message for each in found)


@given(policies(), reaches)
def test_whoever_records_what_was_asked_for_falls_short_of_nothing(asked, reach):
    without_stages = Policy(asked.rules, omit_managed_fields=asked.omit_managed_fields)
    found = shortfalls(without_stages, len(asked.rules), reach, (), policy(Rule(Level.REQUEST_RESPONSE)))
    assert found == ()


def test_the_rule_that_falls_short_and_the_rule_that_decides_are_named():
    asked = policy(Rule(Level.NONE, verbs=("watch",)), Rule(Level.REQUEST, resources=SECRETS), Rule(Level.METADATA))
    theirs = policy(Rule(Level.METADATA, resources=SECRETS), Rule(Level.REQUEST))
    assert messages(asked, theirs) == {
        "spec.rules[1]": "asks for Request, and those API servers record some of it at Metadata "
        "(rule: resources [secrets in core])"
    }
    assert messages(asked, policy(Rule(Level.REQUEST, verbs=("get",))))["spec.rules[2]"].endswith("(no rule matches)")


def test_what_others_ask_for_elsewhere_does_not_count():
    theirs = policy(
        Rule(Level.NONE, namespaces=("web",)), Rule(Level.NONE, non_resource_urls=("*",)), Rule(Level.REQUEST)
    )
    assert messages(policy(Rule(Level.REQUEST)), theirs) == {}
    assert messages(policy(Rule(Level.REQUEST)), theirs, EVERYWHERE).keys() == {"spec.rules[0]"}


def test_nobody_falls_short_by_obeying_a_limit():
    asked, theirs = policy(Rule(Level.REQUEST, resources=SECRETS)), policy(Rule(Level.METADATA))
    assert messages(asked, theirs, limits=((Rule(Level.METADATA, resources=SECRETS),),)) == {}
    partly = (Rule(Level.METADATA, resources=SECRETS, verbs=("get",)),)
    assert messages(asked, theirs, limits=(partly,)).keys() == {"spec.rules[0]"}


def test_stages_that_are_left_out_are_said_once():
    theirs = policy(Rule(Level.REQUEST_RESPONSE), omit_stages=frozenset({Stage.REQUEST_RECEIVED}))
    asked = policy(Rule(Level.REQUEST, verbs=("get",)), Rule(Level.METADATA))
    assert messages(asked, theirs) == {
        "spec.omitStages": "those API servers leave out of some records: the stage RequestReceived"
    }


def test_a_preset_is_named_as_such_and_many_rules_are_counted():
    asked = policy(*(Rule(Level.REQUEST, verbs=(f"verb{number}",)) for number in range(30)))
    found = shortfalls(asked, 1, HERE, (), policy(Rule(Level.NONE)))
    assert [each.path for each in found[:2]] == ["spec.rules[0]", "spec.preset"]
    assert found[-1].message == "those API servers record less than 20 more rules ask for"
