"""The attributes that the API server gives a request, and what an event tells of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.attributes import NoRequestError, request_from_event, request_from_http
from audit_operator.policy.list_options import ListOptions, parse_query
from audit_operator.policy.model import Request, User

ALICE = User("alice", ("dev",), "u-1")


def attributes(request: Request) -> dict[str, Any]:
    """What is set, in short names."""
    fields = {
        "verb": request.verb,
        "group": request.api_group,
        "version": request.api_version,
        "ns": request.namespace,
        "res": request.resource,
        "sub": request.subresource,
        "name": request.name,
    }
    return {key: value for key, value in fields.items() if value}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /api/v1/nodes", {"verb": "list", "res": "nodes"}),
        ("HEAD /api/v1/nodes", {"verb": "list", "res": "nodes"}),
        ("GET /api/v1/nodes?watch=1", {"verb": "watch", "res": "nodes"}),
        ("GET /api/v1/nodes/n1", {"verb": "get", "res": "nodes", "name": "n1"}),
        ("GET /api/v1/nodes/n1?watch=1", {"verb": "get", "res": "nodes", "name": "n1"}),
        ("POST /api/v1/namespaces/shop/pods", {"verb": "create", "ns": "shop", "res": "pods"}),
        ("PUT /api/v1/namespaces/shop/pods/web", {"verb": "update", "ns": "shop", "res": "pods", "name": "web"}),
        ("PATCH /api/v1/namespaces/shop/pods/web", {"verb": "patch", "ns": "shop", "res": "pods", "name": "web"}),
        ("DELETE /api/v1/namespaces/shop/pods/web", {"verb": "delete", "ns": "shop", "res": "pods", "name": "web"}),
        ("DELETE /api/v1/namespaces/shop/pods", {"verb": "deletecollection", "ns": "shop", "res": "pods"}),
        ("OPTIONS /api/v1/nodes", {"res": "nodes"}),
        ("get /api/v1/nodes", {"res": "nodes"}),
        (
            "POST /api/v1/namespaces/shop/pods/web/exec?command=sh",
            {"verb": "create", "ns": "shop", "res": "pods", "sub": "exec", "name": "web"},
        ),
        (
            "GET /api/v1/namespaces/shop/pods/web/proxy/a/b",
            {"verb": "get", "ns": "shop", "res": "pods", "sub": "proxy", "name": "web"},
        ),
        # the Namespace itself
        ("GET /api/v1/namespaces", {"verb": "list", "res": "namespaces"}),
        ("POST /api/v1/namespaces", {"verb": "create", "res": "namespaces"}),
        ("GET /api/v1/namespaces/shop", {"verb": "get", "ns": "shop", "res": "namespaces", "name": "shop"}),
        ("DELETE /api/v1/namespaces/shop/", {"verb": "delete", "ns": "shop", "res": "namespaces", "name": "shop"}),
        (
            "PUT /api/v1/namespaces/shop/status",
            {"verb": "update", "ns": "shop", "res": "namespaces", "sub": "status", "name": "shop"},
        ),
        (
            "PUT /api/v1/namespaces/shop/finalize",
            {"verb": "update", "ns": "shop", "res": "namespaces", "sub": "finalize", "name": "shop"},
        ),
        ("GET /api/v1/namespaces/shop/other", {"verb": "list", "ns": "shop", "res": "other"}),
        # verbs in the path
        ("GET /api/v1/watch/pods", {"verb": "watch", "res": "pods"}),
        ("GET /api/v1/watch/namespaces/shop/pods", {"verb": "watch", "ns": "shop", "res": "pods"}),
        ("POST /api/v1/watch/pods/web", {"verb": "watch", "res": "pods", "name": "web"}),
        ("GET /api/v1/proxy/nodes/n1/logs", {"verb": "proxy", "res": "nodes", "name": "n1"}),
        # empty segments
        ("GET /api/v1/namespaces//pods", {"verb": "list", "res": "pods"}),
        ("GET //api/v1/nodes//", {"verb": "list", "res": "nodes"}),
        ("GET /api/v1//nodes", {"verb": "get", "name": "nodes"}),
        # percent-encoding
        ("GET /api/v1/nodes/a%20b", {"verb": "get", "res": "nodes", "name": "a b"}),
        ("GET /api/v1/nodes/a+b", {"verb": "get", "res": "nodes", "name": "a+b"}),
        ("GET /api/v1/nodes/a%2Fb", {"verb": "get", "res": "nodes", "sub": "b", "name": "a"}),
        ("GET /api/v1/nodes/%ff", {"verb": "get", "res": "nodes", "name": "\udcff"}),
    ],
)
def test_resource_requests(line: str, expected: dict[str, str]) -> None:
    method, uri = line.split(" ")
    path, _, query = uri.partition("?")
    request = request_from_http(method, path, query, ALICE)
    assert request.resource_request
    assert request.user == ALICE
    assert attributes(request) == {"version": "v1", **expected}


def test_the_group_is_the_one_in_the_path() -> None:
    request = request_from_http("GET", "/apis/apps/v1/namespaces/shop/deployments/web/scale")
    assert attributes(request) == {
        "verb": "get",
        "group": "apps",
        "version": "v1",
        "ns": "shop",
        "res": "deployments",
        "sub": "scale",
        "name": "web",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "*",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/healthz",
        "/version",
        "/a/b/c/d",
    ],
)
def test_requests_about_no_resource(path: str) -> None:
    request = request_from_http("GET", path)
    assert request == Request(None, "get", resource_request=False, path=path)


def test_the_verb_of_a_request_about_no_resource_is_its_method_in_lower_case() -> None:
    assert request_from_http("OPTIONS", "/healthz").verb == "options"


def test_a_path_is_compared_decoded() -> None:
    assert request_from_http("GET", "/health%7a").path == "/healthz"


@pytest.mark.parametrize("path", ["/api/v1/watch", "/apis/apps/v1/proxy/", "/api/v1/nodes/%zz", "/%", "/a%2"])
def test_what_the_api_server_refuses_before_it_audits_is_no_request(path: str) -> None:
    with pytest.raises(NoRequestError):
        request_from_http("GET", path)


@pytest.mark.parametrize(
    ("query", "watch", "name"),
    [
        ("", False, ""),
        ("watch=true", True, ""),
        ("watch=", True, ""),
        ("watch", True, ""),
        ("watch=no", True, ""),
        ("watch=0", False, ""),
        ("watch=FALSE", False, ""),
        ("watch=false&watch=true", False, ""),
        ("Watch=true", False, ""),
        ("%77atch=true", True, ""),
        ("watch=%zz", False, ""),
        ("watch=true;a=b", False, ""),
        ("fieldSelector=metadata.name%3Dweb", False, "web"),
        ("fieldSelector=metadata.name=web", False, "web"),
        ("fieldSelector=metadata.name==web&watch=1", True, "web"),
        ("fieldSelector=metadata.name!=web", False, ""),
        ("fieldSelector=a=b,metadata.name=web", False, "web"),
        ("fieldSelector=metadata.name=b,metadata.name=a", False, "a"),
        ("fieldSelector=,metadata.name=web,", False, "web"),
        ("fieldSelector=metadata.name=a\\,b", False, "a,b"),
        ("fieldSelector=metadata.name=a\\b", False, ""),
        ("fieldSelector=metadata.name=a=b", False, ""),
        ("fieldSelector=metadata.name=web,x", False, ""),
        ("fieldSelector=metadata.name=a/b", False, ""),
        ("fieldSelector=metadata.name=a%2525b", False, ""),
        ("fieldSelector=metadata.name=..", False, ""),
        ("fieldSelector=metadata.name=", False, ""),
        ("fieldSelector=metadata.name=web&limit=500", False, "web"),
        ("fieldSelector=metadata.name=web&limit=", False, ""),
        ("fieldSelector=metadata.name=web&limit=1_0", False, ""),
        ("fieldSelector=metadata.name=web&timeoutSeconds=9223372036854775808", False, ""),
        ("fieldSelector=metadata.name=web&timeoutSeconds=-000000000000000000000001", False, "web"),
        ("fieldSelector=metadata.name=web&labelSelector=a%3Db,c+in+(d,e),!f,g>5", False, "web"),
        ("fieldSelector=metadata.name=web&labelSelector=a==,b+notin+()", False, "web"),
        ("fieldSelector=metadata.name=web&labelSelector=a+b", False, ""),
        ("fieldSelector=metadata.name=web&labelSelector=a,", False, ""),
        ("fieldSelector=metadata.name=web&labelSelector=-a", False, ""),
        ("fieldSelector=metadata.name=web&labelSelector=A.b/c", False, ""),
        ("fieldSelector=metadata.name=web&labelSelector=a>x&watch=1", True, ""),
    ],
)
def test_the_query_tells_lists_from_watches_and_may_name_an_object(query: str, *, watch: bool, name: str) -> None:
    assert ListOptions.parse(query) == ListOptions(watch, name)
    request = request_from_http("GET", "/api/v1/pods", query)
    assert (request.verb, request.name) == ("watch" if watch else "list", name)


def test_the_query_names_nothing_where_the_path_holds_the_verb() -> None:
    assert request_from_http("GET", "/api/v1/watch/pods", "fieldSelector=metadata.name=web").name == ""


def test_a_query_with_too_many_parameters_has_none() -> None:
    assert parse_query("a=1&" * 9_999 + "b=2") == {"a": "1", "b": "2"}
    assert parse_query("a=1&" * 10_000 + "b=2") == {}


@pytest.mark.parametrize(
    "text", ["a" * 500_000, "a." * 250_000, "a-" * 250_000, " " * 500_000, "a in (" + "b," * 200_000, "\\" * 500_001]
)
def test_no_selector_sends_a_pattern_into_endless_backtracking(text: str) -> None:
    ListOptions.parse(f"labelSelector={text}&fieldSelector=metadata.name={text}")


# --- events -----------------------------------------------------------------------------------------------------


def event(verb: str, uri: str, **fields: Any) -> dict[str, Any]:
    user = {"username": "alice", "groups": ["dev"], "uid": "u-1"}
    return {"kind": "Event", "verb": verb, "requestURI": uri, "user": user, **fields}


def test_an_event_is_judged_by_its_uri_and_not_by_its_completed_objectref() -> None:
    created = event("create", "/api/v1/namespaces/shop/pods", objectRef={"resource": "pods", "name": "web-x7"})
    request = request_from_event(created)
    assert request == request_from_http("POST", "/api/v1/namespaces/shop/pods", "", ALICE)
    assert request.name == ""


def test_the_user_of_an_event_is_the_one_before_impersonation() -> None:
    impersonating = event("get", "/api/v1/pods", impersonatedUser={"username": "bob"})
    assert request_from_event(impersonating).user == ALICE


@pytest.mark.parametrize("user", [{}, {"username": "", "groups": None}, {"extra": {}}])
def test_an_empty_user_is_a_failed_authentication(user: dict[str, Any]) -> None:
    assert request_from_event(event("list", "/api/v1/pods", user=user)).user is None


def test_a_user_without_groups_is_a_user() -> None:
    assert request_from_event(event("list", "/api/v1/pods", user={"username": "x"})).user == User("x")


@pytest.mark.parametrize(
    ("verb", "uri", "name"),
    [
        ("list", "/api/v1/pods?fieldSelector=metadata.name%3Dweb", "web"),
        ("watch", "/api/v1/pods?watch=1&fieldSelector=metadata.name%3Dweb", "web"),
        ("watch", "/api/v1/watch/pods?fieldSelector=metadata.name%3Dweb", ""),
        ("deletecollection", "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dweb", ""),
        ("", "/api/v1/pods", ""),
    ],
)
def test_the_verb_of_an_event_holds_and_tells_whether_a_selector_can_name_the_object(
    verb: str, uri: str, name: str
) -> None:
    request = request_from_event(event(verb, uri))
    assert (request.verb, request.name) == (verb, name)


def test_a_verb_that_its_uri_contradicts_is_believed() -> None:
    assert request_from_event(event("list", "/api/v1/pods?watch=1")).verb == "list"


def test_an_event_about_no_resource() -> None:
    request = request_from_event(event("get", "/healthz?verbose"))
    assert request == Request(ALICE, "get", resource_request=False, path="/healthz")


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"verb": "get"},
        event("get", "/api/v1/watch"),
        event("get", "/%zz"),
        {**event("get", "/"), "user": []},
        {**event("get", "/"), "user": {"username": 5}},
        {**event("get", "/"), "user": {"username": "a", "groups": [5]}},
        {**event("get", "/"), "user": {"username": "a", "groups": "dev"}},
        {**event("get", "/"), "verb": None},
    ],
)
def test_an_event_that_tells_too_little_becomes_a_finding(broken: dict[str, Any]) -> None:
    finding = request_from_event(broken)
    assert isinstance(finding, Finding)
    assert (finding.id, finding.severity) == ("unreadable-event", Severity.ERROR)


@given(st.text("/apisv1nmew%2F.tchroxy?=&,:;+", max_size=60), st.sampled_from(["GET", "POST", "DELETE", "x"]))
def test_whatever_the_uri_there_is_a_request_or_a_reason(uri: str, method: str) -> None:
    path, _, query = uri.partition("?")
    try:
        request = request_from_http(method, path, query)
    except NoRequestError:
        assert isinstance(request_from_event(event("get", uri)), Finding)
    else:
        assert request_from_event({"verb": request.verb, "requestURI": uri, "user": {}}) == request or method == "x"
