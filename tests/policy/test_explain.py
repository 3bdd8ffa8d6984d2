"""Why a policy decides as it does, in data and in words."""

from __future__ import annotations

from hypothesis import given

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.evaluate import evaluate, rule_matches
from audit_operator.policy.explain import Mismatch, explain, mismatches
from audit_operator.policy.explanation_text import describe, describe_request, describe_rule
from audit_operator.policy.model import GroupResources, Policy, Request, Rule, User
from tests.policy.strategies import policies, requests, rules

ALICE = User("alice", ("dev",))
EXEC = Request(ALICE, "get", resource_request=True, namespace="shop", resource="pods", subresource="exec", name="web")
HEALTHZ = Request(ALICE, "get", resource_request=False, path="/healthz")


def pods(*spellings: str, group: str = "", names: tuple[str, ...] = ()) -> tuple[GroupResources, ...]:
    return (GroupResources(group, spellings, names),)


def near(rule: Rule, request: Request = EXEC) -> Mismatch | None:
    """The field on which a rule failed that stands before a catch-all."""
    explanation = explain(Policy((rule, Rule(Level.METADATA))), request)
    assert explanation.decision.rule == 1
    return explanation.near_misses[0].mismatch if explanation.near_misses else None


def test_the_rule_that_decided_is_named() -> None:
    policy = Policy((Rule(Level.NONE, verbs=("x",)), Rule(Level.REQUEST, verbs=("get",)), Rule(Level.METADATA)))
    explanation = explain(policy, EXEC)
    assert explanation.decision == evaluate(policy, EXEC)
    assert explanation.rule is policy.rules[1]


def test_without_a_match_there_is_no_rule_but_there_are_near_ones() -> None:
    policy = Policy((Rule(Level.REQUEST, verbs=("create",), resources=pods("pods/exec")),))
    explanation = explain(policy, EXEC)
    assert explanation.rule is None
    assert [miss.index for miss in explanation.near_misses] == [0]


def test_a_verb_that_modern_clients_do_not_use() -> None:
    rule = Rule(Level.REQUEST, verbs=("create",), resources=pods("pods/exec"))
    assert near(rule) == Mismatch("verbs", "get", ("create",))


def test_a_resource_without_its_subresource() -> None:
    expected = Mismatch("resources[0].resources", "pods/exec", ("pods",), close=True)
    assert near(Rule(Level.REQUEST, resources=pods("pods"))) == expected


def test_a_resource_under_the_wrong_group() -> None:
    expected = Mismatch("resources[0].group", "", ("apps",), close=True)
    assert near(Rule(Level.REQUEST, resources=pods("pods/exec", group="apps"))) == expected


def test_a_name_that_is_not_listed() -> None:
    expected = Mismatch("resources[0].resourceNames", "web", ("db",), close=True)
    assert near(Rule(Level.REQUEST, resources=pods("pods/exec", names=("db",)))) == expected


def test_the_closest_entry_is_the_one_shown() -> None:
    entries = (*pods("nodes", group="apps"), *pods("pods"), *pods("secrets"))
    assert near(Rule(Level.NONE, resources=entries)).field == "resources[1].resources"


def test_users_groups_and_namespaces() -> None:
    target = {"resources": pods("pods/exec")}
    assert near(Rule(Level.NONE, users=("bob",), **target)) == Mismatch("users", "alice", ("bob",))
    assert near(Rule(Level.NONE, user_groups=("ops",), **target)) == Mismatch("userGroups", ("dev",), ("ops",))
    assert near(Rule(Level.NONE, namespaces=("x",), **target)) == Mismatch("namespaces", "shop", ("x",))


def test_a_failed_authentication_has_no_user_to_match() -> None:
    request = Request(None, "get", resource_request=False, path="/api")
    everyone = Rule(Level.NONE, user_groups=("system:unauthenticated",), verbs=("get",))
    assert near(everyone, request) == Mismatch("userGroups", None, ("system:unauthenticated",))


