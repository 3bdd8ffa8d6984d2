"""Whether detections can fire stands at their objects, with what mends it; what mends it does."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_operator.api.policy_status import CanFire
from audit_operator.cli import main
from audit_operator.detections.firing import Firing
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.detection_answers import IN_NAMESPACE, REFUSED, answer, findings, told, unanswered, verdict
from audit_operator.plan.detection_questions import questions
from audit_operator.plan.snapshot import InputConfigMap
from audit_operator.plan.status import statuses
from tests.detections.hostile import SELECTIONS
from tests.examples import examples
from tests.plan.objects import audit_policy, cluster_policy, control_plane

PRIVILEGED = {
    "name": "privileged",
    "selection": {
        "verbs": ["create"],
        "resources": [{"group": "", "resources": ["pods"]}],
        "fields": [{"path": "requestObject.spec.containers.securityContext.privileged", "values": ["true"]}],
    },
}
EXEC = {"name": "exec", "preset": "Exec"}
METADATA = [{"level": "Metadata"}]


def world(*policies, plane=None, inputs=()):
    own = tuple(each for each in policies if each.metadata.namespace)
    return Snapshot(
        audit_policies=own,
        cluster_audit_policies=tuple(each for each in policies if not each.metadata.namespace),
        control_planes=(plane or control_plane(),),
        namespaces=tuple(NamespaceFact(each) for each in dict.fromkeys(each.metadata.namespace for each in own)),
        inputs=inputs,
    )


def said_of(snapshot):
    """By object and detection what can fire, and the findings of each object."""
    said = told(questions(snapshot, plan(snapshot)), verdict)
    return (
        {ref: {each.name: each.verdict.can_fire for each in those} for ref, those in said.items()},
        {ref: findings(those) for ref, those in said.items()},
    )


def test_what_cannot_fire_is_said_in_the_status_of_its_object_with_what_mends_it():
    policy = audit_policy(rules=METADATA, detections=[EXEC, PRIVILEGED])
    snapshot = world(policy)
    planned = plan(snapshot)
    status = statuses(snapshot, planned, {}, detections=told(questions(snapshot, planned), verdict))[policy.ref]
    assert status["detections"] == [{"name": "exec", "canFire": "Yes"}, {"name": "privileged", "canFire": "No"}]
    found = status["composition"]["findings"]
    assert [each for each in found if each["id"] == "detection-cannot-fire"] == [
        {
            "id": "detection-cannot-fire",
            "severity": "Warning",
            "message": "privileged cannot fire: create pods by somebody is recorded at Metadata (Metadata: "
            "everything); it needs level Request",
            "mend": "put first in spec.rules: [{level: Request, verbs: [create], resources: [{group: '', resources: "
            "[pods]}]}]",
            "path": "spec.detections[1]",
        }
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"rules": METADATA},
        {"rules": METADATA, "omitStages": ["ResponseStarted", "ResponseComplete"]},
        {"rules": [{"level": "None", "resources": [{"group": "", "resources": ["pods/exec"]}]}, {"level": "Metadata"}]},
        {"rules": [{"level": "None"}]},
    ],
    ids=["metadata", "without stages", "without exec", "nothing"],
)
def test_an_object_that_is_changed_as_the_mend_says_has_a_detection_that_fires(spec):
    detections = [EXEC, PRIVILEGED]
    policy = audit_policy(detections=detections, **spec)
    snapshot = world(policy)
    for asked in questions(snapshot, plan(snapshot))[policy.ref]:
        given = answer(asked.question)
        if given.judgement.firing is Firing.CAN:
            continue
        suggestion = given.enabling.suggestion
        stages = [each for each in spec.get("omitStages", ()) if each not in suggestion.keep_stages]
        rules = [*yaml.safe_load(suggestion.line), *spec["rules"]]
        mended = audit_policy(rules=rules, detections=detections, **({"omitStages": stages} if stages else {}))
        assert said_of(world(mended))[0][policy.ref][asked.name] is CanFire.YES


def test_no_change_is_shown_that_a_limit_takes_back():
    limit = {"level": "Metadata", "resources": [{"group": "", "resources": ["pods"]}]}
    policy = audit_policy(rules=METADATA, detections=[PRIVILEGED])
    _, found = said_of(world(policy, cluster_policy(rules=METADATA, limits=[limit])))
    assert found[policy.ref][0].mend.startswith("a limit of a ClusterAuditPolicy forbids")


def test_a_limit_of_other_namespaces_forbids_nothing_here():
    limit = {"level": "Metadata", "namespaces": ["payments"]}
    here, there = (audit_policy(each, rules=METADATA, detections=[PRIVILEGED]) for each in ("web", "payments"))
    _, found = said_of(world(here, there, cluster_policy(rules=METADATA, limits=[limit])))
    assert found[here.ref][0].mend.startswith("put first in spec.rules: ")
    assert found[there.ref][0].mend.startswith("a limit of a ClusterAuditPolicy forbids")


RULE = st.fixed_dictionaries(
    {"level": st.sampled_from(["None", "Metadata", "Request", "RequestResponse"])},
    optional={
        "verbs": st.lists(st.sampled_from(["get", "create", "patch", "list"]), min_size=1, max_size=2, unique=True),
        "users": st.lists(st.sampled_from(["alice", "system:serviceaccount:web:it", "system:anonymous"]), max_size=2),
        "resources": st.lists(
            st.fixed_dictionaries(
                {
                    "group": st.sampled_from(["", "rbac.authorization.k8s.io"]),
                    "resources": st.lists(
                        st.sampled_from(["pods", "pods/exec", "secrets", "rolebindings", "*"]),
                        min_size=1,
                        max_size=2,
                        unique=True,
                    ),
                }
            ),
            min_size=1,
            max_size=2,
        ),
    },
)
LIMIT = st.builds(lambda rule, there: {**rule, **there}, RULE, st.sampled_from([{}, {"namespaces": ["web"]}]))
STAGES = st.lists(st.sampled_from(["RequestReceived", "ResponseStarted", "ResponseComplete"]), max_size=2, unique=True)


@given(
    rules=st.lists(RULE, min_size=1, max_size=3),
    stages=STAGES,
    others=st.lists(RULE, max_size=2),
    limits=st.lists(LIMIT, max_size=2),
    preset=st.sampled_from(["Exec", "SecretEnumeration", "ClusterAdminBinding", "TokenMinting"]),
)
@settings(max_examples=examples(30), deadline=None)
def test_whatever_else_there_is_a_change_that_is_shown_lets_more_fire_once_it_is_applied(
    rules, stages, others, limits, preset
):
    def asked(rules, stages):
        detections = [{"name": "it", "preset": preset}]
        policy = audit_policy("web", rules=rules, omitStages=stages, detections=detections)
        snapshot = world(policy, cluster_policy(rules=[*others, {"level": "None"}], limits=limits))
        return answer(questions(snapshot, plan(snapshot))[policy.ref][0].question)

    before = asked(rules, stages)
    if before.enabling is None:
        return
    suggestion = before.enabling.suggestion
    left = [each for each in stages if each not in suggestion.keep_stages]
    after = asked([*yaml.safe_load(suggestion.line), *rules], left).judgement
    assert after.able > before.judgement.able
    if before.enabling.is_for_all:
        assert after.firing is Firing.CAN


def test_namespaces_that_are_treated_alike_ask_one_question():
    local = {"name": "local", "selection": {"namespaces": ["team-*"], "exceptNamespaces": ["other"]}}
    alike = [audit_policy(f"team-{each}", rules=METADATA, detections=[EXEC, local]) for each in range(50)]
    snapshot = world(*alike, cluster_policy(preset="Baseline"))
    asked = questions(snapshot, plan(snapshot))
    assert len({each.question for those in asked.values() for each in those}) == 2
    assert len(unanswered(asked, lambda _: None)) == 1


def test_a_namespace_that_is_not_selected_never_fires():
    elsewhere = {"name": "elsewhere", "selection": {"namespaces": ["prod-*"]}}
    here, there = (audit_policy(each, rules=METADATA, detections=[elsewhere]) for each in ("web", "prod-web"))
    can, found = said_of(world(here, there))
    assert can == {here.ref: {"elsewhere": CanFire.NEVER}, there.ref: {"elsewhere": CanFire.YES}}
    assert "of requests in this namespace" in found[here.ref][0].message


def test_rules_that_know_a_namespace_by_name_are_asked_about_it():
    deleted = {
        "name": "deleted",
        "selection": {
            "verbs": ["delete"],
            "resources": [{"group": "", "resources": ["namespaces"], "resourceNames": ["prod"]}],
        },
    }
    silent = {"level": "None", "resources": [{"group": "", "resources": ["namespaces"], "resourceNames": ["prod"]}]}
    prod, web = (audit_policy(each, rules=[silent, *METADATA], detections=[deleted]) for each in ("prod", "web"))
    can, _ = said_of(world(prod, web))
    assert can == {prod.ref: {"deleted": CanFire.NO}, web.ref: {"deleted": CanFire.NEVER}}
    loud = audit_policy("prod", rules=METADATA, detections=[deleted])
    assert said_of(world(loud))[0] == {loud.ref: {"deleted": CanFire.YES}}


def test_an_envelope_is_judged_as_shippers_leave_it():
    silent = audit_policy("web", rules=[{"level": "None"}], detections=[EXEC])
    other = audit_policy("other", rules=METADATA, detections=[EXEC])
    can, _ = said_of(world(silent, other, plane=control_plane(precision="Envelope")))
    assert can == {silent.ref: {"exec": CanFire.NO}, other.ref: {"exec": CanFire.YES}}


OBSERVED = {
    "driver": "Observe",
    "observe": {"provider": "Custom", "policyRef": {"name": "given", "namespace": "audit", "key": "policy.yaml"}},
}


def given_policy(rules):
    text = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: {json.dumps(rules)}\n"
    return InputConfigMap("audit", "given", {"policy.yaml": text})


def test_of_api_servers_that_are_only_observed_nothing_fires_on_what_they_do_not_record():
    policy = audit_policy(rules=[{"level": "Request"}], detections=[EXEC, PRIVILEGED])
    can, found = said_of(world(policy, plane=control_plane(**OBSERVED), inputs=(given_policy(METADATA),)))
    assert can == {policy.ref: {"exec": CanFire.YES, "privileged": CanFire.NO}}
    assert found[policy.ref][0].mend.startswith("the API servers are only observed")
    silent = audit_policy(rules=[{"level": "None"}], detections=[EXEC])
    can, _ = said_of(world(silent, plane=control_plane(**OBSERVED), inputs=(given_policy(METADATA),)))
    assert can == {silent.ref: {"exec": CanFire.NO}}


def test_where_nobody_knows_what_is_recorded_nothing_is_said_to_fire():
    policy = audit_policy(rules=METADATA, detections=[EXEC])
    can, found = said_of(world(policy, plane=control_plane(**OBSERVED)))
    assert can == {policy.ref: {"exec": CanFire.NOT_JUDGED}}
    assert found[policy.ref][0].id == "detection-not-judged"


def hostile(namespace):
    worst = SELECTIONS["many callers"].model_dump(mode="json", by_alias=True)
    detections = [
        {"name": f"d{each}", "selection": {**worst, "verbs": ["get"], "statusCodes": [200 + each]}} for each in range(8)
    ]
    return audit_policy(namespace, rules=METADATA, detections=detections)


def test_eight_of_the_worst_cost_no_more_than_they_may_and_say_that_they_were_not_judged():
    bad, good = hostile("bad"), audit_policy("good", rules=METADATA, detections=[EXEC])
    snapshot = world(bad, good)
    said = told(questions(snapshot, plan(snapshot)), verdict)
    assert {each.verdict.can_fire for each in said[bad.ref]} == {CanFire.NOT_JUDGED}
    assert sum(each.verdict.steps for each in said[bad.ref]) < 4 * IN_NAMESPACE
    assert [each.verdict for each in said[bad.ref]].count(REFUSED) >= 4
    assert len(findings(said[bad.ref])) == 8
    assert said[good.ref][0].verdict.can_fire is CanFire.YES


def test_the_command_says_what_status_says(tmp_path, capsys):
    never = {"name": "never", "selection": {"namespaces": ["x"]}}
    partly = [{"level": "None", "nonResourceURLs": ["/healthz*"]}, *METADATA]
    policies = [
        audit_policy("web", rules=METADATA, detections=[EXEC, PRIVILEGED]),
        audit_policy("other", rules=[{"level": "None"}], detections=[EXEC, never]),
        cluster_policy(rules=partly, detections=[{"name": "burst", "preset": "ForbiddenBurst"}, PRIVILEGED]),
        hostile("bad"),
    ]
    for number, each in enumerate(policies):
        (tmp_path / f"{number}.json").write_text(each.model_dump_json(by_alias=True))
    assert main(["detections", "check", "-f", str(tmp_path), "-o", "json"]) == 0
    printed = {each["rule"]: each["verdict"] for each in json.loads(capsys.readouterr().out)["rules"]}
    words = {
        CanFire.YES: Firing.CAN,
        CanFire.IN_PART: Firing.PARTLY,
        CanFire.NO: Firing.CANNOT,
        CanFire.NEVER: Firing.NEVER,
        CanFire.NOT_JUDGED: Firing.UNJUDGED,
    }
    can, _ = said_of(world(*policies))
    assert printed == {f"{ref}: {name}": words[each] for ref, those in can.items() for name, each in those.items()}
    assert set(printed.values()) == set(words.values())
