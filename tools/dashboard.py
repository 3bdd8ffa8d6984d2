"""Lay out the chart's dashboard from a list of rows, so that nobody has to move forty panels by hand to add one.

    python -m tools.dashboard --write charts/audit-operator/files/dashboard.json    # part of `make manifests`
    python -m tools.dashboard --check charts/audit-operator/files/dashboard.json    # part of `make check`

The rows are in the order of the questions of whoever answers for an audit log: is all well, is it proved, does it
arrive, is it kept, who may read it; and only then how the operator itself does. A panel without data shows none: a
number stands there only where something was seen, and a 0 only where what is counted could have been.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.detections.promql import counted
from audit_operator.detections.series import EVENTS, PROBE, SINCE

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 24
_STAT_HEIGHT, _GRAPH_HEIGHT = 4, 8
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and what its series are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        said: how to read it.
        queries: one or more.
        unit: of Grafana.
        width: of 24 columns.
        colours: from which value on which colour; without any it is no verdict.
        graph: whether it shows a course of time, and not the last value.
    """

    title: str
    said: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 8
    colours: tuple[tuple[float | None, str], ...] = ()
    graph: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """Panels about one question; a folded one asks Prometheus nothing until it is opened."""

    title: str
    panels: tuple[Panel, ...]
    folded: bool = False


_BAD = ((None, "green"), (1, "red"))
_ODD = ((None, "green"), (1, "orange"))
_SHARE_BAD = ((None, "green"), (0.000001, "orange"), (0.01, "red"))
_DAYS_OLD = ((None, "green"), (86400, "orange"), (259200, "red"))
_FIRING = 'ALERTS{alertname="AuditDetection", alertstate="firing"}'
_PLANE, _SINK = 'control_plane=~"$control_plane"', 'sink=~"$sink"'
_EVENTS = f'{EVENTS}{{{_PLANE}, {PROBE}=""}}'
_SENT, _LOST = 'outcome="sent"', 'outcome=~"failed|not_queued"'
_RECORDS, _BY_SINK = "audit_operator_sink_records_total", "control_plane, shipper, sink"


def _stat(
    title: str, said: str, query: Query, *, unit: str = "short", colours: tuple[tuple[float | None, str], ...] = _BAD
) -> Panel:
    return Panel(title, said, (query,), unit, 4, colours, graph=False)


def _graph(title: str, said: str, *queries: Query, unit: str = "short", width: int = 8) -> Panel:
    return Panel(title, said, queries, unit, width)


def _where_seen(wrong: str, seen: str) -> str:
    """The count of what is wrong; 0 where there is something that might have been, and nothing where there is not."""
    return f"{wrong} or 0 * {seen}"


def _of_shippers(metric: str, *matchers: str, by: str = "control_plane, shipper") -> str:
    """A shipper's figures are served by its pod and by the operator: the larger counts."""
    return f"max by ({by}) ({metric}{{{', '.join((_PLANE, *matchers))}}})"


def _grown(metric: str, *matchers: str, by: str, window: str = "$__rate_interval") -> str:
    """What shippers counted in that time."""
    return f"max by ({by}) (increase({metric}{{{', '.join((_PLANE, *matchers))}}}[{window}]))"


