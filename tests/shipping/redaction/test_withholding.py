"""What is left of a request's address where redaction failed names no object."""

from __future__ import annotations

import re

import pytest

from audit_operator.shipping.redaction.parts import Part
from audit_operator.shipping.redaction.withholding import URI_HEAD


@pytest.mark.parametrize(
    ("uri", "left"),
    [
        ("/api/v1/namespaces/shop/pods", "/api/v1/namespaces/shop/pods"),
        ("/api/v1/namespaces/shop/pods/dora/exec?command=x", "/api/v1/namespaces/shop/pods/"),
        ("/apis/apps/v1/deployments?limit=1", "/apis/apps/v1/deployments?"),
        ("/api/v1/namespaces/shop/Pods%2Fx", "/api/v1/namespaces/shop/"),
        ("/api/v1/nodes/n/proxy/run/x", "/api/v1/nodes/"),
        ("/metrics", "/metrics"),
        ("/login?token=x", "/login?"),
        ("/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx", None),
        ("", None),
    ],
)
def test_the_resource_stays_and_the_object_goes(uri, left):
    found = re.search(URI_HEAD, uri)
    assert (found and found["head"]) == left


def test_parts_are_named_in_the_order_in_which_they_run():
    assert Part.USERNAME.later[:2] == (Part.ADDRESSES, Part.PROFILES)
    assert Part.LINE.later == ()
