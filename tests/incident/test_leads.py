from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from audit_operator.incident.leads import MOST_FURTHER, Named, first_leads, further_leads, go_json
from audit_operator.sinks.selection import Attribute
from audit_operator.sinks.store import Record

NOW = datetime(2026, 11, 28, 7, tzinfo=UTC)
DAY = timedelta(days=1)
NAMED = Named(NOW - DAY, NOW + DAY, audit_ids=("id-1",))


def record(event=None, audit_id="id-1", time=NOW, **attributes):
    attributes = {"verb": "get", **attributes}
    return Record(audit_id, "ResponseComplete", time, json.dumps(event or {}), attributes)


def leads_of(*records, named=NAMED):
    return further_leads(records, named, first_leads(named))


def whys(leads):
    return {each.why for each in leads}


def test_what_is_named_is_asked_for_in_all_ways_in_which_it_may_be_recorded():
    named = Named(NOW - DAY, NOW, ("id-1",), ("jane",), (("shop", "pods/exec", "web"), ("", "nodes", "n1")))
    assert [(each.equal, each.text, each.namespace) for each in first_leads(named)] == [
        (((Attribute.AUDIT_ID, "id-1"),), "", None),
        ((), "id-1", None),
        (((Attribute.USER, "jane"),), "", None),
        ((), '"username":"jane"', None),
        (((Attribute.RESOURCE, "pods"), (Attribute.NAME, "web"), (Attribute.SUBRESOURCE, "exec")), "", "shop"),
        (((Attribute.RESOURCE, "nodes"), (Attribute.NAME, "n1")), "", ""),
    ]


def test_where_nothing_but_a_time_is_named_everything_of_it_is_asked_for():
    [lead] = first_leads(Named(NOW, NOW + DAY))
    assert (lead.since, lead.until, lead.equal, lead.text) == (NOW, NOW + DAY, (), "")


def test_an_event_leads_to_its_users_its_object_its_credential_and_its_correlation():
    event = {
        "user": {"username": "jane", "extra": {"authentication.kubernetes.io/credential-id": ["JTI=7"]}},
        "impersonatedUser": {"username": "root"},
    }
    found = record(event, username="jane", namespace="shop", resource="secrets", name="db", correlationId="c-9")
    leads, left_out = leads_of(found)
    assert left_out == 0
    assert {"user jane", "names user root", "object secrets/db in shop", "credential JTI=7"} <= whys(leads)
    assert "correlation ID c-9" in whys(leads)
    assert {(each.since, each.until) for each in leads} == {(NOW - NAMED.around, NOW + NAMED.around)}


def test_the_time_of_a_lead_is_that_around_all_records_that_lead_to_it():
    leads, _ = leads_of(*(record(username="jane", time=NOW + timedelta(hours=hours)) for hours in (0, 3)))
    assert {(each.since, each.until) for each in leads} == {
        (NOW - NAMED.around, NOW + timedelta(hours=3) + NAMED.around)
    }


def test_only_what_belongs_to_what_was_named_leads_further():
    assert leads_of(record(audit_id="other", username="jane")) == ((), 0)
    mention = record({"x": "id-1"}, audit_id="other", username="jane")
    assert "user jane" in whys(leads_of(mention)[0])


def test_what_is_followed_already_is_not_followed_again():
    named = Named(NOW - DAY, NOW, ("id-1",), ("jane",))
    assert leads_of(record({"user": {"username": "jane"}}, username="jane"), named=named) == ((), 0)


def test_lines_that_mention_an_audit_id_crowd_out_nothing_that_its_own_records_lead_to():
    noise = [
        Record("", "", NOW - timedelta(minutes=5), "id-1", {"username": f"user-{number}", "pod": "web-1"})
        for number in range(MOST_FURTHER)
    ]
    leads, left_out = leads_of(*noise, record(username="mallory", namespace="shop", resource="secrets", name="db"))
    assert {"user mallory", "object secrets/db in shop"} <= whys(leads)
    assert left_out > 0


def test_leads_that_are_too_many_are_counted():
    records = [record(username=f"user-{number}") for number in range(MOST_FURTHER)]
    leads, left_out = leads_of(*records)
    assert (len(leads), left_out) == (MOST_FURTHER, MOST_FURTHER)


def test_what_is_no_event_leads_nowhere_and_harms_nothing():
    for event in (
        None,
        [],
        {"user": "jane"},
        {"user": {"username": 3, "extra": {"authentication.kubernetes.io/credential-id": [1]}}},
    ):
        assert leads_of(Record("id-1", "", NOW, json.dumps(event))) == ((), 0)
    assert leads_of(Record("id-1", "", NOW, "[" * 200_000)) == ((), 0)


def test_a_name_is_written_as_the_api_server_writes_it():
    assert go_json('a<b>&"ä\u2028') == '"a\\u003cb\\u003e\\u0026\\"ä\\u2028"'
