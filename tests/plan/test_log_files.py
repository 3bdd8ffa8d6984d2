import pytest

from audit_operator.plan import Snapshot, plan
from audit_operator.plan.log_files import BELOW_CIS, TOO_FEW, log_file_findings
from tests.plan.objects import audit_policy, control_plane, parsed

SINK = parsed("ClusterAuditSink", "central", {"type": "OTLP", "otlp": {"endpoint": "http://store"}})
SHIPS = {"rules": [{"level": "Metadata"}], "sinkRefs": [{"kind": "ClusterAuditSink", "name": "central"}]}
BY_NODES = {"driver": "StaticPod", "staticPod": {}}


def found(policy, **spec):
    plane = control_plane(**spec)
    snapshot = Snapshot(audit_policies=(policy,), cluster_audit_sinks=(SINK,), control_planes=(plane,))
    return [(each.id, each.path) for each in log_file_findings(plane, snapshot, plan(snapshot))]


@pytest.mark.parametrize("log", [{"maxBackup": 1}, {"maxBackup": 3, "maxSize": 10}])
def test_files_that_shippers_may_not_have_read_yet_are_not_deleted_without_a_word(log):
    assert found(audit_policy(**SHIPS), **BY_NODES, log=log) == [(TOO_FEW, "spec.log.maxBackup")]


def test_where_nobody_ships_files_or_they_are_not_ours_to_set_nothing_is_said():
    assert found(audit_policy(), **BY_NODES, log={"maxBackup": 1}) == []
    assert found(audit_policy(**SHIPS), driver="Process", log={"maxBackup": 1}) == []
    assert found(audit_policy(**SHIPS), **BY_NODES) == []


def test_a_framework_that_names_numbers_is_held_against_them():
    cis = audit_policy(rules=[{"level": "Metadata"}], compliance={"frameworks": ["CIS"]})
    log = {"maxAge": 7, "maxBackup": 9, "maxSize": 99}
    paths = [f"spec.log.{name}" for name in log]
    assert found(cis, **BY_NODES, log=log) == [(BELOW_CIS, path) for path in paths]
    assert found(cis, **BY_NODES) == []