_GLANCE = Row(
    "Is all well?",
    (
        _stat(
            "API servers without the policy",
            "Not ready, or not with the compiled policy. Runbook: AuditPolicyNotProgrammed.",
            Query(
                _where_seen(
                    f'sum by (control_plane) (audit_operator_api_servers{{{_PLANE}, programmed="false"}})',
                    f"sum by (control_plane) (audit_operator_api_servers{{{_PLANE}}})",
                ),
                "{{control_plane}}",
            ),
        ),
        _stat(
            "Logging error rate",
            "Of the sink with the most errors: part of the last live probes that are wrong or missing there, and of "
            "the records of 24 hours that were given up. No data: nothing was observed.",
            Query(f"max by (control_plane) (audit_operator_logging_error_rate{{{_PLANE}}})", "{{control_plane}}"),
            unit="percentunit",
            colours=_SHARE_BAD,
        ),
        _stat(
            "Records given up",
            "In the time shown: the store refused them for good, or there was no room for them to wait. "
            "Runbook: AuditRecordsAreGivenUp.",
            Query(f"sum({_grown(_RECORDS, _SINK, _LOST, by=f'{_BY_SINK}, outcome', window='$__range')})", "records"),
        ),
        _stat(
            "Sinks down",
            "Whose store took no empty write when it was last asked.",
            Query(
                _where_seen(
                    f"count(max by (sink) (audit_operator_sink_up{{{_SINK}}}) == 0)",
                    f"count(audit_operator_sink_up{{{_SINK}}})",
                ),
                "sinks",
            ),
        ),
        _stat(
            "Retention not as asked",
            "Classes of records that a sink does not keep as policies ask: Drifted, Conflict, Partial or Unsupported. "
            "Pending is not counted: it is announced, or not asked yet.",
            Query(
                _where_seen(
                    "count(max by (sink, class, state) "
                    f'(audit_operator_retention_state{{{_SINK}, state!~"Enforced|Pending"}}) == 1)',
                    f"count(audit_operator_retention_state{{{_SINK}}})",
                ),
                "classes",
            ),
        ),
        _stat(
            "Seals not in order",
            "Sinks whose seals are anything but Sealed, or whose archive could not be looked at.",
            Query(
                _where_seen(
                    f'count(max by (sink) (audit_operator_seals_state{{{_SINK}, state!="Sealed"}} == 1) '
                    f"or max by (sink) (audit_operator_seals_up{{{_SINK}}}) == 0)",
                    f"count(audit_operator_seals_up{{{_SINK}}})",
                ),
                "sinks",
            ),
        ),
        _stat(
            "Compliance passing rate",
            "Controls passed of those passed or failed, in all policies that name a framework.",
            Query(
                'sum(max by (framework) (audit_operator_compliance_controls{verdict="Pass"})) / '
                '(sum(max by (framework, verdict) (audit_operator_compliance_controls{verdict=~"Pass|Fail"})) > 0)',
                "passed",
            ),
            unit="percentunit",
            colours=((None, "red"), (0.8, "orange"), (1, "green")),
        ),
        _stat(
            "Unexpected readers",
            "Users, service accounts and groups that may read what was recorded, and are not in spec.permissions.",
            Query(
                "max by (control_plane) "
                f'(audit_operator_permission_subjects{{{_PLANE}, effect="read", expected="false"}})',
                "{{control_plane}}",
            ),
            colours=_ODD,
        ),
        _stat(
            "Shippers down",
            "Nothing is shipped from there. Runbook: AuditShipperIsDown.",
            Query(
                _where_seen(
                    f"count({_of_shippers('audit_operator_shipper_healthy')} == 0)",
                    f"count({_of_shippers('audit_operator_shipper_healthy')})",
                ),
                "shippers",
            ),
        ),
        _stat(
            "Longest without a probe",
            "How long ago the namespace was probed that waits longest. No data: not all were yet, or none is to be.",
            Query(
                f"time() - min by (control_plane) (audit_operator_probes_oldest_timestamp_seconds{{{_PLANE}}})",
                "{{control_plane}}",
            ),
            unit="s",
            colours=_DAYS_OLD,
        ),
        _stat(
            "Errors in objects",
            "Findings of severity Error: kubectl get audit -A, and the status of each, say what is wrong.",
            Query(
                _where_seen(
                    'max(audit_operator_findings{severity="Error"})',
                    'max(audit_operator_objects{kind="AuditControlPlane"})',
                ),
                "findings",
            ),
            colours=_ODD,
        ),
        _stat(
            "Detections that fire",
            "Alerts of detections, where Prometheus has their rules. Runbook: AuditDetection.",
            Query(_where_seen(f"count({_FIRING})", f"count({SINCE})"), "alerts"),
        ),
    ),
)

