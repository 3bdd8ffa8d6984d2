"""What is known of a Loki from what it shows; of what it does not show, nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.sinks.retention.loki_settings import Documents, LokiSettings, loki_settings

LIMITS = {
    "retention_period": "31d",
    "deletion_mode": "filter-and-delete",
    "max_query_length": "30d1h",
    "max_query_lookback": "0s",
    "otlp_config": {
        "log_attributes": [{"action": "index_label", "attributes": ["cluster", "namespace", "unseen", "verb"]}]
    },
}
CONFIG = {
    "compactor": {"retention_enabled": True, "delete_request_store": "s3"},
    "limits_config": LIMITS,
    "schema_config": {"configs": [{"from": "2024-04-01", "store": "tsdb", "index": {"period": "24h"}}]},
}
WITH_FILE = CONFIG | {"runtime_config": {"file": "/etc/overrides.yaml"}}
RULES = [{"selector": '{cluster="main"}', "priority": 1, "period": "90d"}]


def of(config=CONFIG, **more):
    return loki_settings(Documents(config, **more), "audit")


def changed(**limits):
    return CONFIG | {"limits_config": LIMITS | limits}


def test_all_that_counts_is_read():
    found = of()
    assert (found.known, found.enabled, found.hours, found.labelled, found.can_delete) == (True, True, 744, True, True)
    assert (found.looks_back, found.tables, found.since) == (True, False, datetime(2024, 3, 31, tzinfo=UTC))
    assert found.longest == timedelta(hours=720)


def test_what_is_set_for_the_tenant_counts_before_what_is_set_for_all():
    runtime = {"overrides": {"audit": {"retention_period": "400d", "retention_stream": RULES}, "other": {}}}
    found = of(WITH_FILE, runtime=runtime)
    assert (found.known, found.hours, len(found.levels[0])) == (True, 9600, 1)
    assert of(WITH_FILE, runtime={"overrides": {}}).hours == 744
    assert of(WITH_FILE, runtime={}).known


def test_of_published_limits_those_that_are_not_published_are_not_known():
    published = {"retention_period": "400d", "retention_stream": RULES}
    found = of(WITH_FILE, limits=published)
    assert (found.known, found.hours, found.can_delete, found.looks_back) == (True, 9600, False, False)
    whole = {**published, "deletion_mode": "filter-and-delete", "max_query_lookback": "0s"}
    found = of(WITH_FILE, limits=whole)
    assert (found.known, found.can_delete, found.looks_back) == (True, True, True)
    assert not of(WITH_FILE, limits={"retention_period": "400d"}).known
    assert not of(WITH_FILE).known


@pytest.mark.parametrize(
    "limits",
    [{"retention_period": None}, {"retention_period": "x"}, {"retention_period": -1}, {"retention_stream": "x"}],
)
def test_a_period_or_a_rule_that_cannot_be_read_is_not_known(limits):
    assert not of(changed(**limits)).known


@pytest.mark.parametrize("config", [None, {}, {"compactor": [], "limits_config": 1, "schema_config": {"configs": 7}}])
def test_of_something_else_nothing_is_known(config):
    found = of(config)
    assert (found.known, found.can_delete, found.looks_back, found.labelled) == (False, False, False, False)


@pytest.mark.parametrize("mode", ["filter-only", "disabled", None])
def test_what_only_hides_does_not_delete(mode):
    assert not of(changed(deletion_mode=mode)).can_delete


@pytest.mark.parametrize("compactor", [{}, {"retention_enabled": True}, {"delete_request_store": "s3"}])
def test_without_a_compactor_that_deletes_nothing_is_deleted(compactor):
    found = of(CONFIG | {"compactor": compactor})
    assert not found.can_delete
    assert found.enabled is compactor.get("retention_enabled", False)
    assert found.known


@pytest.mark.parametrize(
    "listed",
    [
        *(None, [], "x", [{"action": "structured_metadata", "attributes": ["cluster", "namespace", "unseen"]}]),
        *(
            [{"action": "index_label", "attributes": ["cluster", "namespace"]}],
            [{"action": "index_label", "regex": ".*"}],
        ),
    ],
)
def test_only_attributes_that_are_named_are_labels(listed):
    assert not of(changed(otlp_config={"log_attributes": listed})).labelled


def test_labels_may_be_made_in_several_entries():
    listed = [{"action": "index_label", "attributes": [each]} for each in ("cluster", "namespace", "unseen")]
    assert of(changed(otlp_config={"log_attributes": listed})).labelled


@pytest.mark.parametrize(
    "schema", [{"from": "2020-01-01", "store": "boltdb", "index": {"period": "24h"}}, {"store": "tsdb", "index": {}}]
)
def test_an_index_that_the_compactor_does_not_delete_from_is_told(schema):
    found = of(CONFIG | {"schema_config": {"configs": [*CONFIG["schema_config"]["configs"], schema]}})
    assert [each.message for each in found.gaps(deletes=False)] == [
        "the store has an index that its compactor does not delete from"
    ]
    assert of(CONFIG | {"table_manager": {"retention_deletes_enabled": True}}).tables


def test_where_the_beginning_is_not_known_it_is_that_of_loki():
    assert of(CONFIG | {"schema_config": {"configs": [{"from": "x"}]}}).since == LokiSettings().since
    assert of({}).since.year == 2018


@pytest.mark.parametrize(("limit", "hours"), [("0s", 720), ("12h", 12), ("1y", 720), (None, 720), ("x", 720)])
def test_no_question_is_longer_than_the_tenant_may_ask(limit, hours):
    assert of(changed(max_query_length=limit)).longest == timedelta(hours=hours)


def test_another_rule_is_another_text():
    assert str(of(changed(retention_stream=RULES))) != str(of())
    assert len(str(of())) < 300
