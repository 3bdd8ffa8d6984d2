"""From a line to an event, and from an event to what the decision table is asked.

The API server decides on what stands in the request line, before it reads a body, and completes `objectRef` from the
body afterwards. What a body says is the sender's choice: the namespace that he writes into a cluster-scoped object, for
one, ends up in `objectRef.namespace`, and would move the trace of his request to where nobody asked for it. So the
namespace, and the name of what is created, are read from the path; see `policy.attributes` for the same in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.shipping.collector.attributes import KEY, QUARANTINE
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, cache, concat, text
from audit_operator.shipping.enforcement.table import (
    OTHER,
    URL_KEY,
    Step,
    exact_path,
    namespace_key,
    path_prefix,
)

if TYPE_CHECKING:
    from audit_operator.shipping.enforcement.table import Form, Shape

_RESOURCE_PATH = "^/+(?:api|apis/[^/]*)/[^/]*/(?:(?:watch|proxy)/)?"
_NAMESPACE = f"{_RESOURCE_PATH}namespaces/(?P<found>[^/]+)"
_NAME = f"{_RESOURCE_PATH}[^/]+/(?P<found>[^/]+)"
_NAME_IN_NAMESPACE = f"{_RESOURCE_PATH}namespaces/[^/]+/[^/]+/(?P<found>[^/]+)"
_NAMESPACE_IN_NAMESPACE = f"{_RESOURCE_PATH}namespaces/[^/]+/namespaces/(?P<found>[^/]+)"

FIRST = f"{KEY}first"
"""Looked up first of all. Absent, and with it any decision, where a path is spelled so that it must be decoded."""


def key(step: Step, place: int = 0) -> str:
    """Name of the attribute that holds what is read in a step."""
    return f"{KEY}{step.value}.{place}"


def recognise() -> tuple[Statements, ...]:
    """Tell events from lines that are none, which go to quarantine with the reason."""
    unknown, quarantine = text("?"), attribute(QUARANTINE)
    wrong = {
        f"no {field}": f"not IsString({body(field)})"
        for field in ("stageTimestamp", "verb", "requestURI", "stage", "auditID", "level")
    }
    wrong["no user"] = f"not IsMap({body('user')})"
    wrong["no audit.k8s.io/v1 Event"] = (
        f"{body('kind')} != {text('Event')} or {body('apiVersion')} != {text('audit.k8s.io/v1')}"
    )
    return (
        Statements((assign(quarantine, text("no JSON object"), "not IsMap(log.body)"),)),
        # One statement for what is nearly always the case; which of them it is, is asked only where one is.
        Statements((assign(quarantine, unknown, " or ".join(wrong.values())),), (f"{quarantine} == nil",)),
        Statements(
            tuple(assign(quarantine, text(reason), where) for reason, where in wrong.items()),
            (f"{quarantine} == {unknown}",),
        ),
    )


def read(shape: Shape) -> tuple[Statements, ...]:
    """Set the attributes that the decision table is asked with."""
    is_event = f"{attribute(QUARANTINE)} == nil"
    about_resource = f"IsMap({body('objectRef')})"
    return (
        Statements(_read_always(), (is_event,)),
        Statements(_read_resource(shape), (is_event, about_resource)),
        Statements(_read_url(shape), (is_event, f"not {about_resource}")),
    )


def _path() -> str:
    return f"Split({body('requestURI')}, {text('?')})[0]"


def _read_always() -> tuple[str, ...]:
    return (
        assign(attribute(key(Step.USER)), body("user", "username"), f"IsString({body('user', 'username')})"),
        assign(attribute(key(Step.VERB)), body("verb")),
    )


def _read_resource(shape: Shape) -> tuple[str, ...]:
    path, namespace = cache("path"), cache("namespace")
    fields = (("apiGroup", "group"), ("resource", "resource"), ("subresource", "subresource"))
    return (
        assign(path, _path()),
        assign(namespace, text("")),
        *(assign(cache(name), text("")) for _, name in fields),
        *(assign(cache(name), body("objectRef", field), _is_given(field)) for field, name in fields),
        assign(cache("found"), f"ExtractPatterns({path}, {text(_NAMESPACE)})"),
        assign(namespace, f'{cache("found")}["found"]', f'{cache("found")}["found"] != nil'),
        assign(attribute(FIRST), concat(text(namespace_key("")), namespace), f"not IsMatch({path}, {text('%')})"),
        assign(attribute("namespace"), namespace),
        *(assign(attribute(key(Step.RESOURCE, place)), _resource(form)) for place, form in enumerate(shape.forms)),
        *(_read_name(path, namespace) if shape.names else ()),
    )


def _is_given(field: str) -> str:
    return f"IsString({body('objectRef', field)})"


def _resource(form: Form) -> str:
    """What `Form.symbol` says of the resource."""
    parts = zip(form, ("group", "resource", "subresource"), strict=True)
    return concat(*(cache(name) if named else text(OTHER) for named, name in parts), between="/")


def _read_name(path: str, namespace: str) -> tuple[str, ...]:
    """The name that the policy saw. One that stands in the body of what is created, it did not see."""
    name, found = cache("name"), cache("found")
    creates = f"{body('verb')} == {text('create')}"
    of_namespace = f"{cache('resource')} == {text('namespaces')}"
    in_none = f"{namespace} == {text('')}"
    spelled = {
        _NAME: f"{creates} and {in_none}",
        _NAME_IN_NAMESPACE: f"{creates} and not ({in_none}) and not ({of_namespace})",
        _NAMESPACE_IN_NAMESPACE: f"{creates} and not ({in_none}) and {of_namespace}",
    }
    return (
        assign(name, text("")),
        assign(name, body("objectRef", "name"), f"not ({creates}) and {_is_given('name')}"),
        # For the Namespace itself, namespace and name are both its name.
        assign(name, namespace, f"{creates} and {of_namespace}"),
        *(
            statement
            for pattern, where in spelled.items()
            for statement in (
                assign(found, f"ExtractPatterns({path}, {text(pattern)})", where),
                assign(name, f'{found}["found"]', f'{where} and {found}["found"] != nil'),
            )
        ),
        assign(attribute(key(Step.NAME)), name),
    )


def _read_url(shape: Shape) -> tuple[str, ...]:
    path = cache("path")
    return (
        assign(path, _path()),
        assign(attribute(FIRST), text(URL_KEY), f"not IsMatch({path}, {text('%')})"),
        *(
            assign(attribute(key(Step.RESOURCE, 0)), text(path_prefix(prefix)), f"HasPrefix({path}, {text(prefix)})")
            for prefix in shape.prefixes
        ),
        assign(attribute(key(Step.RESOURCE, 1)), concat(text(exact_path("")), path)),
    )