_PROOF = Row(
    "Is it proved?",
    (
        _graph(
            "Logging error rate",
            "Of probes and records together, as in the status of policies; and of the last live probes alone.",
            Query(f"max by (control_plane) (audit_operator_logging_error_rate{{{_PLANE}}})", "{{control_plane}}"),
            Query(f"max by (control_plane) (audit_operator_probe_error_rate{{{_PLANE}}})", "{{control_plane}} probes"),
            unit="percentunit",
        ),
        _graph(
            "Live probes by outcome",
            "Verified: the record was read back as predicted. Contradicted: another was. Missing: none was. Unknown: "
            "the sink could not be asked.",
            Query(
                "sum by (sink, outcome) "
                f"(increase(audit_operator_probes_total{{{_PLANE}, {_SINK}}}[$__rate_interval]))",
                "{{sink}} {{outcome}}",
            ),
        ),
        _graph(
            "Delivery latency",
            "From the answer of the API server to a probe until its records were found in the sink; it is looked at "
            "every 2 s.",
            *(
                Query(
                    f"histogram_quantile({part}, sum by (sink, le) "
                    f"(rate(audit_operator_probe_delivery_seconds_bucket{{{_SINK}}}[$__rate_interval])))",
                    f"{{{{sink}}}} {name}",
                )
                for part, name in ((0.5, "half"), (0.99, "99 %"))
            ),
            unit="s",
        ),
    ),
)

_SHIPPERS = Row(
    "Does it arrive?",
    (
        _graph(
            "Lag by shipper",
            "At least so long something has waited, to be read or to be sent; in steps, from a minute on.",
            Query(_of_shippers("audit_operator_shipper_lag_seconds"), "{{control_plane}} {{shipper}}"),
            unit="s",
        ),
        _graph(
            "Not read yet by shipper",
            "Bytes of the API server's files. What is rotated away before it is read is lost.",
            Query(_of_shippers("audit_operator_shipper_unread_bytes"), "{{control_plane}} {{shipper}}"),
            unit="bytes",
        ),
        _graph(
            "Lost by shipper and sink",
            "Records given up: refused for good by the store, or without room to wait.",
            Query(
                _grown(_RECORDS, _SINK, _LOST, by=f"{_BY_SINK}, outcome"),
                "{{control_plane}} {{shipper}} {{sink}} {{outcome}}",
            ),
        ),
        _graph(
            "Events by shipper",
            "Received; refused for lack of room, and read again; quarantined: lines that could not be read, or not "
            "as a whole; dropped: that no policy asks for.",
            Query(
                _grown("audit_operator_shipper_events_total", by="control_plane, shipper, outcome"),
                "{{control_plane}} {{shipper}} {{outcome}}",
            ),
        ),
        _graph(
            "Sent by sink",
            "Records that the store has taken.",
            Query(
                f"sum by (sink) ({_grown(_RECORDS, _SINK, _SENT, by=_BY_SINK)})",
                "{{sink}}",
            ),
        ),
        _graph(
            "Room for waiting records that is taken",
            "When it is full, everything waits in the files of the node, a gateway refuses, and what is new for an "
            "AuditSink is given up.",
            Query(
                f"{_of_shippers('audit_operator_sink_queue_bytes', _SINK, by=_BY_SINK)} / "
                f"({_of_shippers('audit_operator_sink_queue_capacity_bytes', _SINK, by=_BY_SINK)} > 0)",
                "{{control_plane}} {{shipper}} {{sink}}",
            ),
            unit="percentunit",
        ),
    ),
)

