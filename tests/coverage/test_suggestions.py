from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings

from audit_operator.api.audit import Level, Stage
from audit_operator.api.policy_status import Verdict
from audit_operator.coverage.loading import builtin_catalogue, load_catalogue
from audit_operator.coverage.merging import merge
from audit_operator.coverage.restriction import restrict
from audit_operator.coverage.suggestions import suggest
from audit_operator.coverage.survey import survey_cluster, survey_namespace
from audit_operator.coverage.verdicts import assess
from audit_operator.policy.model import GroupResources, Policy, Rule
from tests.coverage.policies import METADATA, POLICIES, policies, read_policy
from tests.examples import examples

CATALOGUE = builtin_catalogue()
NAMESPACES = (None, "payments", "kube-system")
BADNESS = [Verdict.COVERED, Verdict.PARTIAL, Verdict.GAP, Verdict.LEAK]


def survey(policy, namespace):
    if namespace is None:
        return survey_cluster(policy, CATALOGUE, follow_namespaces=True)
    return survey_namespace(restrict(policy, namespace).policy, CATALOGUE, namespace)


def leaking_operations(surveyed):
    """Operations that leak for somebody: the only ones of which less may be recorded than before."""
    leaking = 0
    for _, recording in surveyed.recordings:
        for action in surveyed.probes.actions:
            leaking |= action.leaking(recording)
    return leaking


def assert_closes_and_opens_nothing(policy, namespace):
    before = {each.action.id: each for each in assess(policy, CATALOGUE, namespace=namespace).actions}
    suggestions = suggest(policy, CATALOGUE, namespace=namespace)
    assert suggestions.keys() == {action for action, each in before.items() if each.verdict is not Verdict.COVERED}
    was = survey(policy, namespace)
    recorded = dict(was.recordings)
    leaking = leaking_operations(was)
    for action, suggestion in suggestions.items():
        mended = suggestion.apply(policy, namespace=namespace)
        after = {each.action.id: each for each in assess(mended, CATALOGUE, namespace=namespace).actions}
        assert after[action].verdict is Verdict.COVERED, (action, after[action].reason)
        for other, each in after.items():
            assert BADNESS.index(each.verdict) <= BADNESS.index(before[other].verdict), (action, other, each.reason)
        for situation, recording in survey(mended, namespace).recordings:
            if situation in recorded:
                for level in Level:
                    lost = recorded[situation].at_least(level) & ~recording.at_least(level)
                    assert not lost & ~leaking, (action, situation)


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("name", POLICIES)
def test_a_suggestion_closes_its_action_and_opens_nothing(name, namespace):
    assert_closes_and_opens_nothing(POLICIES[name], namespace)


@given(policies)
@settings(max_examples=examples(8), deadline=None)
def test_a_suggestion_for_any_policy_closes_its_action_and_opens_nothing(policy):
    assert_closes_and_opens_nothing(policy, "payments")
    suggestions = suggest(policy, CATALOGUE)
    for action in sorted(suggestions)[::10]:
        (after,) = (
            each for each in assess(suggestions[action].apply(policy), CATALOGUE).actions if each.action.id == action
        )
        assert after.verdict is Verdict.COVERED, after.reason


def test_following_all_suggestions_covers_everything():
    mended = POLICIES["nothing-first"]
    while suggestions := suggest(mended, CATALOGUE):
        mended = next(iter(suggestions.values())).apply(mended)
    assert assess(mended, CATALOGUE).count(Verdict.COVERED) == len(CATALOGUE.actions)


def test_a_suggestion_asks_for_no_more_than_is_needed():
    assert suggest(METADATA, CATALOGUE)["rbac-bindings-change"].rules == (
        Rule(
            Level.REQUEST,
            verbs=("create", "update", "patch"),
            resources=(GroupResources("rbac.authorization.k8s.io", ("clusterrolebindings", "rolebindings")),),
        ),
    )


def test_a_leak_is_brought_down_to_what_is_safe():
    policy = POLICIES["request-response"]
    (rule,) = suggest(policy, CATALOGUE)["serviceaccount-token-request"].rules
    assert (rule.level, rule.resources) == (Level.REQUEST, (GroupResources("", ("serviceaccounts/token",)),))


def test_what_is_critical_in_one_namespace_gets_a_rule_for_that_namespace():
    policy = Policy((Rule(Level.NONE, namespaces=("audit-system",)), *METADATA.rules))
    assert {rule.namespaces for rule in suggest(policy, CATALOGUE)["audit-log-read"].rules} == {("audit-system",)}


def test_stages_that_the_whole_policy_omits_are_moved_into_the_rules_that_were_there():
    policy = Policy((Rule(Level.METADATA),), frozenset({Stage.RESPONSE_STARTED, Stage.REQUEST_RECEIVED}))
    suggestion = suggest(policy, CATALOGUE)["authn-failure-401"]
    assert suggestion.keep_stages == {Stage.RESPONSE_STARTED}
    mended = suggestion.apply(policy)
    assert mended.omit_stages == {Stage.REQUEST_RECEIVED}
    assert mended.rules[-1].omit_stages == {Stage.RESPONSE_STARTED}
    assert suggestion.text.startswith("# take ResponseStarted out of the policy's omitStages\n")


def test_a_namespaced_policy_is_not_told_what_only_the_cluster_can_do():
    suggestion = suggest(Policy((Rule(Level.NONE),)), CATALOGUE, namespace="payments")["secrets-read"]
    assert [rule.namespaces for rule in suggestion.rules] == [()]
    assert [rule.namespaces for rule in suggestion.cluster_rules] == [("",)]
    assert "ClusterAuditPolicy" in suggestion.text


@pytest.mark.parametrize("name", POLICIES)
def test_the_text_says_what_the_rules_say(name):
    for suggestion in suggest(POLICIES[name], CATALOGUE).values():
        text = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{suggestion.text}"
        assert read_policy(text).rules == suggestion.rules
        assert "\n" not in suggestion.line
        assert yaml.safe_load(suggestion.line) == yaml.safe_load(text)["rules"]


def test_no_rule_is_suggested_where_the_catalogue_contradicts_itself():
    text = """
apiVersion: catalogue.audit-operator.dev/v1alpha1
kind: CriticalActionCatalogue
actions:
- id: secret-bodies
  title: x
  tactic: collection
  severity: low
  match: [{resources: [secrets], verbs: [create], scope: Namespaced}]
  subjects: [human]
  minLevel: Request
"""
    suggestions = suggest(METADATA, merge(CATALOGUE, load_catalogue(text)))
    assert "secret-bodies" not in suggestions
    assert "pod-create-privileged" in suggestions
