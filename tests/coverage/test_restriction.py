from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.audit import Level
from audit_operator.coverage.callers import SAMPLE_NAMESPACE
from audit_operator.coverage.restriction import Restrictions, restrict
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.model import GroupResources, Policy, Rule, User
from tests.coverage.policies import policies, requests_in


def renamed(request, namespace):
    """The request as a restriction sees it: the namespace's own names have become placeholders."""
    user = request.user
    if user is not None:
        name = user.name.replace(f"system:serviceaccount:{namespace}:", f"system:serviceaccount:{SAMPLE_NAMESPACE}:")
        own = f"system:serviceaccounts:{namespace}"
        sample = f"system:serviceaccounts:{SAMPLE_NAMESPACE}"
        user = User(name, tuple(sample if group == own else group for group in user.groups))
    own_object = SAMPLE_NAMESPACE if request.name == namespace else request.name
    return replace(request, user=user, name=own_object, namespace=SAMPLE_NAMESPACE if request.namespace else "")


@given(policies, st.sampled_from(["payments", "web"]), st.data())
@settings(deadline=None)
def test_a_restriction_decides_like_the_policy_in_its_namespace_and_across_all(policy, namespace, data):
    request = data.draw(requests_in(namespace) | requests_in(""))
    restriction = restrict(policy, namespace)
    whole, part = evaluate(policy, request), evaluate(restriction.policy, renamed(request, namespace))
    assert part.level == whole.level
    assert part.omit_stages == whole.omit_stages
    assert (None if part.rule is None else restriction.indexes[part.rule]) == whole.rule


def test_namespaces_that_are_treated_alike_have_equal_restrictions():
    policy = Policy(
        (
            Rule(Level.NONE, namespaces=("other",)),
            Rule(Level.REQUEST, namespaces=("a", "b")),
            Rule(Level.NONE, users=("system:serviceaccount:c:app",)),
            Rule(Level.METADATA),
        )
    )
    restrictions = Restrictions(policy)
    assert restrictions.to("a") == restrictions.to("b")
    assert restrictions.to("a") != restrictions.to("other")
    assert restrictions.to("a").indexes == (1, 2, 3)


def test_accounts_of_the_namespace_itself_are_its_own_whatever_it_is_called():
    def policy(namespace):
        return Policy(
            (
                Rule(Level.NONE, users=(f"system:serviceaccount:{namespace}:app",)),
                Rule(Level.NONE, user_groups=(f"system:serviceaccounts:{namespace}",)),
            )
        )

    assert restrict(policy("a"), "a") == restrict(policy("b"), "b")
    assert restrict(policy("a"), "a") != restrict(policy("a"), "b")


def test_rules_about_paths_concern_no_namespace():
    policy = Policy((Rule(Level.NONE, non_resource_urls=("/healthz*",)), Rule(Level.METADATA)))
    assert restrict(policy, "a").indexes == (1,)


def test_lists_across_all_namespaces_concern_every_namespace():
    policy = Policy((Rule(Level.NONE, namespaces=("", "b"), resources=(GroupResources("", ("secrets",)),)),))
    assert restrict(policy, "a").policy.rules[0].namespaces == ("",)
    assert restrict(policy, "b").policy.rules[0].namespaces == (SAMPLE_NAMESPACE, "")


def test_a_namespace_that_only_rules_of_others_name_is_treated_like_others():
    named = GroupResources("", ("configmaps",), ("web", "other"))
    policy = Policy((Rule(Level.NONE, resources=(named,), namespaces=("other",)), Rule(Level.METADATA)))
    restrictions = Restrictions(policy)
    assert restrictions.to("web") is restrictions.to("payments")
    assert not restrictions.to("web").by_name
    assert restrictions.to("other").by_name