_STORES = Row(
    "Do sinks take it, and keep it?",
    (
        _graph(
            "Sinks up",
            "1: the store took an empty write with the sink's credentials when it was last asked.",
            Query(f"max by (sink) (audit_operator_sink_up{{{_SINK}}})", "{{sink}}"),
        ),
        _graph(
            "Time of a store's answer",
            "To the question whether it takes writes.",
            Query(f"max by (sink) (audit_operator_sink_check_seconds{{{_SINK}}})", "{{sink}}"),
            unit="s",
        ),
        _graph(
            "Thrown away by stores",
            "What stores say themselves that they took and did not keep, whoever had sent it.",
            Query(
                "sum by (sink, reason) "
                f"(increase(audit_operator_sink_rows_dropped_total{{{_SINK}}}[$__rate_interval]))",
                "{{sink}} {{reason}}",
            ),
        ),
        _graph(
            "Retention by state",
            "Classes of records by how their store keeps them.",
            Query(
                "count by (sink, state) "
                f"(max by (sink, class, state) (audit_operator_retention_state{{{_SINK}}}) == 1)",
                "{{sink}} {{state}}",
            ),
        ),
        _graph(
            "Age of what is known of retention",
            "Since the store last answered everything.",
            Query(
                f"time() - max by (sink) (audit_operator_retention_verified_timestamp_seconds{{{_SINK}}})", "{{sink}}"
            ),
            unit="s",
        ),
        _graph(
            "Records older than allowed",
            "And still there; and those that were deleted by order of the operator.",
            Query(
                f"max by (sink, class) (audit_operator_retention_overdue_records{{{_SINK}}})",
                "{{sink}} {{class}} overdue",
            ),
            Query(
                "sum by (sink, class) "
                f"(increase(audit_operator_retention_deleted_records_total{{{_SINK}}}[$__rate_interval]))",
                "{{sink}} {{class}} deleted",
            ),
        ),
        _graph(
            "Seals by state",
            "The worst that is true of each chain of seals.",
            Query(f"max by (sink, state) (audit_operator_seals_state{{{_SINK}}}) == 1", "{{sink}} {{state}}"),
        ),
        _graph(
            "Age of the last seal, and of the last verification",
            "Everything before is sealed; a verification has compared records with their seals.",
            Query(
                f"time() - max by (sink) (audit_operator_seals_until_timestamp_seconds{{{_SINK}}})", "{{sink}} sealed"
            ),
            Query(
                f"time() - max by (sink) (audit_operator_seals_verified_timestamp_seconds{{{_SINK}}})",
                "{{sink}} verified",
            ),
            unit="s",
        ),
        _graph(
            "Findings at seals",
            "Missing, altered or foreign seals, and records that are not as they were sealed.",
            Query(
                f"max by (sink, finding) (audit_operator_seals_findings{{{_SINK}}})",
                "{{sink}} {{finding}}",
            ),
        ),
    ),
)

_STANDING = Row(
    "Who may read it, and does it comply?",
    (
        _graph(
            "Who may do what",
            "Users, service accounts and groups that may read what was recorded, write policies, or disable auditing.",
            Query(
                f"max by (control_plane, effect, expected) (audit_operator_permission_subjects{{{_PLANE}}})",
                "{{control_plane}} {{effect}} expected={{expected}}",
            ),
        ),
        _graph(
            "Controls by framework and verdict",
            "Of the frameworks that policies name; a control counts once for each policy.",
            Query(
                "max by (framework, verdict) (audit_operator_compliance_controls)",
                "{{framework}} {{verdict}}",
            ),
        ),
        _graph(
            "Compliance passing rate by framework",
            "Controls passed of those passed or failed.",
            Query(
                'max by (framework) (audit_operator_compliance_controls{verdict="Pass"}) / (sum by (framework) '
                '(max by (framework, verdict) (audit_operator_compliance_controls{verdict=~"Pass|Fail"})) > 0)',
                "{{framework}}",
            ),
            unit="percentunit",
        ),
    ),
)

