"""Whatever is demanded, and whenever that changes: a Loki deletes what may go by what was ordered last, and no more.

The store is a fake: see tests/sinks/fake_loki.py.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.sinks.access import Answer
from audit_operator.sinks.retention.loki import LokiRetention
from audit_operator.sinks.retention.loki_client import LokiClient
from audit_operator.sinks.retention.protocol import Done, Order
from tests.sinks.fake_loki import FakeLoki

NOW = datetime(2026, 11, 28, tzinfo=UTC)
AGES = [30 * number + 7 for number in range(12)]  # in hours


@dataclass
class Direct:
    """The way to a fake without a network."""

    loki: FakeLoki
    base: str = ""

    async def get(self, path, headers, *, at_most=0):  # noqa: ARG002 - the connection's
        said = {"/config": self.loki.config, "/runtime_config": {"overrides": {"audit": self.loki.overrides}}}
        return Answer(200, yaml.safe_dump(said[path]).encode() if path in said else self.loki._list().body)

    async def ask(self, path, form, headers, *, at_most=0):  # noqa: ARG002 - the connection's
        data = self.loki._range(form) if path.endswith("range") else self.loki._query(form)
        return Answer(200, json.dumps({"status": "success", "data": data}).encode())

    async def post(self, url, body, headers):  # noqa: ARG002 - the connection's
        answer = self.loki._order(dict(parse_qsl(urlsplit(url).query)))
        assert answer.status == 204
        return Answer(204, b"")

    async def delete(self, path, headers):  # noqa: ARG002 - the connection's
        answer = self.loki._cancel(dict(parse_qsl(urlsplit(path).query)))
        assert answer.status == 204
        return Answer(204, b"")


steps = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["web", "shop", "bank"]), st.sampled_from([None, 48, 100, 200]), max_size=3),
        st.sampled_from([("main",), ("main", "old")]),
        st.integers(0, 40),  # hours until the next
        st.integers(-90, 90),  # hours that our clock is wrong
    ),
    max_size=7,
)


@given(steps)
@example([({"web": 48}, ("main",), 10, 0), ({}, ("main",), 30, 0)])
@example([({"web": 48}, ("main",), 10, 0), ({"web": 200}, ("main",), 30, 0)])
@example([({"web": 48}, ("main", "old"), 10, 0), ({"web": 48}, ("main",), 30, 0)])
@example([({"web": 100}, ("main",), 30, 90)])
def test_what_goes_was_allowed_by_the_last_word(steps):
    loki = FakeLoki(NOW)
    loki.config["schema_config"]["configs"][0]["from"] = "2026-11-01"
    for cluster in ("main", "old", "another"):
        for name in ("web", "shop", "bank"):
            loki.add([age / 24 for age in AGES], cluster=cluster, **{"namespace" if name != "bank" else "unseen": name})
    for demanded, clusters, hours, wrong in steps:
        store = LokiRetention(LokiClient(Direct(loki), "audit"), clusters)
        classes = [RetentionClass(Demand(maximum=after or 24), (name,)) for name, after in demanded.items()]
        orders = [Order(each, each.namespaces, demanded[each.namespaces[0]]) for each in classes]
        assert isinstance(asyncio.run(store.enforce(orders, loki.now + timedelta(hours=wrong))), Done)
        loki.now += timedelta(hours=hours)
        before = list(loki.records)
        loki.compact()
        for gone in [each for each in before if each not in loki.records]:
            name = gone.labels.get("namespace") or gone.labels.get("unseen")
            assert gone.labels["cluster"] in clusters
            assert loki.now - gone.time >= timedelta(hours=demanded[name])


@given(st.integers(48, 200), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_what_is_due_goes_within_two_days_however_often_it_is_looked_at(after, pauses):
    loki = FakeLoki(NOW)
    loki.config["schema_config"]["configs"][0]["from"] = "2026-11-01"
    loki.add([age / 24 for age in AGES], cluster="main", namespace="web")
    order = Order(RetentionClass(Demand(maximum=after), ("web",)), ("web",), after)
    store = LokiRetention(LokiClient(Direct(loki), "audit"), ("main",))
    for _ in range(6):
        for hours in pauses:
            asyncio.run(store.enforce([order], loki.now))
            loki.now += timedelta(hours=hours)
            loki.compact()
    if loki.now - NOW >= timedelta(hours=80):
        # A day until it is ordered again, a day until it is carried out, and one pause.
        assert all(loki.now - each.time <= timedelta(hours=after + 48 + 2 * max(pauses)) for each in loki.records)
