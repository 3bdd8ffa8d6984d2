"""Which namespaces are treated alike: one first-match list for each class of them.

The API server may record more than was asked for (an envelope, a provider's own policy, a set that no rule can single
out). The shipper can tell namespaces apart exactly, so it gets the lists as they were folded, before the compiler has
made rules of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from audit_operator.policy.contribution import CLUSTER_SCOPE
from audit_operator.policy.decision_list import TooLarge
from audit_operator.policy.demand import Demands, Lists

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.policy.contribution import Contribution
    from audit_operator.policy.decision_list import DecisionList
    from audit_operator.policy.demand import Demand

MOST_CELLS = 1000
"""In one product; what is larger is shipped as the API server has recorded it, and reported."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What else is done with the events of a namespace, by name.

    What is redacted, where they go, in which folders they lie there, what is counted of them alone, and which policies
    ask for them.
    """

    redaction: str = ""
    route: str = ""
    folders: str = ""
    detections: tuple[str, ...] = ()
    policies: str = ""


@dataclass(frozen=True, slots=True)
class EnforcementClass:
    """Events that are treated alike.

    Attributes:
        namespaces: in order; ``""`` stands for resource requests without a namespace.
        cells: total first-match list; None where it would be too large, so that events stay as the API server has
            recorded them.
        treatment: the rest.
    """

    namespaces: tuple[str, ...]
    cells: DecisionList | None
    treatment: Treatment = Treatment()


@dataclass(frozen=True, slots=True)
class Classes:
    """Every known namespace in exactly one class, and the class of non-resource requests, which names no namespace.

    A namespace that nobody has seen is in no class: it may have been created a moment ago, with labels that some
    selector wants, so that its events stay as they are.
    """

    classes: tuple[EnforcementClass, ...]
    non_resource: EnforcementClass


def classify(
    contributions: Iterable[Contribution],
    namespaces: Iterable[str],
    treatments: Mapping[str, Treatment] = MappingProxyType({}),
    otherwise: Treatment = Treatment(),
) -> Classes:
    """The classes of the namespaces known to exist; the result depends on the set of contributions alone.

    `treatments` are by namespace; `otherwise` is that of all other events, those without a namespace first of all.
    """
    known, lists = frozenset(namespaces), Lists()
    demands = Demands.of(tuple(contributions), known, lists)

    def folded(demand: Demand) -> DecisionList | None:
        try:
            return lists.fold(demand, MOST_CELLS)
        except TooLarge:
            return None

    alike: dict[tuple[DecisionList | None, Treatment], list[str]] = {}
    for demand, names in demands.by_namespace.items():
        cells = folded(demand)
        for name in names:
            if name in known or name == CLUSTER_SCOPE:
                alike.setdefault((cells, treatments.get(name, otherwise)), []).append(name)
    classes = sorted(
        (EnforcementClass(tuple(sorted(names)), *shared) for shared, names in alike.items()),
        key=lambda each: each.namespaces,
    )
    return Classes(tuple(classes), EnforcementClass((), folded(demands.non_resource), otherwise))
