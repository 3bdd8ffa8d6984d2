"""What people expect of a policy, as unit tests of it: requests, and the level at which each must be recorded.

A policy is code that nobody runs before it counts. Expectations say what it is for, fail when somebody changes that,
and can be checked where no cluster is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from audit_operator.api.audit import Level, Stage
from audit_operator.api.model import ApiModel
from audit_operator.policy.attributes import NoRequestError, request_from_http
from audit_operator.policy.explain import Explanation, explain
from audit_operator.policy.model import Policy, User
from audit_operator.policy.typed_document import TypedDocument, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.findings import Finding
    from audit_operator.policy.model import Decision, Request

_METHOD_AND_URL = 2


class Caller(ApiModel):
    """Who sends the requests, before impersonation."""

    name: str = Field(max_length=1024)
    groups: tuple[str, ...] = ()


class Case(ApiModel):
    """What is expected of some requests, all of them.

    Attributes:
        user: who sends them; none is a failed authentication (401).
        requests: each a method and a URL, as in ``GET /api/v1/namespaces/web/pods?watch=true``.
        level: exactly this one. `at_least` and `at_most` leave room.
        stages: at which events there must be, where anything is recorded. Others may be there.
        without_stages: at which there must be none.
        managed_fields: whether managedFields are in the bodies.
    """

    name: str = Field(min_length=1, max_length=256)
    user: Caller | None = None
    requests: tuple[str, ...] = Field(min_length=1, max_length=1000)
    level: Level | None = None
    at_least: Level | None = None
    at_most: Level | None = None
    stages: tuple[Stage, ...] = ()
    without_stages: tuple[Stage, ...] = ()
    managed_fields: bool | None = None

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        for each in self.requests:
            if len(each.split()) != _METHOD_AND_URL or not each.split()[1].startswith("/"):
                raise PydanticCustomError("constraint", "a request is a method and a URL, as in GET /api/v1/pods")
        levels = (self.level, self.at_least, self.at_most)
        if levels == (None, None, None) and not (self.stages or self.without_stages) and self.managed_fields is None:
            raise PydanticCustomError("constraint", "nothing is expected; write level, atLeast, atMost or stages")
        if self.level is not None and (self.at_least is not None or self.at_most is not None):
            raise PydanticCustomError("constraint", "write level, or else atLeast and atMost")
        return self


class Expectations(ApiModel):
    """A file of expectations."""

    api_version: Literal["test.audit-operator.dev/v1alpha1"]
    kind: Literal["AuditPolicyTest"]
    cases: tuple[Case, ...] = Field(min_length=1, max_length=10_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request of a case.

    `problems` are in words, none where all is as expected; `explanation` is None for what is no request.
    """

    case: str
    request: str
    problems: tuple[str, ...]
    explanation: Explanation | None


def load_expectations(text: str | bytes, *, file: str = "") -> Expectations | tuple[Finding, ...]:
    """The expectations, or at least one finding of severity Error. Never raises."""
    read = read_document(text, Expectations, "the file", file=file)
    return read.value if isinstance(read, TypedDocument) else read


def check(policy: Policy, expectations: Expectations) -> Iterator[Outcome]:
    """One outcome for each request of each case, in order."""
    for case in expectations.cases:
        for text in case.requests:
            yield _outcome(policy, case, text)


def _outcome(policy: Policy, case: Case, text: str) -> Outcome:
    try:
        request = _request(case, text)
    except NoRequestError as error:
        return Outcome(case.name, text, (str(error),), None)
    explanation = explain(policy, request)
    return Outcome(case.name, text, tuple(_problems(case, explanation.decision)), explanation)


def _request(case: Case, text: str) -> Request:
    method, url = text.split()
    path, _, query = url.partition("?")
    user = None if case.user is None else User(case.user.name, case.user.groups)
    return request_from_http(method, path, query, user)


def _problems(case: Case, decision: Decision) -> Iterator[str]:
    level = decision.level
    if case.user is None:
        # A failed authentication has one event, at this stage (`WithFailedAuthenticationAudit` in upstream's filters).
        if unheard := [each for each in case.stages if each is not Stage.RESPONSE_STARTED]:
            yield f"a failed authentication has no event at {', '.join(unheard)}, whatever the policy says"
        if Stage.RESPONSE_STARTED in decision.omit_stages:
            level = Level.NONE
    if case.level is not None and level is not case.level:
        yield f"recorded at {level}, expected is {case.level}"
    if case.at_least is not None and level < case.at_least:
        yield f"recorded at {level}, expected is at least {case.at_least}"
    if case.at_most is not None and level > case.at_most:
        yield f"recorded at {level}, expected is at most {case.at_most}"
    if level is Level.NONE:
        if case.stages:
            yield f"not recorded at all, expected are events at {', '.join(case.stages)}"
        return
    yield from (f"no event at {each}" for each in case.stages if each in decision.omit_stages)
    yield from (f"an event at {each}" for each in case.without_stages if each not in decision.omit_stages)
    if case.managed_fields is not None and case.managed_fields is decision.omit_managed_fields:
        yield f"recorded {'without' if decision.omit_managed_fields else 'with'} managedFields"
