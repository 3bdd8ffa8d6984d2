"""What is wrong with something a user wrote, as a value.

User errors never travel as exceptions: one broken object must not stop the others. The linter, the compiler, coverage
and the operator all report with this one type, and every output form (text, JSON, SARIF, a condition in status) is
made from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is; ordered Info < Warning < Error by `rank`."""

    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"

    @property
    def rank(self) -> int:
        """Position on the scale, 0 for Info to 2 for Error."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Names one Kubernetes object; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Location:
    """Where in the user's text a finding points; `line` counts from 1, 0 means unknown."""

    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a user should know, and how to mend it.

    Attributes:
        id: stable, documented, kebab-case, for example ``unknown-key``.
        severity: how bad it is.
        message: what is wrong, with the offending value.
        mend: what to write instead; empty only where there is nothing to do.
        object: the object concerned, where there is one.
        path: field path from the object's or the document's root, for example ``spec.rules[3].verbs``.
        rule: index of the rule concerned within its list, from 0.
        location: file and line, where the text is known.
    """

    id: str
    severity: Severity
    message: str
    mend: str = ""
    object: ObjectRef | None = None
    path: str = ""
    rule: int | None = None
    location: Location = field(default_factory=Location)
