"""What can be linted: policy files, ConfigMaps that hold one, and our own kinds, also in Lists and in a row.

Text in, findings out, with the line of each finding. A text that holds nothing to lint is reported: silence must mean
that a policy was looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit_policy import AuditPolicy
from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
from audit_operator.api.findings import Finding, Location, ObjectRef, Severity
from audit_operator.api.parsing import parse_object
from audit_operator.api.resource import GROUP
from audit_operator.policy.api_rules import rule_of
from audit_operator.policy.document import Document, Member, Object, Path, Scalar, parse_document
from audit_operator.policy.lint.check import Role
from audit_operator.policy.lint.linter import lint_policy
from audit_operator.policy.loading import ErrorClass, load_document
from audit_operator.policy.model import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.policy.known_resources import KnownResources, KubernetesVersion
    from audit_operator.policy.model import Rule

API_VERSION = "audit.k8s.io/v1"
_API_GROUP = "audit.k8s.io/"

_LINE_END = re.compile(r"(?<=[\n\x85\u2028\u2029])|(?<=\r)(?!\n)")
"""After each line, as YAML 1.1 counts them."""

SILENTLY_WRONG = frozenset({"unknown-key", "duplicate-key"})
"""What the API server only warns of, and an error to us: without the key, the rule means something else."""

NOT_IN_A_NAMESPACE = "put the rule into a ClusterAuditPolicy: an AuditPolicy is about requests in its namespace alone"


@dataclass(frozen=True, slots=True)
class Context:
    """What is the same for all that one call lints.

    Attributes:
        file: name for the findings.
        version: oldest Kubernetes version that is to read the policies; None if unknown.
        known: the resources that exist; None for those built into Kubernetes.
    """

    file: str = ""
    version: KubernetesVersion | None = None
    known: KnownResources | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """One document on its way, and what goes for the whole call."""

    document: Document
    content: str
    context: Context


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a text that holds several; `before` is the number of lines before it."""

    content: str
    before: int


def lint_text(
    text: str, *, file: str = "", version: KubernetesVersion | None = None, known: KnownResources | None = None
) -> tuple[Finding, ...]:
    """Lint everything in a text; findings in the order of the text. Never raises, whatever the text.

    Args:
        text: YAML, of one or several documents, or JSON.
        file: its name, for the findings.
        version: oldest Kubernetes version that is to read the policies; None if unknown.
        known: the resources that exist, by default those built into Kubernetes.
    """
    context = Context(file, version, known)
    parts = split_documents(text)
    results = [_lint_part(part, context) for part in parts]
    if not any(result is not None for result in results):
        message = "nothing to lint: neither a policy, nor a ConfigMap with one, nor an object of audit-operator"
        mend = f"a policy begins with `apiVersion: {API_VERSION}` and `kind: Policy`"
        return (Finding("nothing-to-lint", Severity.WARNING, message, mend, location=Location(file)),)
    findings = [finding for result in results if result is not None for finding in result]
    if len(parts) > 1 and _is_policy_file(parse_document(parts[0].content).value):
        findings.append(_further_document(parts[1], file))
    return tuple(sorted(findings, key=lambda each: each.location.line))


def split_documents(text: str) -> tuple[Part, ...]:
    """The documents of a YAML stream, without those that hold nothing but comments; JSON is one document."""
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        return (Part(text, 0),)
    parts = []
    start = 0
    lines = _LINE_END.split(text)
    for number, line in enumerate([*lines, "---"]):
        if number > start and re.match(r"---(\s|$)", line):
            if any(not re.match(r"\s*(#|---\s*(#|$)|$)", each) for each in lines[start:number]):
                parts.append(Part("".join(lines[start:number]), start))
            start = number
    return tuple(parts) or (Part(text, 0),)


def _further_document(part: Part, file: str) -> Finding:
    return Finding(
        "further-document",
        Severity.WARNING,
        "as a policy file, the API server reads the first document alone; it ignores everything from here on",
        "put each policy into a file of its own",
        location=Location(file, part.before + 1),
    )


def _lint_part(part: Part, context: Context) -> list[Finding] | None:
    """The findings of one document, None if it holds nothing to lint."""
    document = parse_document(part.content)
    source = _Source(document, part.content, context)
    if not document.readable or _is_policy_file(document.value):
        findings: list[Finding] | None = _lint_policy_file(document, context)
    else:
        found = [
            result
            for path, item in _objects(document.value)
            if (result := _lint_object(item, path, source)) is not None
        ]
        findings = [finding for result in found for finding in result] if found else None
    return None if findings is None else [_moved(each, part.before, context.file) for each in findings]


def _moved(finding: Finding, lines: int, file: str) -> Finding:
    line = finding.location.line
    return replace(finding, location=Location(file, line + lines if line else 0))


def _is_policy_file(value: Any) -> bool:
    """Whether it is, or was meant to be, what the API server takes as a policy file."""
    if not isinstance(value, dict):
        return False
    version, kind = value.get("apiVersion"), value.get("kind")
    if isinstance(version, str) and version:
        return version.startswith(_API_GROUP)
    return "rules" in value or kind == "Policy"


