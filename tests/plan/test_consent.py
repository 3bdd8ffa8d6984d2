"""Naming a Secret is not enough to have it sent somewhere."""

from __future__ import annotations

import pytest

from audit_operator.plan.consent import withheld
from audit_operator.plan.credentials import SecretName
from audit_operator.plan.sink_addresses import address_of, origin
from tests.plan.objects import parsed
from tests.plan.test_credentials import AUTHORITY, BASIC, CLIENT, LOGIN, TLS, own
from tests.plan.test_shipping import sink


@pytest.mark.parametrize(
    "addresses",
    [["http://logs.audit:9428"], ["https://x", "http://LOGS.audit.:9428/path"], ["http://logs.audit:9428/"]],
)
def test_a_secret_that_names_the_sinks_address_may_be_sent_there(addresses):
    assert withheld(own(**BASIC), LOGIN, addresses) is None


@pytest.mark.parametrize(
    "addresses",
    [[], [""], ["true"], ["*"], ["https://logs.audit:9428"], ["http://logs.audit"], ["http://logs.audit:9429"],
     ["http://logs.audit.example:9428"], ["http://logs.audit:9428@mallory"], ["http://[", "http://logs.audit:x"]],
)  # fmt: skip
def test_any_other_may_not(addresses):
    assert withheld(own(**BASIC), LOGIN, addresses) is not None


def test_certificates_and_what_the_platform_names_need_no_word():
    guarded = own(**BASIC, **TLS)
    assert withheld(guarded, CLIENT, []) is None
    assert withheld(guarded, AUTHORITY, []) is None
    assert withheld(own(**TLS), CLIENT, []) is None
    reference = {"namespace": "audit", "name": "login"}
    wide = sink("ClusterAuditSink", "central", credentials={"type": "Bearer", "secretRef": reference})
    assert withheld(wide, SecretName("audit", "login"), []) is None


@pytest.mark.parametrize(
    ("type_", "section", "expected"),
    [
        ("Loki", {"loki": {"url": "https://loki.example/x"}}, "https://loki.example:443"),
        ("OTLP", {"otlp": {"endpoint": "http://[2001:DB8::1]"}}, "http://[2001:db8::1]:80"),
        ("S3", {"s3": {"bucket": "logs", "region": "eu-central-1"}}, "https://s3.eu-central-1.amazonaws.com:443"),
        ("S3", {"s3": {"bucket": "logs", "endpoint": "https://s3.example:9000"}}, "https://s3.example:9000"),
        ("OpenSearch", {"openSearch": {"url": "https://search.example:9200/"}}, "https://search.example:9200"),
    ],
)
def test_every_type_of_store_has_an_origin(type_, section, expected):
    assert origin(address_of(parsed("AuditSink", "own", {"type": type_, **section}, "payments"))[1]) == expected
