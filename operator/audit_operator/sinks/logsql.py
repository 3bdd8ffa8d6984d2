"""A selection in LogsQL. Every value is a literal of `quoting`, every time is printed from a clock's reading."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from audit_operator.shipping.exporters import CLUSTER, NAMESPACE
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.selection import Order

if TYPE_CHECKING:
    from datetime import datetime

    from audit_operator.sinks.selection import Scope, Selection

PATH = "/select/logsql/query"
"""Where VictoriaLogs answers queries."""

LONGEST = 16 * 2**10
"""Bytes of a query that VictoriaLogs reads (-search.maxQueryLen)."""


def form(query: str) -> dict[str, str]:
    """A query whose answer must be whole: a part of a cluster's would pass for it."""
    return {"query": query, "allow_partial_response": "0"}


def query(selection: Selection) -> str:
    """For /select/logsql/query: one record more than asked for, so that it shows whether that was all."""
    parts = [
        f"_time:[{_time(selection.since)}, {_time(selection.until)})",
        f"({' or '.join(map(_scope, selection.scopes))})",
        *(f"{name}:={quoted(value)}" for name, value in selection.equal),
    ]
    if selection.clusters:
        parts.append(f"({' or '.join(f'{CLUSTER}:={quoted(each)}' for each in selection.clusters)})")
    if selection.text:
        parts.append(f"_msg:*{quoted(selection.text)}*")
    order = "_time desc" if selection.order is Order.NEWEST else "_time"
    return f"{' '.join(parts)} | sort by ({order}) limit {selection.limit + 1}"


def _scope(scope: Scope) -> str:
    # An empty value is that of records without the attribute.
    of_namespace = f"{NAMESPACE}:={quoted(scope.namespace)}"
    return of_namespace if scope.since is None else f"({of_namespace} _time:>={_time(scope.since)})"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
