"""What a policy may say depends on the Kubernetes minor: an API server that does not know it does not start.

The rules for loading, validation and evaluation are otherwise the same from 1.29 to 1.37 (`pkg/audit/policy` and
`pkg/apis/audit/validation` of kubernetes/apiserver).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from audit_operator.policy.model import Policy

_VERSION = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,3})(?![0-9])")


class Version(NamedTuple):
    """A Kubernetes minor, for example 1.36; ordered, and equal to the tuple ``(1, 36)``."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Read ``1.36``, ``v1.36.2``, ``1.30+`` or ``v1.30.4-eks-036c24b``; None for what is no version."""
        match = _VERSION.match(text.strip())
        return cls(int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


NEWEST = Version(1, 37)
"""The newest minor whose source was checked."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Something that a policy may say only from a certain minor on."""

    since: Version
    what: str


GROUP_WILDCARD = Gate(Version(1, 36), "API group `*`")
"""Kubernetes pull request 135262: `*` as the group of a `resources` entry takes in every group."""


def required_version(policy: Policy) -> Version | None:
    """The oldest minor that loads the policy; None if every supported one does."""
    wildcard = any(entry.group == "*" for rule in policy.rules for entry in rule.resources)
    return GROUP_WILDCARD.since if wildcard else None
