"""Equal digests mean equal levels, and nobody's digest depends on what others ask for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User
from audit_operator.shipping.enforcement.classes import classify
from audit_operator.shipping.enforcement.meaning import Meanings
from audit_operator.shipping.enforcement.table import URL_KEY, build, decide, namespace_key
from tests.examples import examples
from tests.policy.strategies import NAMESPACES, contributions, requests

some_contributions = st.lists(contributions(), min_size=1, max_size=4)
ONE = NAMESPACES[0]


def of(each, namespaces=NAMESPACES):
    return build(classify(each, namespaces))


def levels(table, request):
    return [decide(table, request, stage) for stage in Stage]


@settings(max_examples=examples(60))
@given(some_contributions, some_contributions, st.lists(requests(), min_size=10, max_size=20))
def test_where_digests_are_equal_so_is_every_level(some, others, wanted):
    one, other = of(some), of(others)
    mine, theirs = Meanings.of(one), Meanings.of(other)
    for request in wanted:
        key = namespace_key(request.namespace) if request.resource_request else URL_KEY
        if mine.levels(key) == theirs.levels(key):
            assert levels(one, request) == levels(other, request)


@settings(max_examples=examples(60))
@given(some_contributions, some_contributions)
def test_what_others_ask_for_in_their_namespaces_changes_nothing(some, others):
    elsewhere = [
        Contribution(Reach(frozenset({"elsewhere"})), each.policy) for each in others if not each.reach.non_resource
    ]
    names = (*NAMESPACES, "elsewhere")
    mine, together = Meanings.of(of(some, names)), Meanings.of(of([*elsewhere, *some], names))
    for name in NAMESPACES:
        assert mine.levels(namespace_key(name)) == together.levels(namespace_key(name))


def test_another_level_for_a_group_is_another_digest():
    def policy(level):
        secrets = Rule(level, user_groups=("devs",), resources=(GroupResources("", ("secrets",)),))
        return [Contribution(Reach(frozenset({ONE})), Policy((secrets, Rule(Level.METADATA))))]

    key = namespace_key(ONE)
    digests = {Meanings.of(of(policy(level))).levels(key) for level in (Level.NONE, Level.REQUEST)}
    assert len(digests) == 2
    assert Meanings.of(of(policy(Level.REQUEST))).levels(key) in digests
    request = Request(User("a", ("devs",)), "get", resource_request=True, namespace=ONE, resource="secrets")
    assert decide(of(policy(Level.NONE)), request, Stage.RESPONSE_COMPLETE) == {"level": "None"}


def test_a_namespace_that_nobody_knows_has_none():
    assert Meanings.of(of([])).levels(namespace_key("unheard-of")) == ""
