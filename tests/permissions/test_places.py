"""Which namespaces hold what matters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.parsing import parse_object
from audit_operator.permissions.places import Place, Places, stores_of


def sink(name, **spec):
    parsed = parse_object(
        {
            "apiVersion": "audit-operator.dev/v1alpha1",
            "kind": "ClusterAuditSink",
            "metadata": {"name": name},
            "spec": {"type": "VictoriaLogs", **spec},
        }
    )
    assert not isinstance(parsed, tuple), parsed
    return parsed


def at(url, **more):
    return sink("s", victoriaLogs={"url": url}, **more)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://victoria-logs.logs.svc:9428", {"logs"}),
        ("https://victoria-logs.logs.svc.cluster.local:9428/insert", {"logs"}),
        ("http://victoria-logs.logs:9428", {"logs"}),
        # Not a namespace, as far as anybody knows.
        ("https://logs.example:9428", set()),
        ("https://eu.logs.example.com", set()),
        ("http://10.0.0.7:9428", set()),
        ("http://[1:2:3]:9428", set()),
    ],
)
def test_the_namespace_of_a_store_is_in_its_address(url, expected):
    assert stores_of([at(url)], ["logs", "payments"]) == expected


def test_secrets_of_a_sink_lie_in_its_stores_places_too():
    keys = {"credentials": {"type": "Bearer", "secretRef": {"namespace": "keys", "name": "token"}}}
    trust = {"tls": {"caSecretRef": {"namespace": "trust", "name": "ca"}}}
    assert stores_of([at("https://logs.example", **keys, **trust)], []) == {"keys", "trust"}


def test_pods_may_mount_folders_of_nodes_unless_pod_security_forbids_it():
    def enforce(level):
        return {"pod-security.kubernetes.io/enforce": level}

    places = Places(frozenset({"op"}), labels={"a": enforce("baseline"), "b": enforce("privileged"), "c": {}})
    assert [each for each in ("a", "b", "c", "unknown") if places.holds(Place.HOST_PATH, each)] == ["b", "c", "unknown"]
    assert not replace(places, labels={"a": enforce("restricted")}).exists(Place.HOST_PATH)
    assert replace(places, labels={}).exists(Place.HOST_PATH)
