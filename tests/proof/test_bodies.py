"""A body holds what must be found again and what must not, and no request with one can do anything."""

from __future__ import annotations

import base64
import json

import pytest

from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.operations import Operation
from audit_operator.permissions.rbac import NOTHING
from audit_operator.proof.bodies import LABEL, WRITTEN, body_of, plain_word, secrets_in, written_by
from audit_operator.proof.requests import Marks, ProbeRequest
from audit_operator.proof.selecting import Selector
from audit_operator.shipping.redaction.places import LAST_APPLIED

CATALOGUE = builtin_catalogue()
CANARY = "canaryabc"
MARKS = Marks("id", "probe-abc", CANARY)
CREATED_BY_UPDATE = {
    "endpoints", "events", "leases", "limitranges", "services", "runtimeclasses",
    "roles", "rolebindings", "clusterroles", "clusterrolebindings",
}  # fmt: skip


def operation(verb, resource, group="", *, in_namespace=True):
    name, _, subresource = resource.partition("/")
    return Operation(verb, group, name, subresource, in_namespace=in_namespace)


def every_aim():
    for place in ("payments", "kube-system", ""):
        for action in CATALOGUE.actions:
            yield from Selector.every_with_body(action, place)


def test_nothing_is_created_and_what_an_update_would_create_is_patched():
    asked = {(aim.operation.verb, aim.operation.resource) for aim in every_aim()}
    assert {verb for verb, _ in asked} == {"patch", "update"}
    assert CREATED_BY_UPDATE & {resource for verb, resource in asked if verb == "update"} == set()
    assert {aim.sender for aim in every_aim()} == {Sender.PROBER}


def test_every_request_is_a_dry_run_about_an_object_of_the_one_name():
    for aim in every_aim():
        request = ProbeRequest.of(aim, MARKS)
        seen = request.attributes(None)
        assert (seen.name, "dryRun=All" in request.uri) == (NOTHING, True)
        assert (seen.resource, seen.subresource, seen.verb) == (
            aim.operation.resource, aim.operation.subresource, aim.operation.verb,
        )  # fmt: skip
        assert MARKS.name not in request.uri


def test_the_name_is_none_that_an_object_can_have():
    assert NOTHING.lower() != NOTHING


def test_everything_that_may_be_written_is_about_some_action():
    asked = {written_by(aim.operation) for aim in every_aim()}
    assert asked == set(WRITTEN)


def test_what_is_not_named_has_no_body():
    assert written_by(operation("patch", "leases", "coordination.k8s.io")) is None
    assert written_by(operation("create", "secrets")) is None
    assert written_by(operation("update", "roles", "rbac.authorization.k8s.io")) is None
    assert written_by(operation("patch", "pods/status")) is None


@pytest.mark.parametrize(
    ("resource", "group", "verb", "place", "held"),
    [
        ("secrets", "", "update", ("data", "probe"), 3),
        ("configmaps", "", "patch", ("data", "probe"), 2),
        ("pods", "", "patch", ("spec", "containers", 0, "env", 0, "value"), 1),
        ("cronjobs", "batch", "update", ("spec", "jobTemplate", "spec", "template", "spec", "containers"), None),
    ],
)
def test_secrets_stand_where_such_objects_have_them(resource, group, verb, place, held):
    asked = operation(verb, resource, group)
    found = body_of(asked, written_by(asked), "payments", CANARY)
    for step in place:
        found = found[step]
    assert found == secrets_in(CANARY)[held] if held is not None else found


def test_whole_objects_say_what_they_are_and_patches_do_not():
    update, patch = operation("update", "deployments", "apps"), operation("patch", "deployments", "apps")
    whole = body_of(update, written_by(update), "payments", CANARY)
    assert (whole["apiVersion"], whole["kind"]) == ("apps/v1", "Deployment")
    assert (whole["metadata"]["name"], whole["metadata"]["namespace"]) == (NOTHING, "payments")
    change = body_of(patch, written_by(patch), "payments", CANARY)
    assert set(change) == {"metadata", "spec"}
    assert change["metadata"]["annotations"][LAST_APPLIED] == secrets_in(CANARY)[0]


def test_each_word_of_a_body_is_told_from_the_others_and_from_the_canary():
    words = (CANARY, plain_word(CANARY), *secrets_in(CANARY))
    assert len(set(words)) == len(words) == 6
    assert not [(one, other) for one in words for other in words if one != other and one in other]
    assert base64.b64decode(secrets_in(CANARY)[3]).decode() == secrets_in(CANARY)[2]
    assert plain_word("another") != plain_word(CANARY)


def test_a_label_has_the_word_that_must_be_found_again():
    for aim in every_aim():
        body = json.loads(ProbeRequest.of(aim, MARKS).body)
        assert body["metadata"]["labels"] == {LABEL: plain_word(CANARY)}
