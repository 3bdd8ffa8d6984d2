"""Which namespaces a configuration is tried with, so that there are not too many lines however many there are.

What can go wrong for one namespace and not for others is where its records go, what is taken out of them, and by which
list of rules they are decided: each of these is tried with one namespace at least, as far as there is room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.shipping.enforcement.table import REDACTION, ROUTE, URL_KEY, Step, namespace_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from audit_operator.shipping.enforcement.table import States, Table

MOST_WHOLE, MOST_BRIEFLY = 12, 84
"""Namespaces of which all kinds of requests are tried, and further ones with a single request each."""

_FIRST_KEY = namespace_key("")
_KINDS = ("sinks", "routes", "redactions", "lists of rules")
_Feature = tuple[str, str]
"""One of _KINDS, and which of them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Namespaces, those with which most is tried first.

    Attributes:
        whole: tried with all kinds of requests.
        briefly: tried with one request.
        untried: what no namespace of these stands for, in words; empty where there is nothing.
    """

    whole: tuple[str, ...]
    briefly: tuple[str, ...]
    untried: str


def sample(table: Table, routes: Mapping[str, Collection[str]]) -> Sample:
    """The same for the same facts; `routes` has the exporters of each route."""
    everybodys = {each for key in (_FIRST_KEY, URL_KEY) for each in _features(table.entries.get(key, {}), routes)}
    known = _candidates(table, routes)
    chosen = list(_chosen(known, set(everybodys)))[: MOST_WHOLE + MOST_BRIEFLY]
    if not chosen:
        chosen = list(known)[:1]
    tried = everybodys.union(*(known[each] for each in chosen))
    return Sample(
        tuple(chosen[:MOST_WHOLE]),
        tuple(chosen[MOST_WHOLE:]),
        _in_words(tried, everybodys.union(*known.values())),
    )


def _candidates(table: Table, routes: Mapping[str, Collection[str]]) -> dict[str, frozenset[_Feature]]:
    """One namespace for each combination, in an order that does not depend on which namespaces came when."""
    found: dict[frozenset[_Feature], str] = {}
    for key, states in sorted(table.entries.items()):
        if key.startswith(_FIRST_KEY) and key != _FIRST_KEY:
            found.setdefault(_features(states, routes), key.removeprefix(_FIRST_KEY))
    return {namespace: features for features, namespace in found.items()}


def _chosen(known: Mapping[str, frozenset[_Feature]], tried: set[_Feature]) -> Iterator[str]:
    """One for each route, then for each redaction, then for each list that none of them has; then the others."""
    left = dict(known)
    for kind in _KINDS:
        for namespace, features in list(left.items()):
            if any(each[0] == kind and each not in tried for each in features):
                tried |= features
                del left[namespace]
                yield namespace
    # How they go together may be wrong, too.
    yield from list(left)[:MOST_WHOLE]


def _features(states: States, routes: Mapping[str, Collection[str]]) -> frozenset[_Feature]:
    sinks, of_routes, redactions, lists = _KINDS
    route = str(states.get(ROUTE, ""))
    return frozenset(
        {
            *((sinks, each) for each in routes.get(route, ())),
            (of_routes, route),
            (redactions, str(states.get(REDACTION, ""))),
            (lists, str(states.get(Step.CLASS, ""))),
        }
    )


def _in_words(tried: Collection[_Feature], known: Collection[_Feature]) -> str:
    counts = {
        kind: (sum(each[0] == kind and each not in tried for each in known), sum(each[0] == kind for each in known))
        for kind in _KINDS
    }
    return ", ".join(f"{left} of {all_} {kind}" for kind, (left, all_) in counts.items() if left)
