"""Numbers besides verdicts, compared with those of an earlier report."""

import json

import pytest

from audit_operator.report.figures import figure_changes
from audit_operator.report.model import Measure
from audit_operator.report.trend import EarlierPolicy


def policy(name="pci", **known):
    document = {"kind": "AuditPolicy", "namespace": "payments", "name": name, **known}
    return EarlierPolicy.model_validate_json(json.dumps(document))


def said(before, after):
    return [
        (each.policy, each.measure, each.sink, each.before, each.after, each.worse)
        for each in figure_changes(before, after)
    ]


PCI, ALL = "AuditPolicy payments/pci", ""


def test_a_rate_that_fell_is_worse_for_the_policy_and_for_all_together():
    before, after = ({"compliance": [{"passed": passed, "failed": 10 - passed}]} for passed in (9, 7))
    assert said([policy(**before), policy("b", **before)], [policy(**after), policy("b", **before)]) == [
        (ALL, Measure.COMPLIANCE, "", "90%", "80%", True),
        (PCI, Measure.COMPLIANCE, "", "90%", "70%", True),
    ]


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [("0.02%", "0.05%", True), ("0.05%", "0%", False), ("", "0.05%", None), ("0.05%", "", None)],
)
def test_of_an_error_rate_that_is_not_known_nothing_is_said(before, after, worse):
    made = [policy(metrics={"loggingErrorRate": each}) for each in (before, after)]
    assert said(made[:1], made[1:]) == [(PCI, Measure.ERROR_RATE, "", before, after, worse)]


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [("2s", "10s", True), ("10s", "2s", False), ("10s", "missing", True), ("missing", "2s", False), ("", "2s", None)],
)
def test_what_takes_longer_to_be_detected_is_worse_and_what_is_not_detected_worst(before, after, worse):
    made = [policy(metrics={"meanTimeToDetect": each}) for each in (before, after)]
    assert said(made[:1], made[1:]) == [(PCI, Measure.DETECTION, "", before, after, worse)]


DELIVERS = {"state": "Delivering"}


def way(**known):
    return policy(shipping=[{"sink": {"kind": "ClusterAuditSink", "name": "central"}, "state": "Delivering", **known}])


def test_lag_and_loss_of_each_sink_are_compared():
    assert said([way()], [way(state="Lagging", lag="15m", lost=20)]) == [
        (PCI, Measure.LAG, "central", "less than 1m", "15m", True),
        (PCI, Measure.LOST, "central", "none known", "20", True),
    ]
    assert said([way(lag="15m")], [way(lag="1m")]) == [(PCI, Measure.LAG, "central", "15m", "1m", False)]
    # Whether less waits there now, nobody knows.
    assert said([way(lag="15m", lost=500)], [way(state="Unknown")]) == [
        (PCI, Measure.LAG, "central", "15m", "", None),
        (PCI, Measure.LOST, "central", "500", "", None),
    ]
    assert said([way(lost=500)], [policy()])[-1] == (PCI, Measure.LOST, "central", "500", "", None)
    assert said([way(lost=500)], [way()]) == [(PCI, Measure.LOST, "central", "500", "none known", False)]


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [("Enforced", "Drifted", True), ("Drifted", "Enforced", False), ("Drifted", "Conflict", None)],
)
def test_retention_that_is_no_longer_enforced_is_worse(before, after, worse):
    made = [policy(retention=[{"status": {"sink": {"name": "central"}, "state": each}}]) for each in (before, after)]
    assert said(made[:1], made[1:]) == [(PCI, Measure.RETENTION, "central", before, after, worse)]


def test_two_sinks_of_one_name_are_two():
    def ways(lost):
        kinds = {"AuditSink": lost, "ClusterAuditSink": None}
        made = [{"sink": {"kind": kind, "name": "store"}, "lost": lost, **DELIVERS} for kind, lost in kinds.items()]
        return [policy(shipping=made)]

    assert said(ways(500), ways(9000)) == [(PCI, Measure.LOST, "AuditSink/store", "500", "9000", True)]


def test_less_that_is_proved_is_worse():
    assert said([policy(verified=31)], [policy(verified=30)]) == [
        (ALL, Measure.PROVED, "", "31", "30", True),
        (PCI, Measure.PROVED, "", "31", "30", True),
    ]


def test_what_only_one_has_and_what_speaks_about_an_earlier_spec_is_not_compared():
    assert said([policy(verified=31)], [policy("other", verified=1)]) == []
    assert said([policy(verified=31)], [policy(verified=1, outdated=True)]) == []
    assert said([policy(verified=31)], [policy(verified=31)]) == []
