import pytest

from audit_operator.api.observations import ShipperObservation
from audit_operator.plan import Snapshot, plan
from audit_operator.plan.log_files import BELOW_CIS, LESS_THAN_A_DAY, TOO_FEW, lasting_findings, log_file_findings
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


def lasting(daily, driver=BY_NODES, **log):
    shippers = [ShipperObservation("n1", daily=5), ShipperObservation("n2", daily=daily)]
    return list(lasting_findings(control_plane(**driver, log=log), shippers))


@pytest.mark.parametrize(
    ("daily", "log", "mend"),
    [
        (12 * 10**8, {"maxBackup": 11}, "set spec.log.maxBackup to 12 or more"),
        (5 * 10**9, {}, "set spec.log.maxBackup to 48 or more; that takes 5 GB of disk"),
        (32 * 10**11, {}, "set spec.log.maxBackup to 1000, and spec.log.maxSize to 3052 or more; that takes 3200 GB"),
    ],
)
def test_files_that_last_for_less_than_a_day_of_what_was_seen_are_told_with_the_numbers_that_do(daily, log, mend):
    [finding] = lasting(daily, **log)
    assert (finding.id, finding.path) == (LESS_THAN_A_DAY, "spec.log.maxBackup")
    assert mend in finding.mend
    assert f"on n2, {daily / 10**9:g} GB or more were written in 24 hours" in finding.message


def test_files_that_last_and_those_of_others_are_no_finding():
    assert lasting(10**9) == []
    assert lasting(5 * 10**9, maxBackup=48) == []
    assert lasting(5 * 10**9, {"driver": "Process"}) == []
    assert list(lasting_findings(control_plane(**BY_NODES), [])) == []


def test_a_framework_that_names_numbers_is_held_against_them():
    cis = audit_policy(rules=[{"level": "Metadata"}], compliance={"frameworks": ["CIS"]})
    log = {"maxAge": 7, "maxBackup": 9, "maxSize": 99}
    paths = [f"spec.log.{name}" for name in log]
    assert found(cis, **BY_NODES, log=log) == [(BELOW_CIS, path) for path in paths]
    assert found(cis, **BY_NODES) == []
