"""What is printed for a Loki, given to one: it must then keep and delete as was demanded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import yaml
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.retention.classes import RetentionClass
from audit_operator.retention.demand import Demand
from audit_operator.sinks.retention.loki_overrides import loki_overrides
from audit_operator.sinks.retention.loki_rules import rules
from audit_operator.sinks.retention.loki_settings import Documents, loki_settings
from tests.sinks.fake_loki import FakeLoki

NOW = datetime(2026, 11, 28, tzinfo=UTC)
DAY = 24
WEB = RetentionClass(Demand(maximum=30 * DAY), ("shop", "web"))


def printed(*classes, clusters=("main",)):
    return yaml.safe_load(loki_overrides("audit", classes, clusters))["overrides"]["audit"]


def test_a_person_can_read_it():
    assert loki_overrides("audit", [WEB], ["main"]) == (
        "overrides:\n"
        "  audit:\n"
        "    otlp_config:\n"
        "      log_attributes:\n"
        "      - action: index_label\n"
        "        attributes:\n"
        "        - cluster\n"
        "        - namespace\n"
        "        - unseen\n"
        "    retention_stream:\n"
        '    - selector: \'{cluster=~"main", namespace=~"shop|web"}\'\n'
        "      priority: 1001\n"
        "      period: 696h\n"
        '    - selector: \'{cluster=~"main", unseen=~"shop|web"}\'\n'
        "      priority: 1001\n"
        "      period: 696h\n"
        "    - selector: '{cluster=~\"main\"}'\n"
        "      priority: 1000\n"
        "      period: 876000h\n"
    )


def test_what_is_held_or_unclear_is_kept():
    held = RetentionClass(Demand(maximum=720, legal_hold=True), ("bank",))
    assert len(printed(held)["retention_stream"]) == 1
    assert len(printed(replace(WEB, unclear=frozenset(WEB.namespaces)))["retention_stream"]) == 1


def test_the_labels_that_it_asks_for_are_the_ones_that_are_looked_for():
    assert loki_settings(Documents({"limits_config": printed(WEB)}), "audit").labelled


names = st.sampled_from(["", "web", "shop", "web-2", "odd.\\x{2e}|name"])
days = st.integers(2, 60).map(lambda each: each * DAY)
demands = st.builds(
    lambda minimum, more, held: Demand(minimum=minimum, maximum=minimum + more, legal_hold=held),
    st.sampled_from([0, 10 * DAY, 40 * DAY]),
    days,
    st.booleans(),
)


@given(st.dictionaries(names, demands, max_size=4), st.integers(0, 3), st.sampled_from(["main", "old"]))
def test_a_store_that_is_told_so_keeps_each_minimum_and_no_maximum_longer(demanded, period, cluster):
    classes = [RetentionClass(demand, (name,)) for name, demand in demanded.items()]
    loki = FakeLoki(NOW)
    loki.overrides = {**printed(*classes, clusters=("main", "old")), "retention_period": f"{period}d"}
    assert rules(loki.overrides["retention_stream"]) is not None
    ages = [4 * number + 0.5 for number in range(32)]
    for name in ["", "web", "shop", "web-2", "odd.\\x{2e}|name", "nobody"]:
        for attribute in ("namespace", "unseen"):
            loki.add(ages, cluster=cluster, **({attribute: name} if name else {}))
    loki.compact()
    for name in [*demanded, "nobody"]:
        left = [NOW - each.time for each in loki.records if name == _name(each)]
        demand = demanded.get(name, Demand())
        assert max(left) + timedelta(days=4) >= timedelta(hours=demand.minimum)
        if demand.delete_after is None:
            assert len(left) == 2 * len(ages)
        else:
            assert max(left) <= timedelta(hours=max(demand.delete_after, 2 * DAY))


def _name(record):
    return record.labels.get("namespace", "") or record.labels.get("unseen", "")
