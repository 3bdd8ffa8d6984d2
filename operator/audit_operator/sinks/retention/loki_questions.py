"""What Loki is asked about the records of some namespaces, in LogQL.

Attributes of records are structured metadata in Loki, or labels of streams where its configuration makes them so; and
what was written before that stays as it was. All of it is asked for. What is deleted is named by labels alone: a
selector that a Loki understands otherwise than we do finds nothing, where a filter could have found everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.retention.loki_rules import matchers, one_of
from audit_operator.sinks.retention.loki_settings import UNSEEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MARK = "audit_operator_retention"
"""A label that no stream has. By it, deletions of ours are told from those of people and of other clusters."""

BY_NAME = (NAMESPACE, UNSEEN)
"""Labels that may have the name of a namespace; one that shippers had not seen yet stands under another one."""

_LONGEST = 8_000
"""Bytes of names in one question. Loki reads 128 KiB, and answers with at most 500 series (max_query_series)."""
_MOST = 400
ANYTHING = '{service_name=~".+"'
"""The begin of a selector of all streams: Loki sets that label on every one, unless it is told not to."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query for records.

    Attributes:
        query: in LogQL.
        labels: of the streams that it is about, as far as they are known; each of them may be kept differently.
        reached: whether deletions by namespace reach them.
        remnant: whether such streams are there only if they were written before their labels were configured.
    """

    query: str
    labels: tuple[Mapping[str, str], ...]
    reached: bool = False
    remnant: bool = False


def questions(namespaces: Iterable[str], clusters: tuple[str, ...], *, labelled: bool) -> Iterator[Question]:
    """What finds the records of these namespaces, and no others; ``""`` stands for records of none."""
    for batch in batches(namespaces):
        names = [each for each in batch if each]
        if names:
            yield from _named(names, clusters, labelled=labelled)
        if "" in batch:
            yield from _nameless(clusters, labelled=labelled)


def _named(names: list[str], clusters: tuple[str, ...], *, labelled: bool) -> Iterator[Question]:
    ours, listed = quoted(one_of(clusters)), quoted(one_of(names))
    either = f"| {NAMESPACE}=~{listed} or {UNSEEN}=~{listed}"
    if not labelled:
        yield Question(f"{ANYTHING}}} | {CLUSTER}=~{ours} {either}", ({},))
        return
    seen = tuple({CLUSTER: cluster, NAMESPACE: name, UNSEEN: ""} for cluster in clusters for name in names)
    yield Question(of_ours(names, clusters, NAMESPACE), seen, reached=True)
    not_seen = tuple({CLUSTER: cluster, NAMESPACE: "", UNSEEN: name} for cluster in clusters for name in names)
    yield Question(of_ours(names, clusters, UNSEEN), not_seen, reached=True)
    query = f'{{{CLUSTER}=~{ours},{NAMESPACE}="",{UNSEEN}=""}} {either}'
    yield Question(query, tuple({CLUSTER: each, NAMESPACE: "", UNSEEN: ""} for each in clusters), remnant=True)
    yield Question(f'{ANYTHING},{CLUSTER}=""}} | {CLUSTER}=~{ours} {either}', ({CLUSTER: ""},), remnant=True)


def _nameless(clusters: tuple[str, ...], *, labelled: bool) -> Iterator[Question]:
    ours, neither = quoted(one_of(clusters)), f'| {NAMESPACE}="" | {UNSEEN}=""'
    if not labelled:
        yield Question(f"{ANYTHING}}} | {CLUSTER}=~{ours} {neither}", ({},))
        return
    of_none = tuple({CLUSTER: each, NAMESPACE: "", UNSEEN: ""} for each in clusters)
    yield Question(f'{{{CLUSTER}=~{ours},{NAMESPACE}="",{UNSEEN}=""}} {neither}', of_none)
    yield Question(f'{ANYTHING},{CLUSTER}=""}} | {CLUSTER}=~{ours} {neither}', ({CLUSTER: ""},), remnant=True)


@dataclass(frozen=True, slots=True)
class Selector:
    """Streams that a deletion of ours is about: those of one namespace, in the label that has its name.

    One for each, since a deletion must be cancelled as a whole: none waits anew because others must not be deleted.
    There is none for records of no namespace: streams without its name may also hold records of one that nobody had
    seen, from before that was a label of theirs.
    """

    clusters: frozenset[str]
    label: str
    name: str

    def __str__(self) -> str:
        clusters = sorted(self.clusters)
        ours, mark = quoted(one_of(clusters)), quoted(",".join(clusters))
        return f"{{{CLUSTER}=~{ours},{self.label}={quoted(self.name)},{MARK}!={mark}}}"


def is_ours(query: str, clusters: Iterable[str]) -> bool:
    """Whether a deletion is one of ours, or of an operator that shares a control plane with us."""
    marked = [each.value for each in matchers(query) or () if each.label == MARK and each.operator == "!="]
    return any({*each.split(",")} & {*clusters} for each in marked)


def selector_of(query: str) -> Selector | None:
    """The selector that a query is, however Loki writes it; None where it is not one that this release makes."""
    found = {each.label: each for each in matchers(query) or ()}
    label = next((each for each in BY_NAME if each in found), "")
    operators = {name: each.operator for name, each in found.items()}
    if operators != {CLUSTER: "=~", label: "=", MARK: "!="} or (clusters := found[CLUSTER].names) is None:
        return None
    return Selector(clusters, label, found[label].value)


def of_ours(names: Iterable[str], clusters: Iterable[str], label: str) -> str:
    """A selector of the streams of several namespaces, by the label that has their names."""
    return f"{{{CLUSTER}=~{quoted(one_of(clusters))},{label}=~{quoted(one_of(names))}}}"


def of_names(names: Iterable[str], label: str) -> str:
    """A selector of streams by the values of one label."""
    return f"{{{label}=~{quoted(one_of(names))}}}"


def batches(namespaces: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """All of them, in groups that one question has room for."""
    batch: list[str] = []
    size = 0
    for each in namespaces:
        takes = len(quoted(one_of([each]))) + len(quoted("|"))
        if batch and (size + takes > _LONGEST or len(batch) == _MOST):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(each)
        size += takes
    if batch:
        yield tuple(batch)
