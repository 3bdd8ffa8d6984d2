"""The API server's loader: decode strictly, then leniently, check version and kind, validate, demand a rule.

Follows `LoadPolicyFromBytes` in `pkg/audit/policy/reader.go` of kubernetes/apiserver with the codecs behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import Finding, Location, Severity
from audit_operator.policy.document import Document, ProblemKind, Scalar, format_path, parse_document, shorten
from audit_operator.policy.gates import NEWEST, Version
from audit_operator.policy.loading.decode import REMOVE_ONE, SET_TWICE, FaultKind, decode
from audit_operator.policy.loading.schema import INTERNAL_POLICY, POLICY, Struct
from audit_operator.policy.loading.type_meta import API_VERSION, KIND, WrongTypeError, read_type_meta
from audit_operator.policy.loading.validate import Violation, validate
from audit_operator.policy.model import GroupResources, Policy, Rule

if TYPE_CHECKING:
    from audit_operator.policy.document import Path

MAX_FINDINGS = 200
"""Most errors, and most warnings, that are reported of one text."""


class ErrorClass(StrEnum):
    """Why the API server refuses a policy; also the id of the finding that says so."""

    DECODE = "decode"
    """Neither YAML nor JSON, or a field of the wrong type."""

    VERSION = "version"
    """Not a Policy of audit.k8s.io/v1."""

    VALIDATION = "validation"
    """A value that is not allowed, for example an unknown level."""

    NO_RULES = "no-rules"
    """No rule at all."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What became of a text.

    Attributes:
        policy: what the API server runs with; None if it refuses the text.
        lenient: whether it logs that strict decoding failed and goes on with what is left.
        findings: what the user should know, in the order of the text. Errors have an `ErrorClass` as their id: the
            API server refuses the text. Warnings are ``unknown-key`` and ``duplicate-key``, which it logs, and
            ``further-document``, which it does not. Info is ``further-findings``: there were too many.
    """

    policy: Policy | None
    lenient: bool
    findings: tuple[Finding, ...] = ()

    @property
    def refused(self) -> ErrorClass | None:
        """Why the API server refuses the text; None if it accepts it."""
        errors = (finding.id for finding in self.findings if finding.severity is Severity.ERROR)
        return ErrorClass(next(errors)) if self.policy is None else None


def load_policy(text: str | bytes, *, kubernetes: Version = NEWEST, file: str = "") -> LoadResult:
    """Load a policy as the API server of a Kubernetes minor does; never raises, whatever the text.

    Args:
        text: the content of a policy file.
        kubernetes: minor of the API server.
        file: name of the file, for the findings.
    """
    return load_document(parse_document(text), kubernetes=kubernetes, file=file)


def load_document(document: Document, *, kubernetes: Version = NEWEST, file: str = "") -> LoadResult:
    """As `load_policy`, for a text that was parsed already."""
    loading = _Loading(document, file)
    policy = loading.run(kubernetes)
    return LoadResult(policy, loading.lenient, loading.findings)


class _Loading:
    """One text on its way: what is known of it, and what was found."""

    def __init__(self, document: Document, file: str) -> None:
        self._document = document
        self._file = file
        self._found: dict[Severity, list[Finding]] = {Severity.ERROR: [], Severity.WARNING: []}
        self._left_out = 0
        self.lenient = False

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, in the order of the text."""
        found = sorted(chain(*self._found.values()), key=lambda finding: finding.location.line)
        if self._left_out:
            message = f"{self._left_out} further findings are left out"
            found.append(Finding("further-findings", Severity.INFO, message, location=Location(self._file)))
        return tuple(found)

    def run(self, kubernetes: Version) -> Policy | None:
        """The policy, or None with at least one error among the findings."""
        self._note_problems()
        if not self._document.readable or not self._is_policy():
            return None
        fields = self._decode(POLICY)
        if fields is None:
            return None
        violations = list(validate(fields, kubernetes))
        for violation in violations:
            self._refuse(ErrorClass.VALIDATION, violation)
        if violations:
            return None
        if not fields.get("rules"):
            self._refuse(ErrorClass.NO_RULES, Violation(("rules",), "must hold at least one rule", "add a rule"))
            return None
        return _to_policy(fields)

    def _note_problems(self) -> None:
        for problem in self._document.problems:
            match problem.kind:
                case ProblemKind.UNREADABLE:
                    self._refuse(ErrorClass.DECODE, Violation((), problem.message), problem.line)
                case ProblemKind.FURTHER_DOCUMENT:
                    self._warn(problem.kind, Violation((), problem.message), problem.line)
                case ProblemKind.DUPLICATE_KEY if not self._document.is_json:  # else the decoder tells which ones count
                    self._warn(problem.kind, Violation(problem.path, SET_TWICE, REMOVE_ONE), problem.line)

    def _is_policy(self) -> bool:
        try:
            meta = read_type_meta(self._document)
        except WrongTypeError as error:
            self._refuse(ErrorClass.DECODE, Violation((), str(error)), error.line)
            return False
        if meta.is_policy:
            return True
        # Without a version the internal type is tried first, and what it lacks is logged before the refusal.
        if meta.is_unversioned and self._decode(INTERNAL_POLICY) is None:
            return False
        field, found, wanted = "kind", meta.kind, KIND
        if meta.api_version != API_VERSION:
            field, found, wanted = "apiVersion", meta.api_version, API_VERSION
        message = f"is {shorten(found)!r}, which the API server does not know" if found else "is missing"
        self._refuse(ErrorClass.VERSION, Violation((field,), message, f"write `{field}: {wanted}`"))
        return False

    def _decode(self, wanted: Struct) -> dict[str, Any] | None:
        """The fields that are set; None if one has the wrong type."""
        document = self._document
        fields, faults = decode(document.tree or Scalar(None, "", 0), wanted, is_json=document.is_json)
        fatal = any(fault.kind is FaultKind.WRONG_TYPE for fault in faults)
        duplicates = not document.is_json and any(p.kind is ProblemKind.DUPLICATE_KEY for p in document.problems)
        self.lenient = not fatal and (bool(faults) or duplicates)
        for fault in faults:
            what = Violation(fault.path, fault.message, fault.mend)
            if fault.kind is FaultKind.WRONG_TYPE:
                self._refuse(ErrorClass.DECODE, what, fault.line)
            elif wanted is not INTERNAL_POLICY:  # nobody needs to know what the internal type calls its fields
                self._warn(fault.kind.value, what, fault.line)
        return None if fatal else fields

    def _refuse(self, error: ErrorClass, what: Violation, line: int = 0) -> None:
        self._report(Finding(error.value, Severity.ERROR, what.message, what.mend), what.path, line)

    def _warn(self, check: str, what: Violation, line: int) -> None:
        self._report(Finding(str(check), Severity.WARNING, what.message, what.mend), what.path, line)

    def _report(self, finding: Finding, path: Path, line: int) -> None:
        """Add a finding, with where it is; a message is a sentence about the field, so it begins with its path."""
        found = self._found[finding.severity]
        if len(found) >= MAX_FINDINGS:
            self._left_out += 1
            return
        where = format_path(path)
        found.append(
            replace(
                finding,
                message=f"{where} {finding.message}" if where else finding.message,
                path=where,
                rule=path[1] if path[:1] == ("rules",) and len(path) > 1 and isinstance(path[1], int) else None,
                location=Location(self._file, line or self._document.line(path)),
            )
        )


def _to_policy(fields: dict[str, Any]) -> Policy:
    return Policy(
        rules=tuple(_to_rule(rule) for rule in fields["rules"]),
        omit_stages=_to_stages(fields),
        omit_managed_fields=fields.get("omitManagedFields", False),
    )


def _to_rule(fields: dict[str, Any]) -> Rule:
    return Rule(
        level=Level(fields["level"]),
        users=_to_strings(fields, "users"),
        user_groups=_to_strings(fields, "userGroups"),
        verbs=_to_strings(fields, "verbs"),
        resources=tuple(
            GroupResources(
                group=entry.get("group", ""),
                resources=_to_strings(entry, "resources"),
                resource_names=_to_strings(entry, "resourceNames"),
            )
            for entry in fields.get("resources", ())
        ),
        namespaces=_to_strings(fields, "namespaces"),
        non_resource_urls=_to_strings(fields, "nonResourceURLs"),
        omit_stages=_to_stages(fields),
        omit_managed_fields=fields.get("omitManagedFields"),
    )


def _to_strings(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(fields.get(name, ()))


def _to_stages(fields: dict[str, Any]) -> frozenset[Stage]:
    return frozenset(Stage(stage) for stage in fields.get("omitStages", ()))
