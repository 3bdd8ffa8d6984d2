import pytest

from audit_operator.api.findings import Finding, Severity
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.collector_files import collector_files
from audit_operator.plan.credentials import ACCESS_KEY, SinkCredentials
from audit_operator.plan.shipping import shipping
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

UNREADABLE = Finding("sink-not-usable", Severity.ERROR, "there is no Secret", "create it")


def bucket(name, named="keys", kind="ClusterAuditSink"):
    namespace = "" if kind == "ClusterAuditSink" else "payments"
    reference = {"name": named, **({} if namespace else {"namespace": "audit"})}
    keys = {"credentials": {"type": "AccessKey", "secretRef": reference}} if named else {}
    return parsed(kind, name, {"type": "S3", "s3": {"bucket": "audit-logs"}, **keys}, namespace)


def files_for(*sinks, credentials=None):
    named = [{"kind": each.kind, "name": each.metadata.name} for each in sinks]
    cluster_wide = [each for each in named if each["kind"] == "ClusterAuditSink"]
    snapshot = Snapshot(
        audit_policies=(audit_policy("payments", rules=[{"level": "Request"}], sinkRefs=named),),
        cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=cluster_wide),),
        audit_sinks=tuple(each for each in sinks if each.kind == "AuditSink"),
        cluster_audit_sinks=tuple(each for each in sinks if each.kind == "ClusterAuditSink"),
        control_planes=(control_plane(),),
        namespaces=(NamespaceFact("payments"),),
    )
    if credentials is None:
        credentials = {each.ref: key_of("first") for each in sinks if each.spec.credentials}
    return collector_files(shipping(snapshot, plan(snapshot), "main"), snapshot, "c", credentials=credentials)


def key_of(content):
    return SinkCredentials({ACCESS_KEY: content.encode()})


def test_the_key_lies_where_the_collectors_environment_says():
    files = files_for(bucket("worm"))
    assert files.credentials == {ACCESS_KEY: b"first"}
    assert not files.findings


def test_another_key_is_another_configuration_though_no_configuration_names_it():
    sink = bucket("worm")
    digests = {files_for(sink, credentials={sink.ref: key_of(each)}).digest for each in ("first", "second", "second")}
    assert len(digests) == 2


def test_buckets_of_one_key_are_all_written_to():
    assert len(files_for(bucket("worm"), bucket("other")).sinks) == 2


@pytest.mark.parametrize("named", ["others", ""])
def test_a_bucket_of_another_key_or_none_is_not_written_to_with_the_first(named):
    first, second = bucket("a"), bucket("b", named)
    files = files_for(first, second)
    assert set(files.sinks) == {first.ref}
    assert str(first.ref) in files.findings[second.ref].message


def test_a_key_that_cannot_be_read_bars_no_other_bucket():
    first, second = bucket("a"), bucket("b", "others")
    files = files_for(first, second, credentials={first.ref: UNREADABLE, second.ref: key_of("second")})
    assert set(files.sinks) == {second.ref}
    assert files.findings == {first.ref: UNREADABLE}
    assert files.credentials == {ACCESS_KEY: b"second"}


def test_no_tenant_writes_with_the_key_of_the_platform_nor_with_the_nodes_identity():
    cluster_wide, own, bare = bucket("worm"), bucket("own", kind="AuditSink"), bucket("bare", "", kind="AuditSink")
    files = files_for(cluster_wide, own, bare)
    assert set(files.sinks) == {cluster_wide.ref}
    assert set(files.findings) == {own.ref, bare.ref}
