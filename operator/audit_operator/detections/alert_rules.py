"""Alerts of Prometheus for detections: groups of rules, as a file of them and a PrometheusRule hold them.

Names, thresholds and windows come from tenants, and what is grouped by from whoever sends requests. Neither may be
taken for PromQL, for a template, or by a shell into which somebody pastes the command of an annotation.
"""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from audit_operator.api.detection import DetectionKey
from audit_operator.detections.condition import Every, Some, Test
from audit_operator.detections.promql import expression, expression_of_crowded
from audit_operator.detections.series import label_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.detections.condition import Condition, Path
    from audit_operator.detections.own import OwnDetection

ALERT = "AuditDetection"
TOLD_APART = "told_apart"
"""Label, `no` on alerts of events that shippers had no room to tell apart: one may have sent them, or many."""
EVERY = "30s"
"""Time between two evaluations."""
_LATE = 10
"""Minutes that records may be older than when they were counted."""

_OPTIONS: dict[Path, str] = {
    ("user", "username"): "--user",
    ("verb",): "--verb",
    ("objectRef", "apiGroup"): "--group",
    ("objectRef", "resource"): "--resource",
    ("objectRef", "subresource"): "--resource",
    ("responseStatus", "code"): "--code",
}
_GROUP_OPTIONS = {
    DetectionKey.USER: "--user",
    DetectionKey.VERB: "--verb",
    DetectionKey.SOURCE: "--contains",
    DetectionKey.USER_AGENT: "--contains",
}
"""In this order: one text can be asked for, and an address is the rarer."""
_WORDS = {
    DetectionKey.USER: "user",
    DetectionKey.SOURCE: "source",
    DetectionKey.NAMESPACE: "namespace",
    DetectionKey.RESOURCE: "resource",
    DetectionKey.OBJECT: "object",
    DetectionKey.VERB: "verb",
    DetectionKey.USER_AGENT: "client",
}
_PLURALS = {
    DetectionKey.USER: "users",
    DetectionKey.SOURCE: "sources",
    DetectionKey.NAMESPACE: "namespaces",
    DetectionKey.RESOURCE: "resources",
    DetectionKey.OBJECT: "objects",
    DetectionKey.VERB: "verbs",
    DetectionKey.USER_AGENT: "clients",
}


def rule_group(
    holder: ObjectRef, detections: Sequence[OwnDetection], *, runbook: str = "", namespace: str = "", plane: str = ""
) -> dict[str, Any]:
    """The group of rules for the detections of a policy, or of a file.

    Args:
        holder: who says so; the detections of one in a namespace count the events of that namespace.
        detections: as `own.resolve` gives them.
        runbook: address of docs/runbooks.md, to which alerts link; none if empty.
        namespace: what the alert's label `namespace` says, by which AlertmanagerConfigs choose. Empty: the holder's.
        plane: the control plane that the holder belongs to; empty if there are none to tell apart.
    """
    rules = (
        rule for each in detections for rule in _rules(holder, each, runbook, namespace or holder.namespace, plane)
    )
    return {"name": f"audit-detections {holder}", "interval": EVERY, "rules": list(rules)}


def _rules(holder: ObjectRef, own: OwnDetection, runbook: str, namespace: str, plane: str) -> Iterator[dict[str, Any]]:
    """The alert of a detection; and where it tells something apart, the one of those events that had no room for it."""
    labels = {
        "detection_name": own.name,
        "policy_kind": holder.kind,
        "policy_namespace": holder.namespace,
        "policy_name": holder.name,
        "namespace": namespace,
        "severity": own.severity.value.lower(),
    }
    links = {"runbook_url": literal(f"{runbook}#{ALERT.lower()}")} if runbook else {}
    yield {
        "alert": ALERT,
        "expr": expression(own, holder.namespace, plane=plane),
        "labels": _literals(labels),
        "annotations": _annotations(holder, own, _what(own)) | links,
    }
    crowded = expression_of_crowded(own, holder.namespace, plane=plane)
    if crowded is not None:
        # Whoever sent them is not known, so nothing but the namespace may be said of the group.
        groups = tuple(each for each in own.group_by if each is DetectionKey.NAMESPACE)
        what = f"different {_PLURALS[own.distinct]}, or events" if own.distinct else "events"
        said = f"up to {{{{ $value }}}} {what} of one within {own.window} s: some had no room to be told apart"
        yield {
            "alert": ALERT,
            "expr": crowded,
            "labels": _literals(labels | {TOLD_APART: "no"}),
            "annotations": _annotations(holder, replace(own, group_by=groups), said) | links,
        }


