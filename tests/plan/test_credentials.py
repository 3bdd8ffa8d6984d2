"""From Secrets to files: each sink gets what it needs, from its own Secrets, or is left out with the reason."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from audit_operator.api.findings import Finding, ObjectRef
from audit_operator.plan import plan
from audit_operator.plan.collector_files import Places, collector_files
from audit_operator.plan.credentials import SecretName, SinkCredentials, bounded, secrets_of, sink_credentials
from audit_operator.plan.shipping import shipping
from tests.plan.test_shipping import CENTRAL, OWN, SNAPSHOT, sink

BASIC = {"credentials": {"type": "Basic", "secretRef": {"name": "login"}}}
TLS = {"tls": {"caSecretRef": {"name": "authority"}, "clientSecretRef": {"name": "client"}}}
LOGIN, AUTHORITY, CLIENT = (SecretName("payments", each) for each in ("login", "authority", "client"))
SECRETS = {
    LOGIN: {"username": b"audit", "password": b"correct horse"},
    AUTHORITY: {"ca.crt": b"an authority"},
    CLIENT: {"tls.crt": b"a certificate", "tls.key": b"a key"},
}


def own(**spec):
    return sink("AuditSink", "own", "payments", **spec)


def files(known, **spec):
    snapshot = replace(SNAPSHOT, audit_sinks=(own(**spec),))
    planned = shipping(snapshot, plan(snapshot), "main")
    return collector_files(planned, snapshot, "main", Places(credentials="/secret"), known)


def test_a_tenants_sink_reads_secrets_of_its_own_namespace_alone():
    assert secrets_of(own(**BASIC, **TLS)) == (AUTHORITY, CLIENT, LOGIN)
    assert secrets_of(own()) == ()


def test_a_cluster_wide_sink_names_the_namespace():
    reference = {"namespace": "audit", "name": "login"}
    wide = sink("ClusterAuditSink", "central", credentials={"type": "Bearer", "secretRef": reference})
    assert secrets_of(wide) == (SecretName("audit", "login"),)


def test_the_files_are_those_that_the_configuration_names():
    made = sink_credentials(own(**BASIC, **TLS), SECRETS)
    header = b"Basic " + base64.b64encode(b"audit:correct horse")
    assert made.files == {
        "authorization": header,
        "ca.crt": b"an authority",
        "tls.crt": b"a certificate",
        "tls.key": b"a key",
    }
    shipped = files({OWN: made}, **BASIC, **TLS)
    assert set(shipped.credentials.values()) == set(made.files.values())
    for path in shipped.credentials:
        assert f"/secret/{path}" in shipped.config
    assert "correct horse" not in shipped.config + repr(shipped) + repr(made)


def test_other_credentials_are_another_configuration_and_prove_nothing_of_what_was_sent_before():
    before = files({OWN: sink_credentials(own(**BASIC), SECRETS)}, **BASIC)
    other = {LOGIN: {"username": b"audit", "password": b"battery staple"}}
    after = files({OWN: sink_credentials(own(**BASIC), other)}, **BASIC)
    assert before.digest != after.digest
    changed = {each for each in before.settings if before.settings[each] != after.settings[each]}
    assert changed == {before.sinks[OWN]}
    assert before.sinks == after.sinks


def test_the_same_credentials_are_the_same_configuration():
    once, again = (files({OWN: sink_credentials(own(**BASIC), SECRETS)}, **BASIC) for _ in range(2))
    assert once == again


def test_contents_that_differ_only_in_where_one_ends_have_different_folders():
    one, other = SinkCredentials({"a": b"xy", "b": b"z"}), SinkCredentials({"a": b"x", "b": b"yz"})
    assert one.revision != other.revision


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({LOGIN: {}}, "payments/login"),
        ({LOGIN: {"username": b"a:b", "password": b"x"}}, "payments/login"),
        ({AUTHORITY: {"ca.crt": b"  "}}, "payments/authority has no key ca.crt"),
        ({CLIENT: {"tls.crt": b"x"}}, "payments/client has no key tls.key"),
        ({AUTHORITY: {"ca.crt": b"x" * 300_000}}, "more than"),
    ],
)
def test_what_a_secret_lacks_is_said_with_its_key_and_without_what_it_holds(changes, said):
    made = sink_credentials(own(**BASIC, **TLS), {**SECRETS, **changes})
    assert isinstance(made, Finding)
    assert said in made.message
    assert made.mend
    assert made.object == OWN
    assert "correct horse" not in str(made)


def test_a_sink_without_its_secret_is_left_out_and_the_others_get_everything():
    finding = sink_credentials(own(**BASIC), {LOGIN: {}})
    made = files({OWN: finding}, **BASIC)
    assert made.findings == {OWN: finding}
    assert set(made.sinks) == {CENTRAL}


def test_where_no_claim_can_be_mounted_no_file_is_written():
    file = sink("ClusterAuditSink", "central", type="File", victoriaLogs=None, file={"claimName": "audit"})
    snapshot = replace(SNAPSHOT, cluster_audit_sinks=(file,))
    planned = shipping(snapshot, plan(snapshot), "main")
    assert "claim" in collector_files(planned, snapshot, "main", Places(claims="")).findings[CENTRAL].message
    assert CENTRAL in collector_files(planned, snapshot, "main").sinks


def test_no_tenant_uses_up_what_shippers_can_be_told():
    large, small = SinkCredentials({"ca.crt": b"x" * 20_000}), SinkCredentials({"authorization": b"Bearer x"})
    refs = {name: ObjectRef("AuditSink", name, "payments") for name in ("a", "b", "c")}
    other, wide = ObjectRef("AuditSink", "z", "web"), ObjectRef("ClusterAuditSink", "z")
    known = {
        refs["c"]: small,
        refs["b"]: large,
        refs["a"]: large,
        other: large,
        wide: SinkCredentials({"ca.crt": b"x" * 99_999}),
    }
    found = bounded(known)
    assert {ref for ref, each in found.items() if isinstance(each, Finding)} == {refs["b"], refs["c"]}
    assert found[other] is large
    assert files({**known, OWN: large, refs["a"]: large}, **TLS).findings[OWN].object == OWN
