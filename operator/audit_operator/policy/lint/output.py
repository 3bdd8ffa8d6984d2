"""Findings as text for people, as JSON for scripts and as SARIF for code review tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from audit_operator import __version__
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.text import printable
from audit_operator.policy.lint.linter import CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterable

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def as_text(findings: Iterable[Finding]) -> str:
    """Two lines per finding: what is wrong and where, and the mend; then how many there are of each severity."""
    findings = tuple(findings)
    lines = [line for finding in findings for line in _lines(finding)]
    counts = ", ".join(
        f"{count} {severity.lower()}{'' if count == 1 or severity is Severity.INFO else 's'}"
        for severity in reversed(Severity)
        if (count := sum(each.severity is severity for each in findings))
    )
    return "".join(f"{printable(line)}\n" for line in [*lines, counts or "no findings"])


def _lines(finding: Finding) -> Iterable[str]:
    location = finding.location
    place = f"{location.file}:{location.line}" if location.line else location.file
    path = "" if finding.message.startswith(finding.path) else finding.path  # the message may be about the path itself
    where = " ".join(str(each) for each in (finding.object, path) if each)
    prefix = f"{place}: " if place else ""
    yield f"{prefix}{finding.severity.lower()} {finding.id}: {f'{where}: ' if where else ''}{finding.message}"
    if finding.mend:
        yield f"    mend: {finding.mend}"


def as_json(findings: Iterable[Finding]) -> str:
    """A list of objects with id, severity, message, file, line, rule (or null), mend, path and object (or null)."""
    return json.dumps([_as_dict(each) for each in findings], indent=2) + "\n"


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        "message": finding.message,
        "file": finding.location.file,
        "line": finding.location.line,
        "rule": finding.rule,
        "mend": finding.mend,
        "path": finding.path,
        "object": str(finding.object) if finding.object else None,
    }


def as_sarif(findings: Iterable[Finding]) -> str:
    """SARIF 2.1.0 (OASIS), one run. A file's name becomes a relative URI, as code review tools want it."""
    findings = tuple(findings)
    titles = {check.id: check.title for check in CHECKS}
    ids = sorted({each.id for each in findings} | titles.keys())
    run = {
        "tool": {
            "driver": {
                "name": "audit-operator",
                "version": __version__,
                "rules": [_as_rule(each, titles.get(each, each)) for each in ids],
            }
        },
        "results": [_as_result(each, ids.index(each.id)) for each in findings],
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _as_rule(check: str, title: str) -> dict[str, Any]:
    severity = next((each.severity for each in CHECKS if each.id == check), Severity.ERROR)
    return {
        "id": check,
        "shortDescription": {"text": title},
        "help": {"text": f"See docs/lint.md, section {check}."},
        "defaultConfiguration": {"level": SARIF_LEVELS[severity]},
    }


def _as_result(finding: Finding, rule_index: int) -> dict[str, Any]:
    text = f"{finding.message}. Mend: {finding.mend}" if finding.mend else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": rule_index,
        "level": SARIF_LEVELS[finding.severity],
        "message": {"text": text},
    }
    if finding.location.file:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.location.file.replace("\\", "/"))}}
        if finding.location.line:
            place["region"] = {"startLine": finding.location.line}
        location: dict[str, Any] = {"physicalLocation": place}
        if finding.path:
            location["logicalLocations"] = [{"fullyQualifiedName": finding.path}]
        result["locations"] = [location]
    return result
