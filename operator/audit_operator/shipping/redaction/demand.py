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
    def without_own(self) -> RedactionDemand:
        """The built-in profiles alone: what counts of a tenant's wishes where a cluster-wide policy ships, too."""
        return RedactionDemand(self.profiles)

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
    return together(
        RedactionDemand(
            frozenset(redaction.profiles),
            tuple(own for each in redaction.patterns if (own := _own(each)) is not None),
            frozenset(redaction.pseudonymize),
        )
        for redaction in redactions
    )


def together(demands: Iterable[RedactionDemand]) -> RedactionDemand:
    """Everything that any of them names; their order makes no difference."""
    asked = tuple(demands)
    return RedactionDemand(
        profiles=frozenset(profile for demand in asked for profile in demand.profiles),
        patterns=tuple(sorted({pattern for demand in asked for pattern in demand.patterns})),
        pseudonymize=frozenset(field for demand in asked for field in demand.pseudonymize),
    )


def _own(pattern: RedactionPattern) -> OwnPattern | None:
    made = OwnPattern.parse(pattern.name, pattern.regex, pattern.replacement)
    return made if isinstance(made, OwnPattern) else None