def test_a_rule_about_the_other_kind_of_request() -> None:
    about_urls = Rule(Level.NONE, verbs=("get",), non_resource_urls=("/api*",))
    assert near(about_urls) == Mismatch("nonResourceURLs", None, ("/api*",))
    about_resources = Rule(Level.NONE, verbs=("get",), resources=pods("pods"), namespaces=("a",))
    assert near(about_resources, HEALTHZ) == Mismatch("resources", None, ("pods in core",))
    about_namespaces = Rule(Level.NONE, verbs=("get",), namespaces=("a",))
    assert near(about_namespaces, HEALTHZ) == Mismatch("namespaces", None, ("a",))


def test_a_url_that_a_pattern_misses() -> None:
    rule = Rule(Level.NONE, verbs=("get",), non_resource_urls=("/healthz/*",))
    assert near(rule, HEALTHZ) == Mismatch("nonResourceURLs", "/healthz", ("/healthz/*",))


def test_a_rule_that_only_asks_for_something_else_is_not_near() -> None:
    assert near(Rule(Level.NONE, verbs=("create",))) is None
    assert near(Rule(Level.NONE, resources=pods("secrets"))) is None
    assert near(Rule(Level.NONE, non_resource_urls=("/x",))) is None


def test_a_rule_that_fails_twice_is_not_near() -> None:
    assert near(Rule(Level.NONE, verbs=("create",), users=("bob",), resources=pods("pods/exec"))) is None


def test_rules_behind_the_one_that_decided_are_not_asked() -> None:
    policy = Policy((Rule(Level.NONE), Rule(Level.REQUEST, verbs=("create",), resources=pods("pods/exec"))))
    assert explain(policy, EXEC).near_misses == ()


@given(rules(), requests())
def test_a_rule_matches_exactly_if_no_field_says_no(rule: Rule, request: Request) -> None:
    assert (mismatches(rule, request) == ()) == rule_matches(rule, request)


@given(policies(), requests())
def test_an_explanation_holds_the_decision_and_can_be_told(policy: Policy, request: Request) -> None:
    explanation = explain(policy, request)
    assert explanation.decision == evaluate(policy, request)
    assert all(miss.index < (explanation.decision.rule or len(policy.rules)) for miss in explanation.near_misses)
    assert str(explanation.decision.level) in describe(explanation)


# --- in words ---------------------------------------------------------------------------------------------------


def test_an_explanation_in_words() -> None:
    policy = Policy(
        (
            Rule(Level.NONE, users=("system:kube-proxy",), verbs=("watch",)),
            Rule(Level.REQUEST_RESPONSE, verbs=("create",), resources=pods("pods/exec")),
            Rule(Level.REQUEST, resources=pods("pods")),
            Rule(Level.METADATA, omit_managed_fields=True),
        ),
        omit_stages=frozenset({Stage.REQUEST_RECEIVED}),
    )
    assert describe(explain(policy, EXEC)).splitlines() == [
        "get pods/exec web in namespace shop by alice",
        "  level Metadata, without stage RequestReceived, without managedFields",
        "  decided by rules[3]: everything",
        "  rules[1] (level RequestResponse) nearly matched: verbs wants [create], the request has get",
        "  rules[2] (level Request) nearly matched: resources[0].resources wants [pods], the request has pods/exec",
    ]


def test_that_nothing_matched_is_said() -> None:
    text = describe(explain(Policy((Rule(Level.REQUEST, verbs=("x",)),)), HEALTHZ))
    assert text.splitlines() == ["get /healthz by alice", "  level None", "  no rule matches"]


def test_requests_in_words() -> None:
    nobody = Request(None, "list", resource_request=True, api_group="apps", resource="deployments")
    assert describe_request(nobody) == "list deployments.apps by nobody (failed authentication)"


def test_rules_in_words() -> None:
    rule = Rule(
        Level.NONE,
        users=tuple(f"u{n}" for n in range(9)),
        resources=(GroupResources(), GroupResources("apps", ("deployments", "*/scale"))),
        namespaces=("", " a"),
    )
    assert describe_rule(rule) == (
        "users [u0, u1, u2, u3, u4, u5, 3 more]; "
        "resources [* in core, deployments, */scale in apps]; "
        "namespaces ['', ' a']"
    )