def _objects(value: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The objects in a document: itself, or the items of a List."""
    if not isinstance(value, dict):
        return
    if str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
        for number, item in enumerate(value["items"]):
            yield from _objects(item, (*path, "items", number))
        return
    yield path, value


def _lint_object(item: dict[str, Any], path: Path, source: _Source) -> list[Finding] | None:
    version = str(item.get("apiVersion", ""))
    if version.startswith(f"{GROUP}/"):
        return [_located(each, source.document, path) for each in _lint_own_kind(item, source.context)]
    if version == "v1" and item.get("kind") == "ConfigMap":
        return _lint_config_map(item, path, source)
    return None


# --- policy files -------------------------------------------------------------------------------------------------


def _lint_policy_file(document: Document, context: Context) -> list[Finding]:
    # Loaded as by the newest API server: what older ones refuse is a check of its own.
    loaded = load_document(document)
    findings = [_judged(each) for each in loaded.findings]
    policy = loaded.policy
    if policy is None and loaded.refused is ErrorClass.VERSION:
        # Written for a version that is gone; the rest of what is wrong with it is worth knowing at once.
        policy = load_document(_as_current_version(document)).policy
    if policy is not None:
        found = lint_policy(policy, version=context.version, known=context.known, written=document.value)
        findings += [_located(each, document) for each in found]
    return findings


def _judged(finding: Finding) -> Finding:
    return replace(finding, severity=Severity.ERROR) if finding.id in SILENTLY_WRONG else finding


def _as_current_version(document: Document) -> Document:
    tree = document.tree
    if isinstance(tree, Object):
        current = Member("apiVersion", tree.line, Scalar(API_VERSION, API_VERSION, tree.line))
        tree = Object([current, *(each for each in tree.members if each.key != "apiVersion")], tree.line)
    return replace(document, tree=tree)


def _located(finding: Finding, document: Document, root: Path = ()) -> Finding:
    line = document.line((*root, *steps(finding.path)))
    return replace(finding, location=replace(finding.location, line=line))


def steps(path: str) -> Path:
    """The steps of a path as written in a finding: ``rules[3].verbs``."""
    return tuple(name or int(index) for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path))


# --- ConfigMaps ---------------------------------------------------------------------------------------------------


def _lint_config_map(item: dict[str, Any], path: Path, source: _Source) -> list[Finding] | None:
    data = item.get("data")
    texts = {key: text for key, text in data.items() if isinstance(text, str)} if isinstance(data, dict) else {}
    policies = {key: text for key, text in texts.items() if _API_GROUP in text}
    if not policies:
        return None
    ref = _ref_of(item)
    findings = []
    for key, text in policies.items():
        at = (*path, "data", key)
        for finding in _lint_policy_file(parse_document(text), source.context):
            place = f"data[{key}]" + (f": {finding.path}" if finding.path else "")
            line = _line_within(source, at, finding.location.line)
            findings.append(replace(finding, object=ref, path=place, location=Location(line=line)))
    return findings


def _line_within(source: _Source, path: Path, line: int) -> int:
    """The line of the outer text on which a line of a value stands.

    A literal block (``key: |``) begins on the line after its key and keeps its lines; for any other value it is the
    line of the key.
    """
    start = source.document.line(path)
    first = _LINE_END.split(source.content)[start - 1] if start else ""
    return start + line if re.search(r":\s+(&\S+\s+)?\|[-+0-9]*\s*(#.*)?$", first) else start


def _ref_of(item: dict[str, Any]) -> ObjectRef:
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return ObjectRef(str(item.get("kind", "")), str(metadata.get("name", "")), str(metadata.get("namespace") or ""))


# --- our kinds ----------------------------------------------------------------------------------------------------


def _lint_own_kind(item: dict[str, Any], context: Context) -> Iterator[Finding]:
    parsed = parse_object(item)
    if isinstance(parsed, tuple):
        yield from parsed
        return
    ref = _ref_of(item)
    match parsed:
        case AuditPolicy():
            namespace = (parsed.metadata.namespace,)
            rules = [replace(rule_of(each), namespaces=namespace) for each in parsed.spec.rules]
            for finding in _lint_rules(rules, parsed, Role.PART, context):
                mend = NOT_IN_A_NAMESPACE if finding.id == "scope-mismatch" else finding.mend
                yield replace(finding, object=ref, mend=mend, path=f"spec.{finding.path}")
        case ClusterAuditPolicy():
            for finding in _lint_rules(map(rule_of, parsed.spec.rules), parsed, Role.PART, context):
                yield replace(finding, object=ref, path=f"spec.{finding.path}")
            for finding in _lint_rules(map(rule_of, parsed.spec.limits), parsed, Role.LIMITS, context):
                yield replace(finding, object=ref, path=f"spec.limits{finding.path.removeprefix('rules')}")
        case _:
            pass


def _lint_rules(
    rules: Iterable[Rule], owner: AuditPolicy | ClusterAuditPolicy, role: Role, context: Context
) -> tuple[Finding, ...]:
    policy = Policy(tuple(rules), frozenset(owner.spec.omit_stages), owner.spec.omit_managed_fields)
    return lint_policy(policy, version=context.version, known=context.known, role=role) if policy.rules else ()
