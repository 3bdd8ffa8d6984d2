"""What the status of control planes says of rights."""

from __future__ import annotations

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.parsing import to_json
from audit_operator.api.permissions import Permissions
from audit_operator.permissions.expected import Installation
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.permissions import PermissionBasis, judged
from audit_operator.plan.status import statuses
from tests.permissions.objects import binding, rbac, role, rule
from tests.plan.objects import control_plane, parsed

INSTALLATION = Installation("audit-operator", "audit-operator-agent", "audit-operator")
SECRETS = role("r", rule("get", "secrets"))
SINK = parsed("ClusterAuditSink", "s", {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://vl.logs:9428"}})


def snapshot(*planes):
    namespaces = [NamespaceFact(name, {}) for name in ("logs", "payments")]
    return Snapshot(control_planes=planes, cluster_audit_sinks=(SINK,), namespaces=tuple(namespaces))


def said(*documents, planes=None):
    return judged(rbac(*documents), PermissionBasis.of(snapshot(*(planes or [control_plane()])), INSTALLATION))


def test_counts_and_findings_are_said_of_each_control_plane():
    found = said(SECRETS, binding("b", "r", "User alice", "Group dev", namespace="logs"))["main"]
    assert to_json(found.readers) == {"subjects": 2, "unexpected": 2}
    assert to_json(found.can_disable) == {"subjects": 0, "unexpected": 0}
    first = found.findings[0]
    assert (first.subject, first.may, first.where) == ("Group dev", ("secrets",), "in logs")
    assert first.through == "RoleBinding logs/b to ClusterRole r"
    assert first.mend.endswith("or name them in spec.permissions.expected")


def test_those_whom_one_control_plane_expects_are_findings_of_the_other():
    expected = [{"kind": "Group", "name": "dev"}, {"kind": "ServiceAccount", "namespace": "lab", "name": "robot"}]
    planes = [control_plane(), control_plane("other", default=False, permissions={"expected": expected})]
    subjects = "Group dev", "ServiceAccount lab/robot"
    found = said(SECRETS, binding("b", "r", *subjects, namespace="audit-operator"), planes=planes)
    assert len(found["main"].findings) == 2
    assert found["other"].findings == ()
    assert to_json(found["other"].readers) == {"subjects": 2, "unexpected": 0}


def test_a_long_list_is_cut_and_counted():
    found = said(SECRETS, binding("b", "r", *(f"User u{n}" for n in range(50)), namespace="logs"))["main"]
    assert (len(found.findings), found.more) == (20, 30)
    everything = said(role("all", rule("*", "*", "*")), binding("b", "all", "User boss"))["main"]
    assert len(everything.findings[0].may) == 10
    assert everything.findings[0].more > 20


def test_status_has_it_where_it_was_judged_and_is_silent_otherwise():
    facts = snapshot(control_plane())
    planned, ref = plan(facts), ObjectRef("AuditControlPlane", "main")
    assert "permissions" not in statuses(facts, planned, {})[ref]
    found = said(SECRETS, binding("b", "r", "User alice", namespace="logs"))
    document = statuses(facts, planned, {}, permissions=found)[ref]
    assert document["permissions"]["readers"] == {"subjects": 1, "unexpected": 1}
    refused = {"main": Permissions(message="not allowed")}
    assert statuses(facts, planned, {}, permissions=refused)[ref]["permissions"] == {
        "more": 0,
        "message": "not allowed",
    }


@pytest.mark.parametrize(
    "wrong", [{"kind": "ServiceAccount", "name": "x"}, {"kind": "User", "name": "x", "namespace": "y"}]
)
def test_a_namespace_belongs_to_service_accounts_alone(wrong):
    with pytest.raises(AssertionError):
        control_plane(permissions={"expected": [wrong]})
