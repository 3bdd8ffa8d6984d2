"""What the policies of one namespace together want taken out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.redaction import PseudonymizedField, Redaction, RedactionPattern, RedactionProfile
from audit_operator.shipping.redaction.own_pattern import OwnPattern

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class RedactionDemand:
    """Everything that some policy names; what protects Secrets and tokens by structure is not asked for, but always on.

    Attributes:
        profiles: built-in sets of patterns; `Secrets` also takes in ConfigMaps.
        patterns: of the tenants, in the order in which they are applied.
        pseudonymize: fields that get a pseudonym.
    """

    profiles: frozenset[RedactionProfile] = frozenset(Redaction().profiles)
    patterns: tuple[OwnPattern, ...] = ()
    pseudonymize: frozenset[PseudonymizedField] = frozenset()

    @property
    def id(self) -> str:
        """Equal for equal demands, and for no others; only letters and digits."""
        said = [sorted(self.profiles), [[each.regex, each.replacement] for each in self.patterns]]
        said.append(sorted(self.pseudonymize))
        return "r" + hashlib.sha256(json.dumps(said).encode()).hexdigest()[:_DIGITS]


def union(redactions: Iterable[Redaction]) -> RedactionDemand:
    """Of all policies for the same events; which policy comes first makes no difference.

    A pattern that cannot be used is left out: it is reported where its policy is checked, and must neither stop the
    shipper nor take others' patterns with it.
    """
    asked = tuple(redactions)
    patterns = {_own(each) for redaction in asked for each in redaction.patterns} - {None}
    return RedactionDemand(
        profiles=frozenset(profile for redaction in asked for profile in redaction.profiles),
        patterns=tuple(sorted(pattern for pattern in patterns if pattern is not None)),
        pseudonymize=frozenset(field for redaction in asked for field in redaction.pseudonymize),
    )


def _own(pattern: RedactionPattern) -> OwnPattern | None:
    made = OwnPattern.parse(pattern.name, pattern.regex, pattern.replacement)
    return made if isinstance(made, OwnPattern) else None