_DETECTIONS = Row(
    "What do detections see?",
    (
        _graph(
            "Detections that fire",
            "By detection and policy; the alert has who and where, and the command that shows the events.",
            Query(
                f"count by (detection_name, severity, policy_kind, policy_namespace, policy_name) ({_FIRING})",
                "{{severity}} {{detection_name}} {{policy_kind}} {{policy_namespace}} {{policy_name}}",
            ),
        ),
        _graph(
            "Events that detections count",
            "Within 5 minutes, without those of the prober, by the digest of the condition.",
            Query(
                f"sum by (detection, object_namespace) ({counted(_EVENTS, 300)})",
                "{{detection}} {{object_namespace}}",
            ),
        ),
        _graph(
            "Time to detect",
            "From the answer of the API server to a request that a detection is about until it was seen to be counted. "
            "What was not counted in time is not in it.",
            *(
                Query(
                    f"histogram_quantile({part}, sum by (control_plane, le) "
                    f"(rate(audit_operator_detection_seconds_bucket{{{_PLANE}}}[$__rate_interval])))",
                    f"{{{{control_plane}}}} {name}",
                )
                for part, name in ((0.5, "half"), (0.99, "99 %"))
            ),
            unit="s",
        ),
        _graph(
            "Detections by whether they can fire",
            "No and Never: nothing that the policies record lets them fire; see the status of the policy.",
            Query("max by (can_fire) (audit_operator_detections)", "{{can_fire}}"),
        ),
        _graph(
            "Not told apart",
            "How often events of a detection found no room among its series, or were too large to be compared.",
            Query(
                _grown("audit_operator_detection_uncounted_total", by="control_plane, shipper"),
                "{{control_plane}} {{shipper}}",
            ),
        ),
        _graph(
            "Alert objects by state",
            "PrometheusRules of policies with detections; of any but Written nobody is told.",
            Query("max by (state) (audit_operator_alert_objects)", "{{state}}"),
        ),
    ),
)

_APPLICATIONS = Row(
    "Logs of applications",
    (
        _graph(
            "Pods by sidecar",
            "Injected: with the sidecar as it should be; any other state says why not.",
            Query(
                "max by (namespace, policy, state) (audit_operator_sidecar_pods)", "{{namespace}} {{policy}} {{state}}"
            ),
        ),
        _graph(
            "Lines that break the standard",
            "They are shipped, with the reason.",
            Query(
                "sum by (namespace, source) "
                "(increase(audit_operator_application_log_lines_quarantined_total[$__rate_interval]))",
                "{{namespace}} {{source}}",
            ),
        ),
        _graph(
            "Records given up by sidecars",
            "Refused for good by the store, or without room to wait.",
            Query(
                "sum by (namespace, sink, outcome) "
                f"(increase(audit_operator_application_log_records_total{{{_LOST}}}[$__rate_interval]))",
                "{{namespace}} {{sink}} {{outcome}}",
            ),
        ),
        _graph(
            "Sidecars that answer",
            "Pods whose sidecar has told lately what it has counted.",
            Query("max by (namespace, policy) (audit_operator_sidecars_answering)", "{{namespace}} {{policy}}"),
        ),
        _graph(
            "Lines read",
            "Received; and refused for lack of room, and read again.",
            Query(
                "sum by (namespace, outcome) (increase(audit_operator_application_log_lines_total[$__rate_interval]))",
                "{{namespace}} {{outcome}}",
            ),
        ),
        _graph(
            "Waiting in sidecars",
            "Bytes to be sent.",
            Query("max by (namespace, sink) (audit_operator_sidecar_queue_bytes)", "{{namespace}} {{sink}}"),
            unit="bytes",
        ),
    ),
    folded=True,
)

