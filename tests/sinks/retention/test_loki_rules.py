"""How long a stream is kept by Loki's rules: what is said of it must be what a Loki does, whatever it does not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.sinks.retention.loki_questions import MARK, Selector, batches, is_ours, questions, selector_of
from audit_operator.sinks.retention.loki_rules import NEVER, Kept, kept, matchers, one_of, period, rules
from tests.sinks.fake_loki import FakeLoki, matches

NOW = datetime(2026, 11, 28, tzinfo=UTC)
STREAM = {"cluster": "main", "namespace": "web", "unseen": ""}


def rule(selector, hours=240, priority=1):
    return {"selector": selector, "priority": priority, "period": f"{hours}h"}


def said(*levels, labels=STREAM, hours=None):
    return kept(labels, [rules(each) for each in levels], hours)


def test_without_a_rule_the_period_of_the_tenant_counts():
    assert said([], [], hours=720) == Kept(720, 720)
    assert said([rule('{namespace="shop"}')], hours=None) == Kept(None, None)


def test_the_highest_priority_counts_and_the_tenant_before_the_global_ones():
    own = [rule('{cluster="main"}', 100), rule('{namespace=~"web|shop"}', 200, priority=2)]
    everybody = [rule('{cluster=~".+"}', 300, priority=9)]
    assert said(own, everybody) == Kept(200, 200)
    assert said([], everybody, hours=720) == Kept(300, 300)


def test_what_cannot_be_said_is_a_range():
    other = [rule('{container="nginx"}', 24, priority=5), rule('{cluster="main"}', 100)]
    assert said(other) == Kept(24, 100)
    assert said([rule('{container="nginx"}', 24)], hours=720) == Kept(24, 720)
    assert said([rule('{container="nginx"}', 24)], hours=None) == Kept(24, None)
    assert said([rule('{cluster="main"}', 24), rule('{namespace="web"}', 48)]) == Kept(24, 48)
    assert said([rule('{namespace=~"(a|w).b"}', 24)], hours=720) == Kept(24, 720)
    assert said([rule(r'{namespace=~"we\\db"}', 24)], hours=720) == Kept(24, 720)


@pytest.mark.parametrize(
    ("selector", "applies"),
    [
        *(('{namespace="web"}', True), ('{namespace!="web"}', False), ('{namespace=~"we.*"}', True)),
        *(
            ('{namespace=~"e.*"}', False),
            ('{namespace!~"a|web"}', False),
            ('{unseen=""}', True),
            ('{unseen=~".+"}', False),
        ),
        *(('{ cluster = "main" , namespace = `web` , }', True), ('{cluster=~".*",namespace="x"}', False), ("{}", True)),
    ],
)
def test_a_selector_is_read_as_loki_reads_it(selector, applies):
    assert said([rule(selector, 24)], hours=720) == (Kept(24, 24) if applies else Kept(720, 720))


@pytest.mark.parametrize(
    "listed",
    [
        *("nonsense", [1], [{}], [rule("nonsense")], [rule('{a="b"} |= "c"')], [rule('{a="\\x41"}')], [rule("{a=b}")]),
        *([{"selector": '{a="b"}', "period": "x"}], [rule('{a="b"}', 23)], [rule('{a="b"}') | {"priority": "1"}]),
    ],
)
def test_rules_that_cannot_be_read_are_not_taken_for_none(listed):
    assert rules(listed) is None


def test_no_rules_are_none_and_a_century_is_for_ever():
    assert rules(None) == rules([]) == ()
    assert said([rule('{cluster="main"}', NEVER)], hours=24) == Kept(None, None)


@pytest.mark.parametrize(
    ("duration", "hours"),
    [
        *(("0s", 0), ("0", 0), ("24h", 24), ("24h0m0s", 24), ("31d", 744), ("2w", 336), ("1y", 8760), ("1d12h", 36)),
        *(("90m", 1), ("721h", 721), ("", None), ("-1d", None), ("1x", None), ("d", None), ("1M", None)),
    ],
)
def test_durations_are_read_as_the_store_writes_them(duration, hours):
    assert period(duration) == hours


names = st.sampled_from(["", "web", "shop", "web-2", "main"])
patterns = st.sampled_from([".*", ".+", "web|shop", "we.*", "w.b", "web", "(web|x)", "main", "[a-z]+"])
conditions = st.one_of(
    st.builds('{}{}"{}"'.format, st.sampled_from([*STREAM, "pod"]), st.sampled_from(["=", "!="]), names),
    st.builds('{}{}"{}"'.format, st.sampled_from([*STREAM, "pod"]), st.sampled_from(["=~", "!~"]), patterns),
)
selectors = st.lists(conditions, max_size=3).map(lambda each: "{" + ",".join(['cluster="main"', *each]) + "}")
listed = st.lists(st.builds(rule, selectors, st.integers(24, 40), st.integers(1, 3)), max_size=4)


streams = st.fixed_dictionaries({"namespace": names, "unseen": names, "pod": names})


@given(listed, listed, st.integers(0, 40), streams)
def test_what_a_store_does_is_within_what_is_said(own, shared, days, stream):
    loki = FakeLoki(NOW)
    loki.label("cluster", "namespace", "unseen", "pod")
    loki.overrides["retention_stream"], loki.config["limits_config"]["retention_stream"] = own, shared
    loki.overrides["retention_period"] = f"{days}d"
    labels = {"cluster": "main", **stream}
    loki.add([age / 24 for age in range(1, 41 * 24)], **{key: value for key, value in labels.items() if value})
    del labels["pod"]  # of which nobody here knows anything
    found = said(own, shared, labels=labels, hours=days * 24 or None)
    loki.compact()
    oldest = round(max((NOW - each.time for each in loki.records), default=timedelta()) / timedelta(hours=1))
    for_ever = oldest == 41 * 24 - 1
    assert for_ever if found.earliest is None else oldest >= found.earliest - 1
    assert found.latest is None or oldest < found.latest


texts = st.text(max_size=40)


@given(st.lists(texts, min_size=1, max_size=8), texts)
def test_a_list_of_names_matches_them_and_nothing_else(listed, other):
    [read] = matchers(f"{{namespace=~`{one_of(listed)}`}}")
    assert all(read.holds({"namespace": each}) for each in listed)
    assert read.holds({"namespace": other}) is (other in listed)


printable = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(st.frozensets(printable, min_size=1, max_size=3), st.sampled_from(["namespace", "unseen"]), printable)
def test_a_deletion_is_known_again_by_its_query(clusters, label, name):
    selector = Selector(clusters, label, name)
    assert selector_of(str(selector)) == selector
    # A comma in a name reads as two; control planes have none.
    assert is_ours(str(selector), clusters) or any("," in each for each in clusters)
    assert MARK in str(selector)


@given(st.lists(texts, max_size=400, unique=True))
def test_every_namespace_is_in_one_question_and_no_question_is_too_long(namespaces):
    made = list(batches(namespaces))
    assert [name for batch in made for name in batch] == namespaces
    assert all(len(batch) == 1 or sum(len(one_of([each])) for each in batch) <= 8_000 for batch in made)


records = st.builds(
    # Shippers write one of both.
    lambda cluster, name, seen: {"cluster": cluster, ("namespace" if seen else "unseen"): name},
    st.sampled_from(["main", "old", "another"]),
    st.sampled_from(["", "web", "web-2", "shop"]),
    st.booleans(),
)


@given(
    st.sets(st.sampled_from(["cluster", "namespace", "unseen"])),
    records,
    st.sets(st.sampled_from(["", "web", "shop"]), min_size=1),
    st.booleans(),
)
def test_whatever_became_labels_each_record_of_a_namespace_is_found_once(labels, record, wanted, labelled):
    loki = FakeLoki(NOW)
    loki.label(*sorted(labels))
    loki.add([1], **{key: value for key, value in record.items() if value})
    asked = questions(sorted(wanted), ("main", "old"), labelled=labelled)
    found = sum(matches(each.query, loki.records[0]) for each in asked)
    name = record.get("namespace", "") or record.get("unseen", "")
    assert found == (record["cluster"] in {"main", "old"} and name in wanted)
