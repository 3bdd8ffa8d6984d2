"""Which namespaces are treated alike: one first-match list for each class of them.

The API server may record more than was asked for (an envelope, a provider's own policy, a set that no rule can single
out). The shipper can tell namespaces apart exactly, so it gets the lists as they were folded, before the compiler has
made rules of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.policy.contribution import CLUSTER_SCOPE
from audit_operator.policy.decision_list import TooLarge
from audit_operator.policy.demand import Demands, Lists

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.policy.contribution import Contribution
    from audit_operator.policy.decision_list import DecisionList
    from audit_operator.policy.demand import Demand

MOST_CELLS = 1000
"""In one product; what is larger is shipped as the API server has recorded it, and reported."""


@dataclass(frozen=True, slots=True)
class EnforcementClass:
    """Namespaces whose events are treated alike.

    Attributes:
        namespaces: in order; ``""`` stands for resource requests without a namespace.
        cells: total first-match list over resource requests; None where it would be too large, so that events stay as
            the API server has recorded them.
    """

    namespaces: tuple[str, ...]
    cells: DecisionList | None


@dataclass(frozen=True, slots=True)
class Classes:
    """Every known namespace in exactly one class, and the list for non-resource requests (None: too large).

    A namespace that nobody has seen is in no class: it may have been created a moment ago, with labels that some
    selector wants, so that its events stay as they are.
    """

    classes: tuple[EnforcementClass, ...]
    non_resource: DecisionList | None


def classify(contributions: Iterable[Contribution], namespaces: Iterable[str]) -> Classes:
    """The classes of the namespaces known to exist; the result depends on the set of contributions alone."""
    known, lists = frozenset(namespaces), Lists()
    demands = Demands.of(tuple(contributions), known, lists)

    def folded(demand: Demand) -> DecisionList | None:
        try:
            return lists.fold(demand, MOST_CELLS)
        except TooLarge:
            return None

    by_cells: dict[DecisionList | None, list[str]] = {}
    for demand, names in demands.by_namespace.items():
        here = [name for name in names if name in known or name == CLUSTER_SCOPE]
        if here:
            by_cells.setdefault(folded(demand), []).extend(here)
    classes = sorted(
        (EnforcementClass(tuple(sorted(names)), cells) for cells, names in by_cells.items()),
        key=lambda each: each.namespaces,
    )
    return Classes(tuple(classes), folded(demands.non_resource))
