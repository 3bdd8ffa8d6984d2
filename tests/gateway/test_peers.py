"""Which certificates are good."""

from __future__ import annotations

import pytest

from audit_operator.gateway.peers import is_allowed

CERTIFICATE = {
    "subject": ((("organizationName", "org"),), (("commonName", "api-server"),)),
    "subjectAltName": (("DNS", "api.example"), ("URI", "spiffe://cluster/api"), ("IP Address", "10.0.0.1")),
}


class Transport:
    def __init__(self, certificate):
        self.certificate = certificate

    def get_extra_info(self, name):
        return self.certificate if name == "peercert" else None


@pytest.mark.parametrize("name", ["api-server", "api.example", "spiffe://cluster/api"])
def test_a_name_of_the_certificate_is_enough(name):
    assert is_allowed(Transport(CERTIFICATE), ["other", name])


@pytest.mark.parametrize("name", ["org", "10.0.0.1", "api", "API-SERVER", ""])
def test_nothing_else_is(name):
    assert not is_allowed(Transport(CERTIFICATE), [name])


def test_without_a_certificate_nobody_has_a_name():
    assert not is_allowed(Transport(None), ["api-server"])
    assert not is_allowed(None, ["api-server"])


def test_without_names_everybody_may():
    assert is_allowed(Transport(None), [])
