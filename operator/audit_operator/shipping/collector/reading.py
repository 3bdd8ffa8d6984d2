"""From a line to an event, and from an event to what the decision table is asked.

The API server decides on what stands in the request line, before it reads a body, and completes `objectRef` from the
body afterwards. What a body says is the sender's choice: the namespace that he writes into a cluster-scoped object, for
one, ends up in `objectRef.namespace`, and would move the trace of his request to where nobody asked for it. So the
namespace, and the name of what is created, are read from the path; see `policy.attributes` for the same in Python. The
path is decoded as Go decodes it: whoever spells a namespace with a ``%`` would otherwise hide the event from its sinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.shipping.collector.attributes import KEY, QUARANTINE, RAW, UNREADABLE
from audit_operator.shipping.collector.ottl import (
    SilentStatements,
    Statements,
    assign,
    attribute,
    body,
    cache,
    concat,
    or_empty,
    text,
)
from audit_operator.shipping.collector.salvaging import salvage
from audit_operator.shipping.enforcement.table import (
    OTHER,
    URL_KEY,
    Step,
    exact_path,
    namespace_key,
    path_prefix,
    user_symbol,
)

if TYPE_CHECKING:
    from audit_operator.shipping.enforcement.table import Form, Shape

_RESOURCE_PATH = "^/+(?:api|apis/[^/]*)/[^/]*/(?:(?:watch|proxy)/)?"
_NAMESPACE = f"{_RESOURCE_PATH}namespaces/(?P<found>[^/]+)"
_NAME = f"{_RESOURCE_PATH}[^/]+/(?P<found>[^/]+)"
_NAME_IN_NAMESPACE = f"{_RESOURCE_PATH}namespaces/[^/]+/[^/]+/(?P<found>[^/]+)"
_NAMESPACE_IN_NAMESPACE = f"{_RESOURCE_PATH}namespaces/[^/]+/namespaces/(?P<found>[^/]+)"

_BROKEN_PERCENT = "%(?:[^0-9a-fA-F]|[0-9a-fA-F][^0-9a-fA-F]|[0-9a-fA-F]?$)"
"""The API server answers 400 and audits nothing (`url.Parse`)."""
_HEAD = r'^\{"kind":"Event","apiVersion":"audit[.]k8s[.]io/v1","level":"[A-Za-z]+","auditID":"[^"\\]*",'
_HEAD += r'"stage":"[A-Za-z]+","requestURI":"(?P<found>[^"\\?]*)'
"""The path of a request in a line that cannot be read as a whole, as the API server writes it."""

FIRST = f"{KEY}first"
"""Looked up first of all. Absent, and with it any decision, where the path cannot be read."""


VERB = "verb"
RESOURCE = ("apiGroup", "resource", "subresource")
"""Attributes that are shipped, and looked up with; redaction never changes what they are read from."""


def key(step: Step, place: int = 0) -> str:
    """Name of the attribute that holds what is read in a step."""
    return f"{KEY}{step.value}.{place}"


def recognise() -> tuple[Statements, ...]:
    """Parse lines, and tell events from lines that are none, which go to quarantine with the reason.

    Parsed here and not by the receiver: its parser takes time that grows with the square of the escapes in a line.
    """
    unknown, quarantine = text("?"), attribute(QUARANTINE)
    wrong = {
        f"no {field}": f"not IsString({body(field)})"
        for field in ("stageTimestamp", "verb", "requestURI", "stage", "auditID", "level")
    }
    wrong["no stageTimestamp"] += f" and {attribute(UNREADABLE)} == nil"
    wrong["no user"] = f"not IsMap({body('user')})"
    wrong["no audit.k8s.io/v1 Event"] = (
        f"{body('kind')} != {text('Event')} or {body('apiVersion')} != {text('audit.k8s.io/v1')}"
    )
    return (
        Statements((assign(attribute(RAW), "log.body"),)),
        SilentStatements((assign("log.body", "ParseJSON(log.body)"),)),
        salvage(),
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
        Statements((*_read_always(), *_read_resource(shape)), (is_event, about_resource)),
        Statements((*_read_always(), *_read_url(shape)), (is_event, f"not {about_resource}")),
        Statements(_read_what_is_left(), (f"not ({is_event})",)),
    )


def _read_path(uri: str) -> tuple[str, ...]:
    """Set the path to what stands before the query, decoded; it stays nil where that cannot be done."""
    path, spelled = cache("path"), cache("spelled")
    encoded = f"Index({spelled}, {text('%')}) >= 0"
    decoded = f'URL({concat(text("http://api"), spelled)})["url.path"]'
    return (
        assign(spelled, f"Split({uri}, {text('?')})[0]"),
        assign(path, spelled, f"not ({encoded})"),
        assign(path, decoded, f"{encoded} and not IsMatch({spelled}, {text(_BROKEN_PERCENT)})"),
    )


def _read_always() -> tuple[str, ...]:
    return (
        assign(
            attribute(key(Step.USER)),
            concat(text(user_symbol("")), body("user", "username")),
            f"IsString({body('user', 'username')})",
        ),
        assign(attribute(VERB), body("verb")),
    )


def _read_resource(shape: Shape) -> tuple[str, ...]:
    path, namespace = cache("path"), cache("namespace")
    return (
        *_read_path(body("requestURI")),
        *(assign(attribute(field), body("objectRef", field), _is_given(field)) for field in RESOURCE),
        *_read_namespace(path, namespace, f"IsString({path})"),
        *(assign(attribute(key(Step.RESOURCE, place)), _resource(form)) for place, form in enumerate(shape.forms)),
        *(_read_name(path, namespace) if shape.names else ()),
    )


def _read_namespace(path: str, namespace: str, there: str) -> tuple[str, ...]:
    found = cache("found")
    return (
        assign(namespace, text("")),
        assign(found, f"ExtractPatterns({path}, {text(_NAMESPACE)})", there),
        assign(namespace, f'{found}["found"]', f'{there} and {found}["found"] != nil'),
        assign(attribute(FIRST), concat(text(namespace_key("")), namespace), there),
        assign(attribute("namespace"), namespace, there),
    )


def _read_what_is_left() -> tuple[str, ...]:
    """Of a line that begins like an event: whose it is. A sender can make a body that no parser reads."""
    uri, found, path = cache("uri"), cache("found"), cache("path")
    return (
        assign(uri, text("")),
        assign(found, f"ExtractPatterns({attribute(RAW)}, {text(_HEAD)})"),
        assign(uri, f'{found}["found"]', f'{found}["found"] != nil'),
        *_read_path(uri),
        *_read_namespace(path, cache("namespace"), f"IsString({path}) and {uri} != {text('')}"),
    )


def _is_given(field: str) -> str:
    return f"IsString({body('objectRef', field)})"


def _resource(form: Form) -> str:
    """What `Form.symbol` says of the resource."""
    parts = zip(form, RESOURCE, strict=True)
    return concat(*(or_empty(attribute(field)) if named else text(OTHER) for named, field in parts), between="/")


def _read_name(path: str, namespace: str) -> tuple[str, ...]:
    """The name that the policy saw. One that stands in the body of what is created, it did not see."""
    name, found = cache("name"), cache("found")
    creates = f"{body('verb')} == {text('create')}"
    of_namespace = f"{attribute('resource')} == {text('namespaces')}"
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
                assign(found, f"ExtractPatterns({path}, {text(pattern)})", f"IsString({path}) and {where}"),
                assign(name, f'{found}["found"]', f'{where} and {found}["found"] != nil'),
            )
        ),
        assign(attribute(key(Step.NAME)), name),
    )


def _read_url(shape: Shape) -> tuple[str, ...]:
    path = cache("path")
    there = f"IsString({path})"
    return (
        *_read_path(body("requestURI")),
        assign(attribute(FIRST), text(URL_KEY), there),
        *(
            assign(
                attribute(key(Step.RESOURCE, 0)),
                text(path_prefix(prefix)),
                f"{there} and HasPrefix({path}, {text(prefix)})",
            )
            for prefix in shape.prefixes
        ),
        assign(attribute(key(Step.RESOURCE, 1)), concat(text(exact_path("")), path), there),
    )
