"""What would have a sidecar lose, leak or misplace lines is refused before it is written, where `validate` takes it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from audit_operator.api.application_logs import FieldMapping, TimeFormat
from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.controller.sidecars import PLACES
from audit_operator.controlplane.shipper.canary import FOLDER, Outcome, TrialTimes, try_application
from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.plan import NamespaceFact, Snapshot
from audit_operator.plan.application_logs import application_files
from audit_operator.shipping.canary import application_rehearsed
from audit_operator.shipping.collector.proving import REDACT
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.redaction.demand import RedactionDemand
from tests.integration.shipping.collector import binary
from tests.integration.shipping.test_canary import replaced, sink, to, without
from tests.plan.objects import audit_policy

TIMES = TrialTimes(most=180.0)
LOGS = {"files": [{"volume": "audit", "path": "**/*.log"}, {"volume": "more", "path": "trail"}]}
GIVEN_UP = {"guarantee": "BestEffort"}
SNAPSHOT = Snapshot(
    audit_sinks=(
        sink("AuditSink", "kept", "payments"),
        sink("AuditSink", "loose", "payments", type="Loki", loki={"url": "http://l:1"}, delivery=GIVEN_UP),
    ),
    namespaces=(NamespaceFact("payments"),),
)


def rehearsal(**changed):
    sinks = to("AuditSink", "kept") + to("AuditSink", "loose")
    policy = audit_policy(preset="Metadata", sinkRefs=sinks, applicationLogs=LOGS)
    wanted = application_files(policy, SNAPSHOT, "main", PLACES).rehearsal
    return replace(wanted, pipeline=replace(wanted.pipeline, **changed))


MAPPED = FieldMapping(time="@timestamp", user="auth.user", action="event.action", result="event.outcome", id="trace.id")
KINDS = {
    "as it is": {},
    "everything taken out": {"redaction": RedactionDemand(frozenset(RedactionProfile))},
    "nothing taken out": {"redaction": RedactionDemand(frozenset())},
    "pseudonyms": {"redaction": RedactionDemand(pseudonymize=frozenset({PseudonymizedField.USERNAME}))},
    "fields by other names": {"fields": MAPPED, "time_format": TimeFormat.UNIX_MILLISECONDS},
    "fields by names of ours": {
        "fields": FieldMapping(
            user="contact", action="password", result="note.text", id="card", correlation_id="canary"
        ),
        "redaction": RedactionDemand(frozenset({RedactionProfile.PII, RedactionProfile.FINANCIAL})),
    },
    "secrets beside fields by names of ours": {
        "fields": FieldMapping(user="note", action="password", result="contact", id="card", correlation_id="canary"),
        "redaction": RedactionDemand(
            frozenset(RedactionProfile), pseudonymize=frozenset({PseudonymizedField.USERNAME})
        ),
    },
    "seconds": {"time_format": TimeFormat.UNIX_SECONDS, "longest_line": 2**18},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planned_passes(tmp_path, kind):
    trial = try_application(tmp_path, binary(), rehearsal(**KINDS[kind]), times=TIMES)
    assert (trial.outcome, trial.said) == (Outcome.PASSED, ())
    assert len(trial.arrived) == 2
    assert not (tmp_path / FOLDER).exists()


PROCESSED = "processors", "transform/lines", "log_statements"
REDACTED = "processors", REDACT, "steps"
WRITTEN = "processors", "transform/write", "log_statements"
FAULTS = {
    "wrong field in a path": (replaced('[\\"user\\"]', '[\\"usr\\"]', *PROCESSED), "a good line"),
    "lines of one byte": (replaced("2MiB", "1", "receivers", "file_log", "max_log_size"), "a good line"),
    "rotated files left out": (replaced(".log.*", ".log~*", "receivers", "file_log", "include"), "did not arrive"),
    "include that matches nothing": (replaced(".log", ".lgo", "receivers", "file_log", "include"), "did not arrive"),
    "no secret taken out": (replaced("passw", "pasw", *REDACTED), "a value is still in it"),
    "links that lead out": (replaced("file.path_resolved", "file.path", *PROCESSED), "a line outside of its volume"),
    "another reason": (replaced("no user", "no name", *PROCESSED), "attribute quarantine"),
    "wrong layout of time": (replaced("%Y-%m-%dT", "%Y-%d-%mT", *PROCESSED), "its time is"),
    "no namespace": (replaced('attributes[\\"namespace\\"]', 'attributes[\\"nmspace\\"]', *WRITTEN), "namespace"),
    "quarantine that goes nowhere": (
        replaced('"dated_files/0"', '"dated_files/1"', "service", "pipelines", "logs/quarantine-0"),
        "did not arrive",
    ),
    "quarantine that is not counted": (
        without("transform/quarantine/audit/**/*.log", "service", "pipelines", "logs/quarantine-0", "processors"),
        "unreadable lines: counted",
    ),
    "storage that is not listed": (
        replaced('"file_storage/queues"', '"health_check"', "service", "extensions"),
        "the collector ends",
    ),
}


@pytest.fixture
def broken(monkeypatch):
    """Breaks all configurations that are rendered for a trial in these ways."""
    whole = application_rehearsed.ApplicationRehearsal._configuration

    def install(*faults):
        def with_faults(self, placed):
            document = json.loads(json.dumps(whole(self, placed)))
            for each in faults:
                each(document)
            return document

        monkeypatch.setattr(application_rehearsed.ApplicationRehearsal, "_configuration", with_faults)

    return install


def test_validate_takes_all_that_is_broken(tmp_path, broken):
    broken(*(breaks for breaks, _ in FAULTS.values()))
    made = rehearsal().within(str(tmp_path / "try"))
    assert Collector(tmp_path).refusal(binary(), yaml_text(made.configuration)) == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_the_canary_refuses_what_is_broken(tmp_path, broken, fault):
    breaks, said = FAULTS[fault]
    broken(breaks)
    trial = try_application(tmp_path, binary(), rehearsal(), times=TIMES)
    assert trial.outcome is Outcome.FAILED
    assert said in "; ".join(trial.said)
