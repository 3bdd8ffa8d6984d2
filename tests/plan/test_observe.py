"""API servers that are only observed: judged on the policy that they are given, and nothing is claimed beyond it."""

from __future__ import annotations

from dataclasses import replace

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import policy_digest
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.snapshot import InputConfigMap
from audit_operator.plan.status import statuses
from audit_operator.policy.provider_policies import eks_policy
from tests.plan.objects import audit_policy, cluster_policy, control_plane

PCI = ObjectRef("AuditPolicy", "pci", "payments")
BASELINE = ObjectRef("ClusterAuditPolicy", "baseline")
MAIN = ObjectRef("AuditControlPlane", "main")
THEIRS = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
CUSTOM = {"provider": "Custom", "policyRef": {"namespace": "audit", "name": "theirs"}}


def snapshot(observe, **data: str) -> Snapshot:
    return Snapshot(
        audit_policies=(
            audit_policy(rules=[{"level": "RequestResponse", "verbs": ["create"]}, {"level": "Metadata"}]),
        ),
        cluster_audit_policies=(cluster_policy(),),
        control_planes=(control_plane(driver="Observe", observe=observe),),
        namespaces=(NamespaceFact("payments"),),
        inputs=(InputConfigMap("audit", "theirs", data),) if data else (),
        server_version="v1.37.2",
    )


def status(facts: Snapshot, ref: ObjectRef):
    return statuses(facts, plan(facts), {})[ref]


def conditions(facts: Snapshot, ref: ObjectRef):
    return {each["type"]: (each["status"], each["reason"]) for each in status(facts, ref)["conditions"]}


def messages(findings) -> list[str]:
    return [f"{each['path']}: {each['message']}" for each in findings]


def test_what_is_given_is_never_called_programmed():
    facts = snapshot(CUSTOM, **{"policy.yaml": THEIRS})
    for ref in (PCI, BASELINE, MAIN):
        assert conditions(facts, ref)["Programmed"] == ("Unknown", "Given")
        assert conditions(facts, ref)["Ready"] == ("Unknown", "Given")
    assert conditions(facts, MAIN)["ResolvedRefs"] == ("True", "ResolvedRefs")


def test_coverage_is_judged_on_what_is_given_and_not_on_what_is_asked_for():
    facts = snapshot(CUSTOM, **{"policy.yaml": THEIRS})
    given, asked = (
        status(facts, PCI)["coverage"],
        status(replace(facts, control_planes=(control_plane(),)), PCI)["coverage"],
    )
    assert (given["basis"], asked["basis"]) == ("Given", "Desired")
    assert given["gaps"] > asked["gaps"]
    assert not any("suggestion" in each for each in given["findings"])
    assert status(facts, BASELINE)["coverage"]["digest"] == policy_digest(THEIRS)
    assert status(facts, MAIN)["digest"] == policy_digest(THEIRS)
    assert "apiServers" not in status(facts, MAIN)


def test_what_is_recorded_below_what_was_asked_is_said_at_the_policy_that_asks():
    facts = snapshot(CUSTOM, **{"policy.yaml": THEIRS})
    said = status(facts, PCI)
    [finding] = said["composition"]["findings"]
    assert finding["path"] == "spec.rules[0]"
    assert finding["message"].startswith(
        "asks for RequestResponse, and those API servers record some of it at Metadata"
    )
    [programmed] = [each["message"] for each in said["conditions"] if each["type"] == "Programmed"]
    assert "records less than this policy asks for" in programmed
    assert "composition" not in status(facts, BASELINE)


def test_a_missing_policy_is_said_and_nothing_is_judged_in_its_place():
    for facts in (snapshot(CUSTOM), snapshot(CUSTOM, other="x")):
        assert conditions(facts, MAIN)["ResolvedRefs"] == ("False", "GivenPolicyNotFound")
        assert conditions(facts, MAIN)["Stalled"] == ("True", "WaitingForUser")
        assert "digest" not in status(facts, MAIN)
        assert conditions(facts, PCI)["Programmed"] == ("Unknown", "Given")
        assert "coverage" not in status(facts, PCI)


def test_a_policy_that_no_api_server_loads_is_said_with_the_reason():
    facts = snapshot(CUSTOM, **{"policy.yaml": THEIRS.replace("Metadata", "Nonsense")})
    assert conditions(facts, MAIN)["ResolvedRefs"] == ("False", "GivenPolicyInvalid")
    [message] = [each["message"] for each in status(facts, MAIN)["conditions"] if each["type"] == "ResolvedRefs"]
    assert "Nonsense" in message
    assert "ConfigMap audit/theirs line 4" in message
    assert "coverage" not in status(facts, PCI)


def test_a_key_that_their_api_server_drops_is_said_and_the_rest_is_judged():
    facts = snapshot(CUSTOM, **{"policy.yaml": THEIRS + "  verb: [get]\n"})
    assert conditions(facts, MAIN)["ResolvedRefs"] == ("True", "ResolvedRefs")
    assert any("verb" in each for each in messages(status(facts, MAIN)["findings"]))
    assert status(facts, PCI)["coverage"]["basis"] == "Given"


def test_eks_is_judged_on_what_amazon_has_published():
    facts = snapshot({"provider": "EKS"})
    said = status(facts, MAIN)
    assert said["digest"] == policy_digest(eks_policy())
    assert said["rules"] == 17
    assert [each["id"] for each in said["findings"]] == ["given-as-published"]
    assert status(facts, BASELINE)["coverage"]["partial"] == 3
    assert any("events" in each for each in messages(status(facts, PCI)["composition"]["findings"]))