def _literals(labels: dict[str, str]) -> dict[str, str]:
    return {name: literal(value) for name, value in labels.items() if value}


def _annotations(holder: ObjectRef, own: OwnDetection, what: str) -> dict[str, str]:
    query = _query(own, holder.namespace)
    return {
        "summary": f"{literal(own.name)}: {what}{_whose(own)}",
        "description": f"{literal(str(holder))} looks for this. What came, and from whom, is in the records:\n{query}",
        "query": query,
    }


def literal(text: str) -> str:
    """A template that gives this text, whatever it is."""
    # Strings of JSON are strings of Go, where surrogates are written as what they stand for.
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if "{" in text else text


def _what(own: OwnDetection) -> str:
    counted = f"different {_PLURALS[own.distinct]}" if own.distinct else "events"
    return f"{{{{ $value }}}} {counted} within {own.window} s"


def _whose(own: OwnDetection) -> str:
    """The group, as templates that give it on one line."""
    values = [f"{_WORDS[key]} {_shown(_value(key))}" for key in own.group_by]
    return f", {', '.join(values)}" if values else ""


def _value(key: DetectionKey) -> str:
    return f"$labels.{label_of(key)}"


def _shown(value: str) -> str:
    return f'{{{{ {value} | reReplaceAll "[[:cntrl:]]" "?" }}}}'


def _query(own: OwnDetection, namespace: str) -> str:
    """The command that shows the events, as a template."""
    options = _fixed(own.condition)
    for key, option in _GROUP_OPTIONS.items():
        if key in own.group_by:
            options.setdefault(option, _pasted(_value(key)))
    since = f"--since {math.ceil(own.window / 60) + _LATE}m"
    if not namespace and DetectionKey.NAMESPACE not in own.group_by:
        # Of all namespaces at once: `query` wants them named.
        user = [f"--user={options['--user']}"] if "--user" in options else []
        folder = literal(shlex.quote(f"incident-{own.name}"))
        return " ".join(["audit-operator incident", since, *user, f"-o {folder}"])
    value = _value(DetectionKey.NAMESPACE)
    chosen = f"{{{{ if {value} }}}}-n {_pasted(value)}{{{{ else }}}}--cluster-scoped{{{{ end }}}}"
    whose = f"-n {namespace}" if namespace else chosen
    return " ".join(["audit-operator query", whose, since, *map("=".join, options.items())])


def _fixed(condition: Condition) -> dict[str, str]:
    """Options of `query` for what every event has that counts; values as a shell reads them, in a template."""
    said: dict[str, list[str]] = {}
    for path, text in _pinned(condition):
        if path in _OPTIONS:
            said.setdefault(_OPTIONS[path], []).append(text)
    # What a terminal would act on, a tenant may have written so that somebody pastes it.
    return {
        option: literal(shlex.quote("/".join(texts))) for option, texts in said.items() if "".join(texts).isprintable()
    }


def _pinned(condition: Condition) -> Iterator[tuple[Path, str]]:
    """Fields that have one value alone, where the condition holds."""
    match condition:
        case Every(parts) | Some((_,) as parts):
            for each in parts:
                yield from _pinned(each)
        case Test(field, (pattern,)) if pattern.pins and pattern.text:
            yield field.path, pattern.text


def _pasted(value: str) -> str:
    """A value as a shell reads it, as a template; what a terminal would act on is left out."""
    return f"""'{{{{ {value} | reReplaceAll "[[:cntrl:]]" "?" | reReplaceAll "'" "'\\\\''" }}}}'"""
