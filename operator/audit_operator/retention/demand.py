"""What several policies together demand for the same records.

The longest minimum and the shortest maximum count, whichever policy was first. Where they contradict each other, the
minimum wins: what was deleted too early cannot be had back, and a person can still decide. Periods are in hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.text import hours
from audit_operator.retention.frameworks import Requirement, requirements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.api.compliance import Framework
    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.retention import Retention

_DAY = 24
_NAME = re.compile(
    r"(?:default|(?:min(?P<minimum>\d+[dh]))?-?(?:max(?P<maximum>\d+[dh]))?-?(?:hot(?P<hot>\d+[dh]))?"
    r"-?(?P<worm>worm)?-?(?P<hold>hold)?)"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What one policy says, with the frameworks that it is to satisfy.

    Attributes:
        policy: whose wish it is.
        minimum: hours for which records are kept at the least; 0: no duty to keep.
        maximum: hours after which they are deleted; None: no duty to delete.
        hot: hours for which they can be searched at once.
        legal_hold: whether nothing is deleted.
        immutable: whether nobody may be able to delete before the minimum is over.
        confirmed: whether deleting at once down to this maximum was confirmed.
        sources: requirements that stand behind the periods.
        unlimited: requirements that ask for a maximum without giving one.
    """

    policy: ObjectRef
    minimum: int = 0
    maximum: int | None = None
    hot: int = 0
    legal_hold: bool = False
    immutable: bool = False
    confirmed: bool = False
    sources: tuple[Requirement, ...] = ()
    unlimited: tuple[Requirement, ...] = ()

    @classmethod
    def of(cls, policy: ObjectRef, retention: Retention | None, frameworks: Iterable[Framework] = ()) -> Wish:
        """From what a policy says; frameworks only ever lengthen."""
        required = requirements(frameworks)
        sources = tuple(each for each in required if each.minimum)
        unlimited = tuple(each for each in required if each.needs_maximum)
        minimum = max((each.minimum for each in sources), default=0)
        hot = max((each.hot for each in sources), default=0)
        if retention is None:
            return cls(policy, minimum, hot=hot, sources=sources, unlimited=unlimited)
        return cls(
            policy,
            max(minimum, hours(retention.minimum) if retention.minimum else 0),
            hours(retention.maximum) if retention.maximum else None,
            max(hot, hours(retention.hot) if retention.hot else 0),
            retention.legal_hold,
            retention.immutable,
            retention.confirm_deletion is not None,
            sources,
            unlimited,
        )


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two policies of which only one can be satisfied: records must be kept longer than they may be."""

    keeps: Wish
    deletes: Wish

    def __str__(self) -> str:
        behind = ", ".join(str(each) for each in self.keeps.sources if each.minimum == self.keeps.minimum)
        why = f" ({behind})" if behind else ""
        return (
            f"{self.keeps.policy} keeps records for at least {period(self.keeps.minimum)}{why}, "
            f"{self.deletes.policy} for at most {period(self.deletes.maximum or 0)}"
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """What all policies of some records demand together; equal demands are one retention class.

    Attributes:
        minimum: hours for which records are kept at the least.
        maximum: hours after which they are deleted, never less than `minimum`; None: never.
        hot: hours for which they can be searched at once.
        legal_hold: whether nothing is deleted, whatever `maximum` says.
        immutable: whether nobody may be able to delete before the minimum is over.
    """

    minimum: int = 0
    maximum: int | None = None
    hot: int = 0
    legal_hold: bool = False
    immutable: bool = False

    @property
    def delete_after(self) -> int | None:
        """Age in hours at which records are deleted; None: they are not."""
        return None if self.legal_hold else self.maximum

    @property
    def asks_for_something(self) -> bool:
        """Whether a store must do anything that it would not do by itself."""
        return self != Demand()

    @property
    def name(self) -> str:
        """Of the class: the same for equal demands whatever else there is, and readable."""
        parts = [f"min{period(self.minimum)}"] if self.minimum else []
        parts += [f"max{period(self.maximum)}"] if self.maximum is not None else []
        parts += [f"hot{period(self.hot)}"] if self.hot else []
        parts += ["worm"] if self.immutable else []
        parts += ["hold"] if self.legal_hold else []
        return "-".join(parts) or "default"

    @classmethod
    def named(cls, name: str) -> Demand | None:
        """The demand of that name; None if none is called so."""
        parts = _NAME.fullmatch(name)
        if parts is None:
            return None
        minimum, maximum, hot = (hours(each) if each else None for each in parts.group("minimum", "maximum", "hot"))
        found = cls(minimum or 0, maximum, hot or 0, bool(parts["hold"]), bool(parts["worm"]))
        return found if found.name == name else None


@dataclass(frozen=True, slots=True)
class Combined:
    """A demand, and what is to be known about how it came about.

    Attributes:
        demand: of all wishes together.
        conflict: why it is not what everybody wished, if so.
        confirmed: whether every policy that sets the maximum has confirmed that it deletes at once.
    """

    demand: Demand
    conflict: Conflict | None = None
    confirmed: bool = False


def combine(wishes: Iterable[Wish]) -> Combined:
    """What these wishes demand together; their order makes no difference."""
    asked = sorted(wishes, key=lambda each: str(each.policy))
    if not asked:
        return Combined(Demand())
    longest = max(asked, key=lambda each: each.minimum)
    limiting = [each for each in asked if each.maximum is not None]
    shortest = min(limiting, key=lambda each: each.maximum or 0, default=None)
    maximum = shortest.maximum if shortest is not None else None
    conflict = Conflict(longest, shortest) if shortest and maximum is not None and maximum < longest.minimum else None
    demand = Demand(
        minimum=longest.minimum,
        maximum=None if maximum is None else max(maximum, longest.minimum),
        hot=max(each.hot for each in asked),
        legal_hold=any(each.legal_hold for each in asked),
        immutable=any(each.immutable for each in asked),
    )
    deciding = [each for each in limiting if each.maximum == maximum]
    return Combined(demand, conflict, confirmed=bool(deciding) and all(each.confirmed for each in deciding))


def period(length: int) -> str:
    """Hours as people write them: ``90d``, ``36h``."""
    return f"{length // _DAY}d" if length % _DAY == 0 else f"{length}h"
