"""Verdicts as OSCAL assessment results, version 1.1.2.

OSCAL (NIST, public domain) knows `satisfied` and `not-satisfied` only. A finding is made of what passed or failed; what
could not be judged is an observation without a finding, so that no reader takes it for either. Identifiers are made
from what they identify: the same verdicts are the same document.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from audit_operator.api.compliance import Framework
from audit_operator.compliance.judgement import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.compliance.judgement import Judged, Result

OSCAL_VERSION = "1.1.2"
_NS = "https://audit-operator.dev/ns/oscal"
_STATES = {Outcome.PASS: ("satisfied", "pass"), Outcome.FAIL: ("not-satisfied", "fail")}
_NO_PLAN = "No assessment plan was followed: what is judged, and on which evidence, is in docs/compliance.md."


def to_oscal(results: Iterable[Result], *, about: str, at: str, version: str) -> dict[str, Any]:
    """The document.

    Args:
        results: the verdicts.
        about: what was judged, in words.
        at: when, in RFC 3339.
        version: ours.
    """
    plan = _uuid("plan", about)
    return {
        "assessment-results": {
            "uuid": _uuid("document", about, at),
            "metadata": {
                "title": f"Audit logs of {about}",
                "last-modified": at,
                "version": version,
                "oscal-version": OSCAL_VERSION,
                "remarks": "Made by audit-operator. It is about audit logs alone, and no certificate.",
            },
            "import-ap": {"href": f"#{plan}", "remarks": _NO_PLAN},
            "results": [_result(each, about, at) for each in results],
            "back-matter": {"resources": [{"uuid": plan, "title": "No assessment plan", "description": _NO_PLAN}]},
        }
    }


def control_id(framework: Framework, identity: str) -> str:
    """The id of a control as a token; of NIST SP 800-53 as NIST's own OSCAL catalogue has it: ``ac-6.9``."""
    if framework is Framework.NIST_800_53:
        return identity.lower().replace("(", ".").replace(")", "")
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{framework}-{identity}".lower()).strip("_")


def _result(result: Result, about: str, at: str) -> dict[str, Any]:
    key = (about, at, result.framework.value)
    decided = [each for each in result.judged if each.outcome in _STATES]
    selection: dict[str, Any] = {"description": "Controls that passed or failed."}
    if decided:
        selection["include-controls"] = [{"control-id": _id(each)} for each in decided]
    document: dict[str, Any] = {
        "uuid": _uuid("result", *key),
        "title": result.framework.value,
        "description": f"What the audit logs of {about} are evidence for.",
        "start": at,
        "end": at,
        "reviewed-controls": {"control-selections": [selection]},
        "observations": [_observation(each, key, at) for each in result.judged],
    }
    if decided:
        document["findings"] = [_finding(each, key) for each in decided]
    return document


def _observation(judged: Judged, key: tuple[str, ...], at: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "uuid": _uuid("observation", *key, judged.control.id),
        "title": str(judged.control),
        "description": f"{judged.control.title}: {judged.reason}",
        "props": [
            _prop("verdict", judged.outcome.value),
            _prop("control-id", _id(judged)),
            *([_prop("proof", judged.proof.value)] if judged.proof else []),
            *([_prop("proved-on", judged.proved_on)] if judged.proved_on else []),
        ],
        "methods": ["TEST" if judged.observations else "EXAMINE"],
        "types": ["control-objective"],
        "collected": at,
    }
    if judged.observations:
        document["relevant-evidence"] = [
            {
                "description": each.said,
                "props": [
                    _prop("standing", each.standing.value),
                    *([_prop("source", each.source)] if each.source else []),
                    *([_prop("seen", each.seen)] if each.seen else []),
                    *([_prop("proof", each.proof.value)] if each.proof else []),
                ],
            }
            for each in judged.observations
        ]
    if judged.control.beyond:
        document["remarks"] = f"Not judged: {judged.control.beyond}"
    return document


def _finding(judged: Judged, key: tuple[str, ...]) -> dict[str, Any]:
    state, reason = _STATES[judged.outcome]
    return {
        "uuid": _uuid("finding", *key, judged.control.id),
        "title": str(judged.control),
        "description": judged.reason,
        "target": {
            "type": "objective-id",
            "target-id": _id(judged),
            "description": judged.control.title,
            "status": {"state": state, "reason": reason},
        },
        "related-observations": [{"observation-uuid": _uuid("observation", *key, judged.control.id)}],
    }


def _id(judged: Judged) -> str:
    return control_id(judged.control.framework, judged.control.id)


def _prop(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": _NS, "value": value}


def _uuid(*parts: str) -> str:
    return str(uuid5(NAMESPACE_URL, "/".join((_NS, *parts))))
