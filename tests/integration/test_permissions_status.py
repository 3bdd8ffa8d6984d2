"""The operator on a real API server says who may read, write and disable, and goes on saying what is true."""

from __future__ import annotations

import pytest

from tests.integration.conftest import install_crds
from tests.integration.control_plane import ClusterUser
from tests.integration.operator_process import BASELINE, NAMESPACE, USER, OperatorProcess, eventually, thing
from tests.permissions.objects import binding, role, rule

PLANE = {"default": True, "driver": "ConfigMap", "configMap": {"namespace": "default", "name": "audit-policy"}}
# The operator of this test is cluster-admin, which is not what the chart makes it.
OPERATOR = {"kind": "User", "name": USER}


def plane(*expected):
    return thing("AuditControlPlane", "main", {**PLANE, "permissions": {"expected": [OPERATOR, *expected]}})


@pytest.fixture
def operator(private_control_plane):
    mine = private_control_plane(users=(ClusterUser(USER),))
    install_crds(mine)
    mine.create_namespace(NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
    mine.kubectl("create", "clusterrolebinding", USER, "--clusterrole=cluster-admin", f"--user={USER}")
    operator = OperatorProcess(mine)
    yield operator
    operator.stop_all()


def test_status_follows_bindings_and_those_who_are_expected(operator):
    control_plane = operator.control_plane
    control_plane.apply(plane(), BASELINE)
    operator.start(permission_seconds="1")

    def said():
        return operator.status("auditcontrolplanes", "main").get("permissions", {})

    def subjects():
        return [(each["subject"], each["may"]) for each in said().get("findings", [])]

    def counted(effect):
        return said().get(effect, {}).get("unexpected")

    # A new cluster has nobody whom nobody expects.
    eventually(lambda: counted("canDisable") == 0, "the roles and bindings of a new cluster to be judged")
    assert subjects() == []
    assert said()["canDisable"]["subjects"] > 1

    control_plane.apply(
        role("devs", rule("get", "pods/log secrets")), binding("devs", "devs", "Group dev", namespace=NAMESPACE)
    )
    eventually(lambda: subjects() == [("Group dev", ["secrets", "pod-logs"])], "the new binding to be a finding")
    [finding] = said()["findings"]
    assert finding["through"] == f"RoleBinding {NAMESPACE}/devs to ClusterRole devs"
    assert counted("readers") == 1

    control_plane.apply(plane({"kind": "Group", "name": "dev"}))
    eventually(lambda: counted("readers") == 0, "those who are expected to be no finding")
    control_plane.apply(plane())
    eventually(lambda: counted("readers") == 1, "them to be one again")
    control_plane.kubectl("delete", "rolebinding", "-n", NAMESPACE, "devs")
    eventually(lambda: subjects() == [], "the finding to go with its binding")

    # A successor takes nothing back before it has looked itself.
    since, seen = control_plane.audit_position(), [said()]
    operator.processes[0].terminate()
    operator.processes[0].wait(60)
    operator.start(permission_seconds="1")

    def lists():
        seen.append(said())
        events = control_plane.audit_events(since=since)
        return sum(each["requestURI"].startswith("/apis/rbac.authorization.k8s.io/v1/roles?") for each in events)

    eventually(lambda: lists() > 5, "several lists")
    assert all(each == seen[0] for each in seen)
