"""Which API group serves which resource."""

from __future__ import annotations

from audit_operator.policy.known_resources import OBJECT_VERBS, KnownResource, known_resources

KNOWN = known_resources()


def test_resources_are_known_with_their_scope_verbs_and_subresources() -> None:
    pods = KNOWN.find("", "pods")
    assert pods is not None
    assert pods.namespaced
    assert pods.kind == "Pod"
    assert pods.verbs == OBJECT_VERBS
    assert pods.subresources["exec"] == {"create", "get"}
    namespaces = KNOWN.find("", "namespaces")
    assert namespaces is not None
    assert not namespaces.namespaced
    assert "deletecollection" not in namespaces.verbs


def test_a_resource_is_looked_up_in_its_group_alone() -> None:
    assert KNOWN.find("", "deployments") is None
    assert KNOWN.groups_serving("deployments") == ("apps",)
    assert KNOWN.groups_serving("events") == ("", "events.k8s.io")


def test_no_verb_is_beyond_those_of_requests() -> None:
    for each in KNOWN.served:
        assert each.verbs <= OBJECT_VERBS
        assert all(verbs <= OBJECT_VERBS for verbs in each.subresources.values())


def test_what_was_removed_is_known_with_its_release() -> None:
    assert KNOWN.group_removed_in("extensions") == (1, 22)
    assert KNOWN.group_removed_in("apps") is None
    assert KNOWN.group_removed_in("crd.example.com") is None
    ingresses = KNOWN.find_removed("extensions", "ingresses")
    assert ingresses is not None
    assert ingresses.moved_to == "networking.k8s.io"


def test_custom_resources_can_be_added() -> None:
    widgets = KnownResource("crd.example.com", "widgets")
    known = KNOWN.including([widgets])
    assert known.find("crd.example.com", "widgets") == widgets
    assert "crd.example.com" in known.groups
    assert "crd.example.com" not in KNOWN.groups
