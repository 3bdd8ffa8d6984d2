"""What the policies of one namespace together want taken out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audit_operator.api.redaction import PseudonymizedField, Redaction, RedactionPattern, RedactionProfile
from audit_operator.shipping.redaction.own_pattern import OwnPattern

if TYPE_CHECKING:
    from collections.abc import Iterable

Feature = RedactionProfile | PseudonymizedField | OwnPattern
"""What stands in the configuration of shippers, for those who ask for it."""

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class RedactionDemand:
    """Everything that some policy names; what protects Secrets and tokens by structure is not asked for, but always on.

    Attributes:
        profiles: built-in sets of patterns; `Secrets` also takes in ConfigMaps.
        patterns: of whoever a shipper belongs to, in the order in which they are applied.
        pseudonymize: fields that get a pseudonym.
        tenants: patterns of those who share a shipper with others, applied after all else. They stand in its decision
            table, and not in its configuration: at the most MOST_TOGETHER.
    """

    profiles: frozenset[RedactionProfile] = frozenset(Redaction().profiles)
    patterns: tuple[OwnPattern, ...] = ()
    pseudonymize: frozenset[PseudonymizedField] = frozenset()
    tenants: tuple[OwnPattern, ...] = ()

    @property
    def own(self) -> tuple[OwnPattern, ...]:
        """All patterns that are not built in, in the order in which they are applied."""
        return (*self.patterns, *self.tenants)

    @property
    def without_own(self) -> RedactionDemand:
        """The built-in profiles alone: what counts of a tenant's wishes where a cluster-wide policy ships, too."""
        return RedactionDemand(self.profiles)

    @property
    def built_in(self) -> RedactionDemand:
        """The same without anybody's own patterns.

        They are made for RE2, whose time is bounded: Python's engine can be held up by one for ever, and everything
        with it. So only a user's own machine ever runs them in Python.
        """
        return replace(self, patterns=(), tenants=())

    @property
    def features(self) -> frozenset[Feature]:
        """What is asked for, but for what tenants write."""
        return frozenset[Feature]((*self.profiles, *self.pseudonymize, *self.patterns))

    @property
    def id(self) -> str:
        """Equal for equal demands, and for no others; only letters and digits."""
        own = [[[each.regex, each.replacement] for each in some] for some in (self.patterns, self.tenants)]
        said = [sorted(self.profiles), sorted(self.pseudonymize), own]
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
    patterns = {pattern for demand in asked for pattern in demand.patterns}
    return RedactionDemand(
        profiles=frozenset(profile for demand in asked for profile in demand.profiles),
        patterns=tuple(sorted(patterns)),
        pseudonymize=frozenset(field for demand in asked for field in demand.pseudonymize),
        tenants=tuple(sorted({pattern for demand in asked for pattern in demand.tenants} - patterns)),
    )


def _own(pattern: RedactionPattern) -> OwnPattern | None:
    made = OwnPattern.parse(pattern.name, pattern.regex, pattern.replacement)
    return made if isinstance(made, OwnPattern) else None
