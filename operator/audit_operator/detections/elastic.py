"""Detection rules of Elastic for the audit log of Kubernetes: TOML files with queries in KQL, EQL or ES|QL."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from audit_operator.detections.condition import Condition, Every, Test
from audit_operator.detections.elastic_expression import expression
from audit_operator.detections.elastic_fields import field_called, is_about_audit
from audit_operator.detections.kql import kql
from audit_operator.detections.rule import DetectionRule, NotUnderstoodError, Pack

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVENT = re.compile(r"\s*any\s+where\s+(.*)", re.DOTALL)
_SEQUENCE = re.compile(r"\s*sequence\b([^\[]*)", re.DOTALL)
_KEPT = frozenset({"from", "keep", "drop", "limit", "sort", "eval", "rename"})
"""Commands of ES|QL that leave the events which come out as they are; what they name anew no condition knows."""


def elastic_rules(text: str, file: str) -> list[DetectionRule]:
    """The rule of a file if it is about audit events.

    Raises:
        NotUnderstoodError: the file is no TOML.
    """
    try:
        rule = tomllib.loads(text).get("rule")
    except tomllib.TOMLDecodeError as error:
        raise NotUnderstoodError(f"no TOML: {error}") from error
    if not isinstance(rule, dict) or not is_about_audit(str(rule.get("query", ""))):
        return []
    name = str(rule.get("name", file))
    try:
        return [_rule(rule, name, file)]
    except NotUnderstoodError as error:
        return [DetectionRule(Pack.ELASTIC, name, file, None, problem=str(error))]


def _rule(rule: dict[str, Any], name: str, file: str) -> DetectionRule:
    kind, language, query = rule.get("type"), rule.get("language"), str(rule["query"])
    if rule.get("filters"):
        raise NotUnderstoodError("filters beside the query are not followed")
    match kind, language:
        case (("query" | "new_terms" | "threshold"), "kuery"):
            needed = Every((kql(query), *_present(rule)))
            return DetectionRule(Pack.ELASTIC, name, file, needed, problem=_counting(rule))
        case "eql", _:
            return _eql(query, name, file)
        case "esql", _:
            condition, problem = _esql(query)
            return DetectionRule(Pack.ELASTIC, name, file, condition, problem=problem)
        case _:
            raise NotUnderstoodError(f"rules of type {kind} in {language} are not judged")


def _present(rule: dict[str, Any]) -> Iterator[Test]:
    """Fields whose new values fire a rule: events without them do not."""
    for each in (rule.get("new_terms") or {}).get("value", ()) if rule.get("type") == "new_terms" else ():
        yield Test(field_called(str(each)), place=f"new_terms: {each}")


def _counting(rule: dict[str, Any]) -> str:
    threshold = rule.get("threshold") or {}
    return "threshold: how many different values it takes is not judged" if threshold.get("cardinality") else ""


def _eql(query: str, name: str, file: str) -> DetectionRule:
    single, sequence = _EVENT.fullmatch(query), _SEQUENCE.match(query)
    if single:
        texts = [single[1]]
    elif sequence:
        texts = [_step(each) for each in re.findall(r"\[(.*?)\]\s*(?=\[|$)", query[sequence.end() :], re.DOTALL)]
    else:
        texts = []
    if not texts:
        raise NotUnderstoodError("only `any where` and sequences of it are judged")
    strict, *others = (expression(each, unknown_if_absent=True) for each in texts)
    loose = expression(texts[0], unknown_if_absent=False)
    problem = "sequence: each of its events can come, but not whether they come from one" if others else ""
    return DetectionRule(Pack.ELASTIC, name, file, strict, loose, problem, further=tuple(others))


def _step(text: str) -> str:
    found = _EVENT.fullmatch(text)
    if not found:
        raise NotUnderstoodError("only `any where` and sequences of it are judged")
    return found[1]


def _esql(query: str) -> tuple[Condition, str]:
    """What an event must be like, and why more may be needed."""
    parts: list[Condition] = []
    problem = ""
    for command in _commands(query):
        verb, _, rest = command.partition(" ")
        if verb.lower() == "where":
            try:
                parts.append(expression(rest, unknown_if_absent=True))
            except NotUnderstoodError as error:
                problem = problem or str(error)
        elif verb.lower() not in _KEPT:
            problem = problem or f"{verb.upper()}: what comes after it is not judged"
            if verb.lower() == "stats":
                break
    return Every(tuple(parts)), problem


def _commands(query: str) -> list[str]:
    """The commands of a query: at bars that stand in no text."""
    parts = re.findall(r'"""(?:.*?)"""|"(?:[^"\\]|\\.)*"|//[^\n]*|[^"|/]+|.', query, re.DOTALL)
    commands = [""]
    for part in parts:
        if part == "|":
            commands.append("")
        elif not part.startswith("//"):
            commands[-1] += part
    return [re.sub(r"^(\w+)\s+", r"\1 ", each.strip()) for each in commands if each.strip()]
