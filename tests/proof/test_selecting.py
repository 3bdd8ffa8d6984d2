"""What is sent proves what the verdict rests on, for those whom it is about, or nothing is sent."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from audit_operator.api.audit import Level
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.probes import operations_at
from audit_operator.permissions.rbac import NOTHING
from audit_operator.policy.evaluate import evaluate
from audit_operator.policy.model import GroupResources, Policy, Rule
from audit_operator.proof.requests import Marks, ProbeRequest, sent_by
from audit_operator.proof.selecting import Selector, UnprovedReason, prober_in
from tests.coverage.policies import METADATA, REFERENCE, policies

CATALOGUE = builtin_catalogue()
ME = prober_in("audit-system")


def at(policy, place="payments", excluded=(), catalogue=CATALOGUE):
    return Selector.of(policy, catalogue, ME, excluded).at(place)


def test_the_catalogue_says_of_every_action_how_it_is_proved():
    senders = {action.id: action.probe.sender for action in CATALOGUE.actions}
    assert senders.pop("anonymous-access") is Sender.ANONYMOUS
    assert senders.pop("authn-failure-401") is Sender.BAD_TOKEN
    assert senders.pop("impersonation") is Sender.IMPERSONATING
    assert set(senders.values()) == {Sender.PROBER}


def test_where_one_rule_decides_one_request_proves_an_action():
    for place in ("payments", "kube-system", "audit-system", ""):
        selection = at(METADATA, place)
        assert selection.unproved == {}
        assert all(len(aims) == 1 for aims in selection.aims.values())
        assert len(selection.requests) <= len(selection.aims)


def test_every_action_is_asked_about_somewhere():
    asked = {action for place in ("payments", "kube-system", "audit-system", "") for action in at(METADATA, place).aims}
    assert asked == {action.id for action in CATALOGUE.actions}


def test_every_rule_that_decides_an_action_is_asked():
    policy = Policy((Rule(Level.NONE, verbs=("delete",)), Rule(Level.METADATA)))
    verbs = {aim.operation.verb for aim in at(policy).aims["secrets-write"]}
    assert "delete" in verbs
    assert len(verbs) == 2


def test_a_rule_for_the_prober_proves_nothing_about_people():
    policy = Policy((Rule(Level.REQUEST, users=(ME.name,)), Rule(Level.METADATA)))
    selection = at(policy)
    why = selection.unproved["secrets-read"]
    assert why.reason is UnprovedReason.ANOTHER_RULE
    assert "by a person" in why.message
    assert set(selection.aims) == {"anonymous-access", "authn-failure-401"}


def test_a_rule_for_some_of_those_concerned_leaves_an_action_unproved():
    node = Rule(Level.NONE, user_groups=("system:nodes",), resources=(GroupResources("", ("secrets",)),))
    selection = at(Policy((node, Rule(Level.METADATA))))
    assert selection.unproved["secrets-read"].reason is UnprovedReason.ANOTHER_RULE
    assert "by a node" in selection.unproved["secrets-read"].message
    assert "secrets-write" in selection.aims


def test_what_is_excluded_is_not_sent():
    selection = at(METADATA, excluded=["pod-exec"])
    assert selection.unproved["pod-exec"].reason is UnprovedReason.EXCLUDED
    assert "pod-attach" in selection.aims


def test_an_action_of_which_no_request_is_harmless_stays_unproved():
    own = CATALOGUE.action("secrets-read")
    never = own.model_copy(update={"probe": own.probe.model_copy(update={"never": "it pages somebody"})})
    silent = own.model_copy(update={"id": "own", "probe": None})
    selection = at(METADATA, catalogue=CATALOGUE.replace(actions=(never, silent)))
    assert selection.aims == {}
    assert {each.reason for each in selection.unproved.values()} == {UnprovedReason.NO_PROBE}
    assert selection.unproved["secrets-read"].message == "it pages somebody"


def test_a_rule_that_no_probe_reaches_leaves_the_action_unproved():
    own = CATALOGUE.action("secrets-write")
    gentle = own.model_copy(update={"probe": own.probe.model_copy(update={"verbs": ("create",)})})
    catalogue = CATALOGUE.replace(actions=(gentle,))
    policy = Policy((Rule(Level.NONE, verbs=("delete",)), Rule(Level.METADATA)))
    assert at(policy, catalogue=catalogue).unproved["secrets-write"].reason is UnprovedReason.NOT_REACHED
    assert [aim.operation.verb for aim in at(METADATA, catalogue=catalogue).aims["secrets-write"]] == ["create"]


def test_published_policies_can_mostly_be_proved():
    for name, policy in REFERENCE.items():
        selection = at(policy)
        assert len(selection.aims) >= 30, (name, selection.unproved)


@given(policies)
def test_whoever_the_action_is_about_is_decided_by_a_rule_that_was_asked(policy):
    for place in ("payments", ""):
        for identity, aims in at(policy, place).aims.items():
            action = CATALOGUE.action(identity)
            some = Marks("", "db2", "c")
            asked = {evaluate(policy, ProbeRequest.of(aim, some).attributes(sent_by(aim.sender, ME))) for aim in aims}
            for operation in operations_at(action, place):
                request = ProbeRequest.of(replace(aims[0], operation=operation), some)
                assert evaluate(policy, request.attributes(sent_by(aims[0].sender, ME))) in asked


def with_bodies(policy, place="payments"):
    return Selector.of(policy, CATALOGUE, ME, bodies=True).at(place)


def test_bodies_are_proved_beside_what_is_proved_anyway_and_only_where_that_is_asked_for():
    policy = Policy((Rule(Level.REQUEST),))
    plain, more = at(policy), with_bodies(policy)
    assert not any(aim.with_body for aim in plain.requests)
    assert plain.unproved == more.unproved == {}
    for action, aims in more.aims.items():
        assert tuple(aim for aim in aims if not aim.with_body) == plain.aims[action]
    assert [aim.operation.verb for aim in more.aims["secrets-write"] if aim.with_body] == ["update", "patch"]
    assert [aim.operation.verb for aim in more.aims["rbac-roles-change"] if aim.with_body] == ["patch"]
    assert not any(aim.with_body for aim in more.aims["secrets-read"])


def test_every_decision_about_bodies_is_asked_but_where_nothing_is_recorded():
    secrets = (GroupResources("", ("secrets",)),)
    patched = Rule(Level.METADATA, verbs=("patch",), resources=secrets)
    nothing = Rule(Level.NONE, verbs=("update",), resources=secrets)
    found = with_bodies(Policy((patched, Rule(Level.REQUEST)))).aims["secrets-write"]
    assert {aim.operation.verb for aim in found if aim.with_body} == {"update", "patch"}
    found = with_bodies(Policy((nothing, Rule(Level.REQUEST)))).aims["secrets-write"]
    assert {aim.operation.verb for aim in found if aim.with_body} == {"patch"}


def test_a_rule_for_the_name_of_what_is_not_there_proves_nothing():
    named = Rule(Level.REQUEST, resources=(GroupResources("", ("secrets",), resource_names=(NOTHING,)),))
    why = with_bodies(Policy((named, Rule(Level.METADATA)))).unproved["secrets-write"]
    assert why.reason is UnprovedReason.ANOTHER_RULE
    assert NOTHING in why.message