_READER = Row(
    "Reader and gateway",
    (
        _graph(
            "Requests to the reader by answer",
            "401: no good token; 403: not allowed there; 429: more than a share; 5xx: it, or its store, failed.",
            Query("sum by (status) (increase(audit_operator_reader_requests_total[$__rate_interval]))", "{{status}}"),
        ),
        _graph(
            "Answers that were not whole",
            "The store failed, the caller went away, or it took too long.",
            Query("sum(increase(audit_operator_reader_broken_total[$__rate_interval]))", "answers"),
        ),
        _graph(
            "Records shown",
            "Sent to callers of the reader.",
            Query("sum(increase(audit_operator_reader_records_total[$__rate_interval]))", "records"),
        ),
        _graph(
            "Requests to the gateway by answer",
            "API servers post anything but 200 again, five times, and drop it then.",
            Query("sum by (status) (increase(audit_operator_gateway_requests_total[$__rate_interval]))", "{{status}}"),
        ),
        _graph(
            "Events taken by the gateway",
            "In lists that were answered with 200.",
            Query("sum(increase(audit_operator_gateway_events_total[$__rate_interval]))", "events"),
        ),
        _graph(
            "Certificates that cannot be used",
            "1: there are newer ones on disk, and the last stay in force.",
            Query("max(audit_operator_gateway_certificate_refused)", "gateway"),
            Query("max(audit_operator_reader_certificate_refused)", "reader"),
        ),
    ),
    folded=True,
)

_SERVERS = Row(
    "API servers and their policy",
    (
        _graph(
            "API servers by what they run",
            "Programmed: ready, with the compiled policy.",
            Query(
                f"max by (control_plane, programmed) (audit_operator_api_servers{{{_PLANE}}})",
                "{{control_plane}} programmed={{programmed}}",
            ),
        ),
        _graph(
            "Rules of the compiled policy",
            "The API server reads them one after the other.",
            Query(f"max by (control_plane) (audit_operator_policy_rules{{{_PLANE}}})", "{{control_plane}}"),
        ),
        _graph(
            "Size of the compiled policy",
            "A status, a ConfigMap and a Secret hold a megabyte.",
            Query(f"max by (control_plane) (audit_operator_policy_size_bytes{{{_PLANE}}})", "{{control_plane}}"),
            unit="bytes",
        ),
        _graph(
            "Agents by state",
            "What agents of control-plane nodes do, where their metrics are exposed.",
            Query("sum by (state) (audit_operator_agent_state) > 0", "{{state}}"),
        ),
        _graph(
            "API servers ready, as agents see them",
            "Of their own nodes.",
            Query("sum(audit_operator_agent_api_server_ready)", "ready"),
        ),
        _graph(
            "Configurations that failed",
            "And that agents do not try again by themselves.",
            Query("sum(audit_operator_agent_failures)", "failed"),
        ),
    ),
    folded=True,
)

_OPERATOR = Row(
    "The operator itself",
    (
        _graph(
            "Objects",
            "What takes part in the plan; invalid objects do not.",
            Query("max by (kind) (audit_operator_objects)", "{{kind}}"),
        ),
        _graph(
            "Findings",
            "What is wrong with objects, by severity.",
            Query("max by (severity) (audit_operator_findings)", "{{severity}}"),
        ),
        _graph(
            "Leaders",
            "Replicas that lead: one. Runbook: AuditOperatorHasNoLeader.",
            Query("sum(audit_operator_leader)", "leaders"),
        ),
        _graph(
            "Age of what is known",
            "Of the oldest complete list, and of the oldest change not acted on, at the leader.",
            Query("max(audit_operator_sync_age_seconds and audit_operator_leader == 1)", "list"),
            Query("max(audit_operator_dirty_age_seconds and audit_operator_leader == 1)", "change"),
            unit="s",
        ),
        _graph(
            "Time of a reconciliation",
            "From facts to statuses, 99th percentile.",
            Query(
                "histogram_quantile(0.99, sum by (le) "
                "(rate(audit_operator_reconcile_duration_seconds_bucket[$__rate_interval])))",
                "99 %",
            ),
            unit="s",
        ),
        _graph(
            "Failures and defects",
            "Reconciliations that failed and are tried again; exceptions that are bugs.",
            Query("sum(increase(audit_operator_reconcile_failures_total[$__rate_interval]))", "failures"),
            Query("sum(increase(audit_operator_defects_total[$__rate_interval]))", "defects"),
        ),
        _graph(
            "Statuses",
            "Waiting, and written and tried again within a minute.",
            Query("sum(audit_operator_status_pending)", "waiting"),
            Query("sum(delta(audit_operator_status_written[1m]))", "written"),
            Query("sum(delta(audit_operator_status_retries[1m]))", "tried again"),
        ),
    ),
    folded=True,
)

