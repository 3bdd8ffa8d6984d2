"""A probe is what it claims to be, and can do no harm."""

from __future__ import annotations

import pytest

from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.coverage.probes import operations_at
from audit_operator.policy.model import User
from audit_operator.proof.requests import VERSION, Aim, Marks, ProbeRequest, sent_by

CATALOGUE = builtin_catalogue()
MARKS = Marks("id", "probe-abc", "canary-abc")
PROBER = User("prober", ("system:authenticated",))
PLACES = ["payments", "kube-system", ""]


def every_request():
    for action in CATALOGUE.actions:
        for place in PLACES:
            for operation in operations_at(action, place):
                yield ProbeRequest.of(Aim(operation, place, Sender.PROBER), MARKS)


def test_a_request_is_the_operation_that_was_asked_about():
    for request in every_request():
        wanted = request.aim.operation.request(PROBER, request.aim.place, MARKS.name)
        seen = request.attributes(PROBER)
        version = VERSION if seen.resource_request else ""
        about = (wanted.verb, wanted.resource_request, wanted.api_group, version, wanted.namespace)
        assert (seen.verb, seen.resource_request, seen.api_group, seen.api_version, seen.namespace) == about
        named = (wanted.resource, wanted.subresource, wanted.name)
        assert (seen.resource, seen.subresource, seen.name) == named, request.uri


def test_no_request_can_reach_anything_that_exists():
    for request in every_request():
        operation = request.aim.operation
        if not operation.path:
            assert request.path.split("/")[2 if not operation.api_group else 3] == VERSION
            assert not operation.is_named or operation.is_on_namespace or MARKS.name in request.path
        assert operation.path or request.method == "GET" or "dryRun=All" in request.uri


def test_every_request_has_a_canary_where_redaction_must_take_it_out():
    assert all(request.uri.endswith(f"probe-token={MARKS.canary}") for request in every_request())


def test_a_profile_of_the_api_server_would_be_short():
    [profile] = [each for each in every_request() if each.path == "/debug/pprof/profile"]
    assert "seconds=1&" in profile.uri


@pytest.mark.parametrize(
    ("sender", "user"),
    [
        (Sender.PROBER, PROBER),
        (Sender.IMPERSONATING, PROBER),
        (Sender.ANONYMOUS, User("system:anonymous", ("system:unauthenticated",))),
        (Sender.BAD_TOKEN, None),
    ],
)
def test_a_policy_sees_who_authenticated(sender, user):
    assert sent_by(sender, PROBER) == user
