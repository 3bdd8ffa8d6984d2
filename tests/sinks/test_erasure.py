"""A subject's name stays a value in every query, questions stay short, and no answer but a count counts."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.sinks.erasure import MadeUp, Names, SubjectErasure, _named, _one_by_one, _together
from audit_operator.sinks.quoting import quoted
from audit_operator.sinks.store import Failure, Reason
from audit_operator.sinks.victoria_logs_scanner import stored_record

NOW = datetime(2026, 11, 28, tzinfo=UTC)
LITERAL = re.compile(r'"(?:\\.|[^"\\])*"')


class Store:
    """Answers the same to every question, for faults; tests/integration/shipping/test_erasure.py has a real one."""

    clusters, tenant_headers = ("main",), {}

    def __init__(self, body, rows=None):
        self.connection, self.body, self.queries = self, body, []
        self.rows = body if rows is None else rows

    async def delete(self, query):
        self.queries.append(query)
        return False

    async def ask(self, _path, form, _headers):
        self.queries.append(form["query"])
        return self.body if isinstance(self.body, Failure) else SimpleNamespace(body=self.body)

    async def lines(self, _path, form, _headers):
        self.queries.append(form["query"])
        for each in [self.rows] if isinstance(self.rows, Failure) else self.rows.splitlines():
            yield each


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=2))
def test_names_stand_in_queries_as_literals_only(clear, pseudonyms):
    skeleton = LITERAL.sub("L", _named(Names(clear or "x", tuple(pseudonyms))))
    assert re.fullmatch(r"\(username:in\(L(,L)*\) or _msg:contains_any\(L(,L)*\)\)", skeleton)


@given(st.integers(0, 400), st.integers(0, 12))
def test_questions_about_many_namespaces_are_short_and_leave_none_out(namespaces, keys):
    names = {f"n{number}": Names("dora", (f"p-{number:08x}-" + "0" * 32,) * keys) for number in range(namespaces)}
    parts = list(_together(names))
    asked = [each for part in parts for each in part.pseudonyms]
    assert asked == [each for one in names.values() for each in one.pseudonyms]
    assert [part.clear for part in parts] == (["dora"] + [""] * (len(parts) - 1) if names else [])
    assert all(len(_named(part)) < 12_000 for part in parts)


@pytest.mark.parametrize("keys", [175, 1000])
async def test_no_question_is_too_long_for_a_namespace_that_has_had_many_keys(keys):
    names = Names("dora", tuple(f"p-{number:08x}-" + "0" * 32 for number in range(keys)))
    store = Store(b'{"total":"1","old":"1"}', b"")
    erasure = SubjectErasure(store)
    assert (await erasure.count("shop", names, 0, NOW)).found == len(list(names.parts()))
    assert await erasure.erase("shop", names, 0, NOW) == len(list(names.parts()))
    await erasure.found_in({"shop": names})
    assert all(len(each) < 12_000 for each in store.queries)
    assert {each for each in names.pseudonyms if not any(each in query for query in store.queries)} == set()


def row(text, **attributes):
    return json.dumps({"_time": "2026-11-27T00:00:00.000000001Z", "_msg": text, "auditID": "a", **attributes}).encode()


@pytest.mark.parametrize(
    ("event", "is_theirs"),
    [
        ({"impersonatedUser": {"username": "dora"}}, True),
        ({"user": {"username": "p-1"}}, True),
        ({"requestObject": {"impersonatedUser": {"username": "dora"}}}, False),
        ({"requestObject": {"user": {"username": "dora"}}}, False),
        ({"userAgent": "p-1"}, False),
        ({"impersonatedUser": {"username": ["dora"]}}, False),
        ({"impersonatedUser": "dora"}, False),
        (["user"], False),
    ],
)
async def test_a_name_in_a_text_makes_a_record_the_subjects_only_where_the_event_has_its_users(event, is_theirs):
    store = Store(b'{"total":"2","old":"1"}', row(json.dumps(event), username="eve", stage="ResponseComplete"))
    found = await SubjectErasure(store).count("shop", Names("dora", ("p-1",)), 0, NOW)
    assert (found.found, found.erasable, found.mentioned) == ((3, 2, 0) if is_theirs else (2, 1, 1))


def test_a_record_that_is_erased_by_itself_is_named_by_more_than_its_audit_id():
    record = stored_record(row("{}", username='e"ve', stage="s"))
    (one,) = _one_by_one([record])
    span = "_time:[2026-11-27T00:00:00.000000001Z, 2026-11-27T00:00:00.000000002Z)"
    assert one == f'((auditID:="a" stage:="s" username:={quoted(chr(101) + chr(34) + "ve")} {span}))'
    many = list(_one_by_one([record] * 300))
    assert sum(each.count("auditID") for each in many) == 300
    assert all(len(each) < 11_000 for each in many)


async def test_namespaces_that_nobody_knew_are_one_share_and_those_that_exist_are_not_in_it():
    rows = [{"namespace": "shop"}, {"unseen": "made-up-1"}, {"unseen": "made-up-2"}, {"unseen": "web"}, {}]
    erasure = SubjectErasure(Store("\n".join(map(json.dumps, rows)).encode()))
    names = {"shop": Names("dora"), "": Names("dora")}
    found = await erasure.found_in(names, known=["web", "idle"])
    assert (found.namespaces, found.made_up) == (("", "shop", "web"), MadeUp(("web",)))
    assert (await erasure.found_in(names)).namespaces == ("", "shop")


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b'{"total":"x","old":"0"}', b'{"old":"0"}', b"", b"[" * 100_000])
async def test_what_is_no_count_is_a_failure(body):
    found = await SubjectErasure(Store(body)).count("shop", Names("dora"), 0, NOW)
    assert found.reason is Reason.ANSWER_MALFORMED


async def test_a_store_that_fails_has_not_answered():
    failed = Failure(Reason.TIMED_OUT, "away", "wait")
    erasure = SubjectErasure(Store(failed))
    for answer in (
        await erasure.namespaces(),
        await erasure.found_in({"shop": Names("dora")}),
        await erasure.count("shop", Names("dora"), 0, NOW),
        await erasure.leaves("shop", Names("dora"), 0, NOW),
    ):
        assert answer is failed
    assert (await SubjectErasure(Store(b"no record")).leaves("shop", Names("dora"), 0, NOW)).reason


async def test_a_name_that_cannot_be_asked_for_is_said():
    store = Store(b"")
    assert (await SubjectErasure(store).found_in({"shop": Names("")})).reason is Reason.QUESTION_INVALID
    assert store.queries == []


async def test_where_none_may_be_erased_none_is_old_enough():
    store = Store(b'{"total":"3","old":"0"}', b"")
    found = await SubjectErasure(store).count("shop", Names("dora"), None, NOW)
    assert (found.found, found.erasable) == (3, 0)
    assert "count() if (!*) old" in store.queries[0]
