"""A selection as a question to OpenSearch or Elasticsearch: JSON that is built, in which a value stays a value.

Values are compared with fields of the type keyword, whole and exactly. A field for words would find a namespace by a
part of its name.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.shipping.search_index import TIME
from audit_operator.sinks.access import failure
from audit_operator.sinks.selection import Order
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from audit_operator.sinks.selection import Scope, Selection

MOMENT = timedelta(milliseconds=1)
"""What these stores tell times apart by, at the best."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = frozenset({"keyword", "constant_keyword", "wildcard"})
_BESIDE = ".keyword"
_MALFORMED = failure(
    Reason.ANSWER_MALFORMED, "the store's answer is not the one that OpenSearch gives about its fields"
)


def asked_about(selection: Selection) -> str:
    """For /_field_caps?fields=: what must be known of an index before it is asked."""
    names = (CLUSTER, NAMESPACE, *(name.value for name, _ in selection.equal))
    return ",".join(each for name in names for each in (name, f"{name}.keyword"))


def exact_fields(types: Any, selection: Selection) -> dict[str, str] | Failure:
    """By attribute, the field that has it as a whole, out of the answer of /_field_caps.

    Where nobody has made the field before, stores make one for words, and one beside it for the whole.
    """
    found: dict[str, str] = {}
    for name in (CLUSTER, NAMESPACE, *(name.value for name, _ in selection.equal)):
        try:
            own, beside = (set(types["fields"].get(each, {})) for each in (name, f"{name}.keyword"))
        except (KeyError, TypeError, AttributeError):
            return _MALFORMED
        if own <= _EXACT:
            found[name] = name  # also if there is none: no record has the attribute
        elif own == {"text"} and beside and beside <= _EXACT:
            found[name] = f"{name}{_BESIDE}"
        else:
            return Failure(
                Reason.REFUSED,
                f"the index has the attribute {name} in a field that cannot be compared with a whole value",
                f"give {name} the type keyword in the index's template, in all indices of the sink",
            )
    return found


def question(
    selection: Selection, fields: Mapping[str, str], *, size: int, edge: int | None = None
) -> dict[str, object]:
    """For /_search. `edge` is the first moment to look at, in milliseconds since 1970; None: the selection's."""
    newest = selection.order is Order.NEWEST
    bounds = {"gte": milliseconds(selection.since), "lt": milliseconds(selection.until - timedelta(microseconds=1)) + 1}
    if edge is not None:
        bounds |= {"lt": edge + 1} if newest else {"gte": edge}
    wanted = [
        _between(bounds),
        _any(_of(scope, fields[NAMESPACE]) for scope in selection.scopes),
        *(_is(fields[name.value], (value,)) for name, value in selection.equal),
    ]
    if selection.clusters:
        wanted.append(_is(fields[CLUSTER], selection.clusters))
    order = {"order": "desc" if newest else "asc", "numeric_type": "date", "unmapped_type": "date"}
    return {
        "size": size,
        "sort": [{TIME: order}],
        "track_total_hits": False,
        "query": {"bool": {"filter": wanted}},
    }


def is_rough(fields: Mapping[str, str]) -> bool:
    """Whether a store can be asked only roughly whose records it is to give."""
    return any(fields[name].endswith(_BESIDE) for name in (CLUSTER, NAMESPACE))


def milliseconds(moment: datetime) -> int:
    """Since 1970, of the millisecond that it is in."""
    return (moment - _EPOCH) // MOMENT


def _is(field: str, values: Sequence[str]) -> dict[str, Any]:
    """One of these values. The field beside one for words has no long ones, and may be missing in some of the indices.

    Then the store cannot tell, and what it gives is compared here.
    """
    exactly: dict[str, Any] = {"terms": {field: list(values)}}
    if not field.endswith(_BESIDE):
        return exactly
    only_words = {
        "filter": [{"exists": {"field": field.removesuffix(_BESIDE)}}],
        "must_not": [{"exists": {"field": field}}],
    }
    return _any((exactly, {"bool": only_words}))


def _of(scope: Scope, field: str) -> dict[str, Any]:
    whose = _is(field, (scope.namespace,))
    if not scope.namespace:
        whose = _any((whose, {"bool": {"must_not": {"exists": {"field": field}}}}))
    if scope.since is None:
        return whose
    return {"bool": {"filter": [whose, _between({"gte": milliseconds(scope.since)})]}}


def _between(bounds: Mapping[str, int]) -> dict[str, Any]:
    return {"range": {TIME: {**bounds, "format": "epoch_millis"}}}


def _any(clauses: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"bool": {"should": list(clauses), "minimum_should_match": 1}}
