"""A subject's name stays a value in every query, questions stay short, and no answer but a count counts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.sinks.erasure import Names, SubjectErasure, _batches, _named
from audit_operator.sinks.store import Failure, Reason

NOW = datetime(2026, 11, 28, tzinfo=UTC)
LITERAL = re.compile(r'"(?:\\.|[^"\\])*"')


class Store:
    """Answers the same to every question, for faults; tests/integration/shipping/test_erasure.py has a real one."""

    clusters, tenant_headers = ("main",), {}

    def __init__(self, body):
        self.connection, self.body, self.queries = self, body, []

    async def ask(self, _path, form, _headers):
        self.queries.append(form["query"])
        return self.body if isinstance(self.body, Failure) else SimpleNamespace(body=self.body)

    async def lines(self, _path, _form, _headers):
        for each in [self.body] if isinstance(self.body, Failure) else self.body.splitlines():
            yield each


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=2))
def test_names_stand_in_queries_as_literals_only(clear, pseudonyms):
    skeleton = LITERAL.sub("L", _named(Names(clear, tuple(pseudonyms))))
    assert re.fullmatch(r"\(username:in\(L(,L)*\) or _msg:contains_any\(L(,L)*\)\)", skeleton)


@given(st.integers(0, 400), st.integers(0, 12))
def test_questions_about_many_namespaces_are_short_and_leave_none_out(namespaces, keys):
    names = {f"n{number}": Names("dora", ("p-3f2a9c01-" + "0" * 32,) * keys) for number in range(namespaces)}
    batches = list(_batches(names))
    assert [each for batch in batches for each in batch] == list(names)
    for batch in batches:
        together = tuple(each for one in batch.values() for each in one.pseudonyms)
        assert len(_named(Names("dora", together))) < 12_000


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
    store = Store(b'{"total":"3","old":"0"}')
    found = await SubjectErasure(store).count("shop", Names("dora"), None, NOW)
    assert (found.found, found.erasable) == (3, 0)
    assert "count() if (!*) old" in store.queries[0]
