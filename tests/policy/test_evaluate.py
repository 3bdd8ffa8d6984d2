"""One case for every sentence of the evaluation rules, and the fast evaluator against the plain one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.audit import Level, Stage
from audit_operator.policy import compiled_evaluator
from audit_operator.policy.compiled_evaluator import compile_evaluator
from audit_operator.policy.evaluate import (
    entry_covers,
    entry_matches,
    evaluate,
    resource_matches,
    rule_matches,
    url_matches,
)
from audit_operator.policy.model import Decision, GroupResources, Policy, Request, Rule, User
from tests.policy.strategies import policies, requests

ALICE = User("alice", ("dev", "ops"))
GET_POD = Request(ALICE, "get", resource_request=True, namespace="shop", resource="pods", name="web", api_version="v1")
EXEC = Request(
    ALICE, "create", resource_request=True, namespace="shop", resource="pods", subresource="exec", name="web"
)
GET_DEPLOYMENT = Request(
    ALICE, "get", resource_request=True, api_group="apps", namespace="shop", resource="deployments", name="web"
)
LIST_NODES = Request(ALICE, "list", resource_request=True, resource="nodes")
HEALTHZ = Request(ALICE, "get", resource_request=False, path="/healthz")
NOBODY = Request(None, "get", resource_request=True, namespace="shop", resource="pods", name="web")


def rule(**fields: object) -> Rule:
    return Rule(Level.METADATA, **fields)


def resources(*spellings: str, group: str = "", names: tuple[str, ...] = ()) -> Rule:
    return rule(resources=(GroupResources(group, spellings, names),))


def test_the_first_rule_that_matches_decides_though_a_later_one_records_more() -> None:
    policy = Policy((Rule(Level.NONE, verbs=("get",)), Rule(Level.REQUEST_RESPONSE)))
    assert evaluate(policy, GET_POD) == Decision(Level.NONE, frozenset(), omit_managed_fields=False, rule=0)
    assert evaluate(policy, EXEC).rule == 1


def test_without_a_match_nothing_is_recorded_and_the_policys_own_settings_hold() -> None:
    policy = Policy((Rule(Level.METADATA, verbs=("x",)),), frozenset({Stage.PANIC}), omit_managed_fields=True)
    assert evaluate(policy, GET_POD) == Decision(Level.NONE, frozenset({Stage.PANIC}), True, None)


def test_stages_are_the_union_and_managed_fields_the_rules_if_it_says_so() -> None:
    own = Rule(Level.METADATA, omit_stages=frozenset({Stage.PANIC}), omit_managed_fields=False)
    policy = Policy((own,), frozenset({Stage.REQUEST_RECEIVED}), omit_managed_fields=True)
    decision = evaluate(policy, GET_POD)
    assert decision.omit_stages == {Stage.PANIC, Stage.REQUEST_RECEIVED}
    assert not decision.omit_managed_fields


@pytest.mark.parametrize(
    ("matching", "request_", "expected"),
    [
        (rule(), GET_POD, True),
        (rule(), HEALTHZ, True),
        (rule(), NOBODY, True),
        # users and groups
        (rule(users=("bob", "alice")), GET_POD, True),
        (rule(users=("Alice",)), GET_POD, False),
        (rule(users=("*",)), GET_POD, False),
        (rule(users=("alice",)), NOBODY, False),
        (rule(user_groups=("x", "ops")), GET_POD, True),
        (rule(user_groups=("x",)), GET_POD, False),
        (rule(user_groups=("system:unauthenticated",)), NOBODY, False),
        (rule(users=("alice",), user_groups=("x",)), GET_POD, False),
        # verbs
        (rule(verbs=("list", "get")), GET_POD, True),
        (rule(verbs=("GET",)), GET_POD, False),
        (rule(verbs=("*",)), GET_POD, False),
        # namespaces
        (rule(namespaces=("shop",)), GET_POD, True),
        (rule(namespaces=("sh*", "*")), GET_POD, False),
        (rule(namespaces=("",)), LIST_NODES, True),
        (rule(namespaces=("",)), GET_POD, False),
        (rule(namespaces=("",)), HEALTHZ, False),
        # resources
        (resources("pods"), GET_POD, True),
        (resources("pods"), EXEC, False),
        (resources("pods/exec"), EXEC, True),
        (resources("pods/exec"), GET_POD, False),
        (resources("*"), EXEC, True),
        (resources("*/exec"), EXEC, True),
        (resources("*/exec"), GET_POD, False),
        (resources("pods/*"), EXEC, True),
        (resources("pods/*"), GET_POD, True),
        (resources("*/*"), EXEC, False),
        (resources("*/*"), GET_POD, False),
        (resources("Pods"), GET_POD, False),
        (resources("pod"), GET_POD, False),
        (resources("deployments"), GET_DEPLOYMENT, False),
        (resources("deployments", group="apps"), GET_DEPLOYMENT, True),
        (resources("deployments", group="*"), GET_DEPLOYMENT, True),
        (resources(group="*"), GET_POD, True),
        (resources(), GET_POD, True),
        (resources(), EXEC, True),
        (resources(), GET_DEPLOYMENT, False),
        (resources("pods"), HEALTHZ, False),
        (rule(resources=(GroupResources("apps"), GroupResources("", ("pods",)))), GET_POD, True),
        (rule(resources=(GroupResources("", ("pods",)),), namespaces=("other",)), GET_POD, False),
        # names
        (resources("pods", names=("x", "web")), GET_POD, True),
        (resources("pods", names=("x",)), GET_POD, False),
        (resources("pods", names=("*",)), GET_POD, False),
        (resources("nodes", names=("a",)), LIST_NODES, False),
        (resources("nodes", names=("",)), LIST_NODES, True),
        (resources(names=("x",)), GET_POD, True),
        # URLs
        (rule(non_resource_urls=("/healthz",)), HEALTHZ, True),
        (rule(non_resource_urls=("*",)), HEALTHZ, True),
        (rule(non_resource_urls=("/*",)), HEALTHZ, True),
        (rule(non_resource_urls=("/healthz/*",)), HEALTHZ, False),
        (rule(non_resource_urls=("*",)), GET_POD, False),
        # a mixture, which validation refuses
        (rule(namespaces=("shop",), non_resource_urls=("/healthz",)), HEALTHZ, False),
    ],
)
def test_a_rule_matches_if_every_field_that_it_sets_does(matching: Rule, request_: Request, *, expected: bool) -> None:
    assert rule_matches(matching, request_) == expected
    assert (compile_evaluator(Policy((matching,)))(request_).rule == 0) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*", "/x", True),
        ("/healthz*", "/healthz", True),
        ("/healthz*", "/healthzfoo", True),
        ("/healthz*", "/Healthz", False),
        ("/api*", "/apis/apps/v1", True),
        ("/api/*", "/api", False),
        ("/api/*", "/api/", True),
        ("/api", "/api/", False),
        ("/a**", "/ab", True),
        ("/a*b", "/a*b", True),
        ("/a*b", "/axb", False),
    ],
)
def test_urls_match_exactly_or_by_the_text_before_the_last_star(pattern: str, path: str, *, matches: bool) -> None:
    assert url_matches(pattern, path) == matches


def test_a_spelling_with_two_slashes_takes_in_what_lies_below_its_first_part() -> None:
    assert resource_matches("*/a/b", "pods", "a/b")
    assert not resource_matches("*/", "pods", "")
    assert resource_matches("/*", "", "")


def test_names_play_no_part_for_an_entry_without_resources() -> None:
    entry = GroupResources("", (), ("x",))
    assert entry_matches(entry, GET_POD)
    assert entry_covers(entry, GET_POD)


@given(policies(), st.lists(requests(), max_size=20))
def test_the_compiled_evaluator_gives_the_same_decisions(policy: Policy, asked: list[Request]) -> None:
    decide = compile_evaluator(policy)
    for request in [*asked, *asked]:
        assert decide(request) == evaluate(policy, request)


def test_the_compiled_evaluator_forgets_before_it_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_evaluator, "_MOST_REMEMBERED", 3)
    policy = Policy((Rule(Level.NONE, non_resource_urls=("/a*",)), Rule(Level.METADATA)))
    decide = compile_evaluator(policy)
    for path in ["/a", "/b", "/ab", "/c", "/a", "/d", "/b"]:
        request = Request(None, "get", resource_request=False, path=path)
        assert decide(request) == evaluate(policy, request)