ROWS = (_GLANCE, _PROOF, _SHIPPERS, _STORES, _STANDING, _DETECTIONS, _APPLICATIONS, _READER, _SERVERS, _OPERATOR)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana takes it."""
    return {
        "title": "audit-operator",
        "uid": "audit-operator",
        "description": "docs/metrics.md explains each metric, docs/runbooks.md what to do.",
        "tags": ["kubernetes", "audit"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "annotations": {"list": []},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "label": "Data source", "query": "prometheus"},
                _variable("control_plane", "Control plane", "audit_operator_policy_rules"),
                _variable("sink", "Sink", '{__name__=~"audit_operator_sink_up|audit_operator_sink_records_total"}'),
            ]
        },
        "panels": list(_laid_out()),
    }


def _variable(name: str, label: str, metric: str) -> dict[str, Any]:
    """Values of a label; all of them at first."""
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "type": "query",
        "label": label,
        "datasource": _SOURCE,
        "definition": query,
        "query": query,
        "refresh": 2,  # with every change of the time
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _laid_out() -> Iterator[dict[str, Any]]:
    top, number = 0, 1
    for row in ROWS:
        numbers = range(number + 1, number + 1 + len(row.panels))
        panels, height = _placed(row.panels, numbers, top + 1)
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": row.folded,
            "gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1},
            "panels": panels if row.folded else [],
        }
        if not row.folded:
            yield from panels
        top += 1 + (0 if row.folded else height)
        number = numbers.stop


def _placed(panels: tuple[Panel, ...], numbers: range, top: int) -> tuple[list[dict[str, Any]], int]:
    """The panels from left to right and then below, and how high they are together. A row has panels of one height."""
    placed, left, height = [], 0, 0
    for number, panel in zip(numbers, panels, strict=True):
        tall = _GRAPH_HEIGHT if panel.graph else _STAT_HEIGHT
        if left + panel.width > _WIDTH:
            left, height = 0, height + tall
        where = {"x": left, "y": top + height, "w": panel.width, "h": tall}
        placed.append({"id": number, **_panel(panel), "gridPos": where})
        left += panel.width
    return placed, height + tall


def _panel(panel: Panel) -> dict[str, Any]:
    steps = [{"color": colour, "value": value} for value, colour in panel.colours]
    defaults: dict[str, Any] = {"unit": panel.unit}
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.graph:
        defaults["min"] = 0
    return {
        "type": "timeseries" if panel.graph else "stat",
        "title": panel.title,
        "description": panel.said,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                **({} if panel.graph else {"instant": True}),
            }
            for number, query in enumerate(panel.queries)
        ],
    }


def render() -> str:
    """The file; always the same bytes."""
    return json.dumps(dashboard(), indent=2) + "\n"


def main() -> int:
    """Write or compare the file; the exit status is 1 where it differs."""
    parser = argparse.ArgumentParser(prog="python -m tools.dashboard", description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FILE", help="write it")
    action.add_argument("--check", type=Path, metavar="FILE", help="fail if it differs")
    options = parser.parse_args()
    if options.write:
        options.write.write_text(render(), encoding="utf-8")
        return 0
    if options.check.read_text("utf-8") == render():
        return 0
    print(f"{options.check} differs from tools/dashboard.py: run `make manifests`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
