"""What a policy's sidecars run with."""

from __future__ import annotations

import json

import pytest

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.plan import Snapshot
from audit_operator.plan.application_logs import (
    NO_SINK,
    NOT_IN_PODS,
    STATE_BYTES,
    LogVolume,
    application_files,
    longest_line,
    not_injected,
)
from audit_operator.plan.credentials import SinkCredentials
from tests.plan.objects import audit_policy, cluster_policy, parsed

FILES = [
    {"volume": "logs", "path": "audit/*.log"},
    {"volume": "data", "path": "b.log"},
    {"volume": "logs", "path": "c"},
]
STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://store:9428"}}
BEARER = {"type": "Bearer", "secretRef": {"name": "token"}}
CLUSTER_BEARER = {"type": "Bearer", "secretRef": {"name": "token", "namespace": "audit"}}


def sink(name="own", **spec):
    return parsed("AuditSink", name, {**STORE, **spec}, "shop")


def cluster_sink(name="central", **spec):
    return parsed("ClusterAuditSink", name, {**STORE, **spec})


def policy(*sinks, **spec):
    refs = [{"kind": each.kind, "name": each.metadata.name} for each in sinks]
    logs = {"files": FILES, **spec.pop("logs", {})}
    return audit_policy("shop", "orders", preset="Metadata", sinkRefs=refs, applicationLogs=logs, **spec)


def files(*sinks, credentials=None, **spec):
    snapshot = Snapshot(
        audit_sinks=tuple(each for each in sinks if each.kind == "AuditSink"),
        cluster_audit_sinks=tuple(each for each in sinks if each.kind == "ClusterAuditSink"),
    )
    return application_files(policy(*sinks, **spec), snapshot, "prod", credentials=credentials or {})


def configuration(made):
    """The document behind the text, each of whose lines is a key or a value of the outermost map."""
    lines = [json.loads(each[2:]) for each in made.config.splitlines()]
    return dict(zip(lines[0::2], lines[1::2], strict=True))


def test_a_policy_without_application_logs_has_no_sidecars():
    assert application_files(audit_policy(), Snapshot(), "prod") is None


def test_every_volume_is_mounted_once():
    made = files(sink())
    assert made.volumes == (
        LogVolume("data", "/var/log/audit-shipper/data"),
        LogVolume("logs", "/var/log/audit-shipper/logs"),
    )
    include = configuration(made)["receivers"]["file_log"]["include"]
    assert "/var/log/audit-shipper/logs/audit/*.log" in include
    assert "/var/log/audit-shipper/data/b-[0-9]*.log" in include


def test_records_go_to_every_sink_and_wait_for_it():
    own, central = sink(), cluster_sink()
    made = files(own, central)
    assert set(made.sinks) == {own.ref, central.ref}
    assert not made.findings
    assert not made.secrets
    exporters = configuration(made)["exporters"]
    queues = [each["sending_queue"] for each in exporters.values()]
    assert all(each["block_on_overflow"] and each["storage"] for each in queues)
    assert sum(each["queue_size"] for each in queues) <= STATE_BYTES / 4


def test_a_secret_of_the_namespace_is_mounted():
    own = sink(credentials=BEARER)
    made = files(own)
    assert made.secrets == {own.ref: "/etc/audit-shipper-credentials/auditsink.shop.own"}
    held = SinkCredentials({"authorization": b"Bearer x"})
    made = files(own, credentials={own.ref: held})
    [path] = made.credentials
    assert made.secrets == {own.ref: f"/etc/audit-shipper-credentials/{path.removesuffix('/authorization')}"}
    assert f"/etc/audit-shipper-credentials/{path}" in made.config
    assert "Bearer x" not in made.config + repr(made)


@pytest.mark.parametrize(
    "unusable",
    [
        cluster_sink(credentials=CLUSTER_BEARER),
        cluster_sink(tls={"clientSecretRef": {"name": "tls", "namespace": "audit"}}),
        parsed("ClusterAuditSink", "files", {"type": "File", "file": {"claimName": "audit"}}),
        sink("grpc", type="OTLP", victoriaLogs=None, otlp={"endpoint": "http://x", "protocol": "GRPC"}),
    ],
    ids=["credentials", "client certificate", "file", "an address without a port"],
)
def test_a_sink_that_no_sidecar_can_use_is_said_and_harms_no_other(unusable):
    own = sink()
    made = files(unusable, own)
    assert set(made.sinks) == {own.ref}
    assert [(each.id, each.path) for each in made.findings] == [(NOT_IN_PODS, "spec.sinkRefs")]
    assert str(unusable.ref) in made.findings[0].message
    alone = files(unusable)
    assert alone.config == alone.digest == ""
    assert [each.id for each in alone.findings] == [NOT_IN_PODS, NO_SINK]


