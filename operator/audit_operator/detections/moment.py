"""A moment in the life of a request at which an audit event is made, and what that event can hold.

Sources: `pkg/endpoints/filters/{audit,authn_audit}.go` and `pkg/audit/request.go` of kubernetes/apiserver.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level, Stage
from audit_operator.coverage.operations import CONNECT
from audit_operator.detections.bodies import ANYTHING, LIST, kind_of, type_at
from audit_operator.detections.condition import Constant, Field, Reading
from audit_operator.detections.domain import ABSENT, Domain, as_duration, as_integer, as_map, as_text, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.condition import Path, Test
    from audit_operator.policy.model import Request, User

DECISION = ("annotations", "authorization.k8s.io/decision")
_REASON = ("annotations", "authorization.k8s.io/reason")
_LATENCIES = "apiserver.latency.k8s.io/"
_TOTAL = ("annotations", f"{_LATENCIES}total")
_LEAST_LATENCY = 500.0
"""Milliseconds that a request takes at the most without a note of it."""
_REFUSALS = (404, 400, 403, 405, 406, 409, 410, 415, 422, 429, 500, 503, 504)
_LONG_RUNNING = CONNECT | {"log"}
_ANNOTATED = re.compile(
    r"([a-z.-]+\.)?(admission\.k8s\.io|pod-security\.kubernetes\.io|latency\.k8s\.io|authentication\.k8s\.io|invalid-cert"
    r"\.kubernetes\.io)/.+|k8s\.io/(deprecated|removed-release)"
)
_NEVER_FALSE = frozenset({"hostNetwork", "hostPID", "hostIPC", "stdin", "stdinOnce", "tty", "readOnly"})
"""Fields that are left out where they are false."""


class Outcome(Enum):
    """How far a request has come."""

    RECEIVED = "received"
    SUCCEEDED = "succeeded"
    FAILED = "was allowed and failed"
    FORBIDDEN = "was forbidden"
    UNAUTHENTICATED = "was not authenticated"
    PANICKED = "made the API server panic"


def moments_of(operation: Operation, user: User | None) -> Iterator[tuple[Stage, Outcome]]:
    """Stage and outcome of every event that there can be of a request, the commonest first."""
    if user is None:
        yield Stage.RESPONSE_STARTED, Outcome.UNAUTHENTICATED
        return
    outcomes = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.FORBIDDEN)
    yield from ((Stage.RESPONSE_COMPLETE, each) for each in outcomes)
    _, is_long, _ = character(operation)
    if operation.verb == "watch" or is_long:
        yield from ((Stage.RESPONSE_STARTED, each) for each in outcomes)
    yield Stage.REQUEST_RECEIVED, Outcome.RECEIVED
    yield Stage.PANIC, Outcome.PANICKED


def character(operation: Operation) -> tuple[bool, bool, bool]:
    """What events of an operation depend on besides its verb and its place, but for the URL and bodies."""
    is_long = operation.subresource in _LONG_RUNNING or operation.path.startswith("/debug/pprof")
    return bool(operation.path), is_long, operation.subresource in CONNECT


@dataclass(frozen=True, slots=True)
class Moment:
    """One event of one request. `user` None is a failed authentication."""

    operation: Operation
    user: User | None
    namespace: str
    name: str
    stage: Stage
    outcome: Outcome
    level: Level

    @property
    def request(self) -> Request:
        """What the policy sees."""
        return self.operation.request(self.user, self.namespace, self.name)

    @property
    def uri(self) -> str:
        """The path of the URL."""
        operation = self.operation
        if operation.path:
            return operation.path
        request = self.request
        parts = [f"/apis/{operation.api_group}/v1" if operation.api_group else "/api/v1"]
        if request.namespace and not operation.is_on_namespace:
            parts += ["namespaces", request.namespace]
        return "/".join(each for each in (*parts, operation.resource, request.name, operation.subresource) if each)

    def known(self, test: Test) -> Constant | None:
        """What a test amounts to in every event of this moment; None if that is left open."""
        return self.known_to(test) or self.known_of_user(test)

    def known_to(self, test: Test) -> Constant | None:
        """The same as far as it depends on no user."""
        match test.field.path:
            case ("verb",):
                return Constant(test.holds((self.operation.verb,)))
            case ("stage",):
                return Constant(test.holds((self.stage,)))
            case ("level",):
                return Constant(test.holds((self.level,)))
            case ("user", "username" | "groups"):
                return None
            case ("objectRef", key) if (found := self._reference(key)) is not None:
                return Constant(test.holds(found))
            case path:
                return _of_choices(test, self.domain(path))

    def known_of_user(self, test: Test) -> Constant | None:
        """The same of tests of who sends the request."""
        match test.field.path:
            case ("user", "username"):
                return Constant(test.holds((self.user.name,) if self.user else ()))
            case ("user", "groups"):
                return Constant(test.holds(self.user.groups if self.user else ()))
            case _:
                return None

    def _reference(self, key: str) -> tuple[str, ...] | None:
        operation, request = self.operation, self.request
        if operation.path:
            return ()
        known = {
            "resource": operation.resource,
            "subresource": operation.subresource,
            "apiGroup": operation.api_group,
            "namespace": request.namespace,
            "name": request.name,
        }
        if key not in known or (key == "name" and not request.name and operation.verb in _NAMED_LATER):
            return None
        return (known[key],) if known[key] else ()

    def domain(self, path: Path) -> Domain:
        """What the event can hold there, of what is not fixed."""
        root, *rest = path
        match root:
            case "requestURI":
                return self._uri_domain()
            case "objectRef":
                return self._reference_domain(rest)
            case "responseStatus":
                return self._status(".".join(rest))
            case "annotations":
                return self._annotation(path)
            case "requestObject" | "responseObject":
                kind = self._request_kind if root == "requestObject" else self._response_kind
                return self._object(kind, tuple(rest))
            case _:
                return self._of_request(root, rest)

    def _of_request(self, root: str, rest: list[str]) -> Domain:
        """Of what came with the request."""
        match root:
            case "userAgent":
                return Domain(defaults=("sample/1.0",))
            case "sourceIPs":
                return Domain(defaults=("192.0.2.1",), optional=False, many=True, accepts=_is_address)
            case "impersonatedUser":
                return self._impersonated(rest)
            case "user" if rest[:1] == ["extra"]:
                return Domain(defaults=("x",), many=True) if self.user else ABSENT
            case _:
                return Domain(doubt=f"{'.'.join((root, *rest))} is the API server's own, or no field of events")

    def _reference_domain(self, rest: list[str]) -> Domain:
        match rest:
            case ["name"]:
                return self._name_domain()
            case ["apiVersion"]:
                return Domain(defaults=("v1",), accepts=_is_version)
            case _:
                return Domain(doubt=f"objectRef.{'.'.join(rest)} is there of some requests only")

    def _uri_domain(self) -> Domain:
        base = self.uri

        def form(field: Field, example: str) -> Iterator[Any]:
            if field.reading is Reading.PARAMETER:
                yield f"{base}?{field.argument}={example}"
                return
            yield example
            yield f"{base}?{example}"

        return Domain(
            defaults=(base, f"{base}?pretty=true"),
            optional=False,
            accepts=lambda value: value == base or value.startswith(f"{base}?"),
            form=form,
            closed=bool(self.operation.path),
        )

    def _name_domain(self) -> Domain:
        if self.operation.verb == "create" and self.outcome not in (Outcome.SUCCEEDED, Outcome.FAILED):
            return ABSENT  # it is taken from the body, which is not read before
        return Domain(
            defaults=("sample",) if self.operation.verb == "create" else (),
            accepts=lambda each: bool(each) and "/" not in each,
            doubt="" if self.operation.verb == "create" else "a name comes from a field selector alone",
        )

    def _status(self, key: str) -> Domain:
        if self.outcome is Outcome.RECEIVED:
            return ABSENT
        if key == "code":
            return one_of(*self._codes())
        if self.outcome is Outcome.SUCCEEDED:
            return Domain(doubt=f"responseStatus.{key} is there of few requests that succeed")
        if key == "reason" and self.outcome in _REASONS:
            return one_of(_REASONS[self.outcome])
        return Domain(defaults=("Failure",))

    def _codes(self) -> tuple[int, ...]:
        match self.outcome:
            case Outcome.UNAUTHENTICATED:
                return (401,)
            case Outcome.FORBIDDEN:
                return (403,)
            case Outcome.PANICKED:
                return (500,)
            case Outcome.FAILED:
                return _REFUSALS
            case _ if self.operation.subresource in CONNECT:
                return (101, 200)
            case _:
                return {"create": (201, 200, 202), "delete": (200, 202)}.get(self.operation.verb, (200,))

    def _annotation(self, path: Path) -> Domain:
        if self.outcome in (Outcome.RECEIVED, Outcome.UNAUTHENTICATED):
            return ABSENT
        if path == DECISION:
            return one_of("forbid" if self.outcome is Outcome.FORBIDDEN else "allow")
        if path[1].startswith(_LATENCIES):
            return self._latency(path)
        if path == _REASON or _ANNOTATED.fullmatch(path[1]):
            return Domain(defaults=("x",), form=as_duration)
        return Domain(doubt=f"the API server itself makes no annotation {path[1]}")

    def _latency(self, path: Path) -> Domain:
        """They are made right before the last event, where the request has taken more than half a second."""
        if self.stage is not Stage.RESPONSE_COMPLETE:
            return ABSENT
        accepts = _is_noted if path == _TOTAL else _is_duration
        return Domain(defaults=("600ms", "1m0s"), form=as_duration, accepts=accepts)

    def _impersonated(self, rest: list[str]) -> Domain:
        if self.outcome in (Outcome.RECEIVED, Outcome.UNAUTHENTICATED):
            return ABSENT
        return Domain(defaults=("sample",), many=rest != ["username"])

    def kind_of(self, body: str) -> str:
        """The kind of ``requestObject`` or ``responseObject``; empty if there is none, or not known."""
        kind = self._request_kind if body == "requestObject" else self._response_kind
        return "" if kind == ANYTHING else kind

    @property
    def _request_kind(self) -> str:
        operation = self.operation
        if self.level < Level.REQUEST or self.outcome not in (Outcome.SUCCEEDED, Outcome.FAILED):
            return ""
        if self.stage is not Stage.RESPONSE_COMPLETE:
            return ""
        if operation.resource and operation.verb in ("delete", "deletecollection") and not operation.subresource:
            return "DeleteOptions"
        return kind_of(operation) if operation.has_request_body else ""

    @property
    def _response_kind(self) -> str:
        operation = self.operation
        if self.level < Level.REQUEST_RESPONSE or self.stage is not Stage.RESPONSE_COMPLETE:
            return ""
        if self.outcome in (Outcome.FAILED, Outcome.FORBIDDEN):
            return "Status" if operation.has_response_body else ""
        if self.outcome is not Outcome.SUCCEEDED or not operation.has_response_body:
            return ""
        kind = kind_of(operation)
        return f"{LIST}{kind}" if operation.verb == "list" and kind != ANYTHING else kind

    def _object(self, kind: str, path: Path) -> Domain:
        if not kind:
            return ABSENT
        found = type_at(kind, path) if kind != ANYTHING else ANYTHING
        where = ".".join(path)
        if found is None:
            if self.operation.verb != "patch":
                return ABSENT
            return Domain(defaults=("x",), doubt=f"{kind} has no field {where}; in patches anything can stand")
        if kind == ANYTHING:
            return Domain(defaults=("x",), many=True, doubt=f"which fields {self.operation.target} has is not known")
        if where in ("kind", "apiVersion"):
            return one_of(kind.removeprefix(LIST)) if where == "kind" else Domain(defaults=("v1",))
        many = found.startswith("[") or any(
            (type_at(kind, path[:end]) or "").startswith("[") for end in range(1, len(path))
        )
        return _of_type(found.strip("[]"), path[-1] if path else "", many=many or kind.startswith(LIST))


_NAMED_LATER = frozenset({"create", "list", "watch", "deletecollection"})
"""Verbs whose events may have a name that the policy has not seen."""
_REASONS = {Outcome.FORBIDDEN: "Forbidden", Outcome.UNAUTHENTICATED: "Unauthorized"}


def _of_choices(test: Test, domain: Domain) -> Constant | None:
    """What a test amounts to whichever of few values there is."""
    if domain.choices is None or domain.many:
        return None
    truths = {test.holds(test.field.read(each)) for each in domain.choices}
    if domain.optional:
        truths.add(test.holds(()))
    return Constant(truths.pop()) if len(truths) == 1 else None


def _is_duration(value: Any) -> bool:
    return bool(Field(_TOTAL, Reading.MILLISECONDS).read(value))


def _is_noted(value: Any) -> bool:
    return any(float(each) > _LEAST_LATENCY for each in Field(_TOTAL, Reading.MILLISECONDS).read(value))


def _of_type(kind: str, key: str, *, many: bool) -> Domain:
    match kind:
        case "boolean":
            return Domain(choices=(True,) if key in _NEVER_FALSE else (True, False), many=many)
        case "integer" | "number":
            return Domain(defaults=(1,), many=many, form=as_integer, accepts=lambda each: not isinstance(each, str))
        case "string" | "*":
            return Domain(defaults=("x",), many=many, form=as_text)
        case "{string}":
            return Domain(defaults=({"x": "x"},), many=many, form=as_map, accepts=lambda each: isinstance(each, dict))
        case _:
            return Domain(
                defaults=({},),
                many=many,
                accepts=lambda each: isinstance(each, dict),
                doubt="",
                closed=False,
            )


def _is_version(value: str) -> bool:
    return re.fullmatch("v[0-9]+((alpha|beta)[0-9]+)?", value) is not None


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True