@pytest.mark.parametrize(
    "keys",
    [{}, {"credentials": {"type": "AccessKey", "secretRef": {"name": "keys"}}}],
    ids=["without a key", "with a key"],
)
def test_no_bucket_is_written_to_from_a_pod_where_the_node_would_lend_its_identity(keys):
    bucket = parsed("AuditSink", "bucket", {"type": "S3", "s3": {"bucket": "any"}, **keys}, "shop")
    platforms = parsed("ClusterAuditSink", "bucket", {"type": "S3", "s3": {"bucket": "any"}})
    for each in (bucket, platforms):
        made = files(each, credentials={each.ref: SinkCredentials({})})
        assert (made.config, made.sinks, made.secrets) == ("", {}, {})
        assert [found.id for found in made.findings] == [NOT_IN_PODS, NO_SINK]
        assert "no access key is lent" in made.findings[0].message


def test_an_authority_of_the_platform_is_no_secret():
    central = cluster_sink(tls={"caSecretRef": {"name": "ca", "namespace": "audit"}})
    made = files(central)
    assert set(made.sinks) == set(made.secrets) == {central.ref}


def test_credentials_that_are_not_there_are_said():
    own = sink(credentials=BEARER)
    missing = Finding("sink-not-usable", Severity.ERROR, "there is no Secret", "create it", object=own.ref)
    made = files(own, credentials={own.ref: missing})
    assert [each.id for each in made.findings] == [NOT_IN_PODS, NO_SINK]
    assert "there is no Secret" in made.findings[0].message


def test_the_digest_changes_with_what_the_collector_is_told_and_with_nothing_else():
    made = files(sink())
    assert made.digest in made.config
    assert files(sink()).digest == made.digest
    assert files(sink(), retention={"minimum": "1d"}).digest == made.digest
    for other in ({"logs": {"timeFormat": "UnixSeconds"}}, {"redaction": {"profiles": ["PII"]}}):
        assert files(sink(), **other).digest != made.digest


def test_only_pseudonyms_of_users_need_a_key():
    assert not files(sink()).pseudonyms
    assert files(sink(), redaction={"pseudonymize": ["Username"]}).pseudonyms
    assert not files(sink(), redaction={"pseudonymize": ["SourceIPs"]}).pseudonyms


def test_the_longest_line_is_one_that_every_sink_takes():
    loki = sink("loki", type="Loki", victoriaLogs=None, loki={"url": "http://loki:3100"})
    assert longest_line([]) == longest_line([sink()]) == 2**20
    assert longest_line([sink(), loki]) == 256 * 2**10


def test_what_a_tenant_writes_is_no_expansion():
    pattern = {"name": "a", "regex": "a[$]b", "replacement": "${env:HOME}"}
    made = files(sink(), redaction={"patterns": [pattern]})
    assert all(found.startswith("${env:A") for found in _expansions(made.config))


def _expansions(text):
    """What the collector would expand: a ``$`` that is not doubled, and what follows."""
    halves = text.split("$$")
    return [f"${part[:20]}" for half in halves for part in half.split("$")[1:]]


def test_a_cluster_wide_policy_is_told_that_it_gets_no_sidecars():
    logs = {"files": [{"volume": "logs", "path": "a.log"}]}
    [found] = not_injected(cluster_policy(preset="Metadata", applicationLogs=logs))
    assert found.path == "spec.applicationLogs"
    assert not list(not_injected(cluster_policy()))


def test_another_namespaces_sinks_are_not_written_to():
    foreign = parsed("AuditSink", "own", STORE, "other")
    made = application_files(policy(sink()), Snapshot(audit_sinks=(foreign,)), "prod")
    assert made is not None
    assert not made.sinks


def test_a_sink_is_known_by_its_reference():
    assert files(sink()).sinks == {ObjectRef("AuditSink", "own", "shop"): "otlp_http/auditsink.shop.own"}
