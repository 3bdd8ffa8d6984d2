"""A real OpenSearch is asked for records of namespaces, by whoever has its credentials and through a reader."""

from __future__ import annotations

import json
import urllib.request
import uuid
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.api.sink import AuditSinkSpec
from audit_operator.shipping.search_index import NEW_INDEX, TEXT, TIME
from audit_operator.sinks import Access, Failure, Reason, Record, open_store
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from tests.integration.reading.records import record
from tests.integration.reading.scene import QUERIES, asked, expect_nothing_of_others, filled, tenants
from tests.integration.reading.world import reading
from tests.integration.shipping.open_search import open_search

ODD = [
    '"',
    "\\",
    '" OR *',
    "*",
    "?",
    "a b",
    "ü 😀",
    "}}]}",
    "namespace:*",
    "/.*/",
    "AND",
    "a\u2028b",
    "A b",
    "_exists_:x",
]
MORE_QUERIES = {
    "query string": "namespace={mine}&user=*%20OR%20namespace:{theirs}",
    "end of the JSON": "namespace={mine}&user=%22%7D%7D,%7B%22match_all%22:%7B%7D%7D,%7B%22term%22:%7B%22x%22:%22",
    "clause for a value": "namespace={mine}&user=%7B%22match_all%22:%7B%7D%7D",
    "list for a value": "namespace={mine}&user=%5B%22x%22,%22user-1%22%5D",
    "another index": "namespace={mine}&index=_all",
    "all indices": "namespace=_all",
    "escapes of JSON": "namespace={mine}&user=%5Cu0022%7D%7D",
    "field that is there": "namespace={mine}&name=_exists_:namespace",
    "script": "namespace={mine}&name=%7B%22script%22:%22true%22%7D",
    "runtime mapping": "namespace={mine}&runtime_mappings=x&search_pipeline=x&routing={theirs}",
    "source parameter": "namespace={mine}&source=%7B%22query%22:%7B%22match_all%22:%7B%7D%7D%7D",
    "contains everything": "namespace={mine}&contains=%22",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with open_search(tmp_path_factory.mktemp("open-search")) as running:
        yield running


def spec(node, index):
    return {"type": "OpenSearch", "openSearch": {"url": node.url, "index": index}}


def document(record):
    own = {**record.attributes, "auditID": record.audit_id, "stage": record.stage}
    return {**own, TIME: record.time.isoformat(), TEXT: record.text}


def write(node, index, documents):
    """In one request, to be found when this returns."""
    lines = "".join(f'{{"create":{{}}}}\n{json.dumps(each)}\n' for each in documents)
    url = f"{node.url}/{index}/_bulk?refresh=true"
    request = urllib.request.Request(url, lines.encode(), {"Content-Type": "application/x-ndjson"})  # noqa: S310  # loopback
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # as above
        assert not json.loads(answer.read())["errors"]


@pytest.fixture(scope="module")
def index(node):
    made = [record(name, f"{name or 'none'}-{n}", ago=10 + n) for name in ("a", "b", "a-b", "") for n in range(50)]
    made += [record("a", "other-cluster", cluster="other"), record("a", "old", ago=5000)]
    made += [record("odd", f"odd-{n}", username=value, event={"said": value}) for n, value in enumerate(ODD)]
    node.ask("PUT", "/audit", json.loads(NEW_INDEX))
    write(node, "audit", map(document, made))
    return "audit"


def selected(*scopes, **more):
    now = datetime.now(UTC)
    given = {"since": now - timedelta(hours=1), "until": now, "clusters": ("cluster",), **more}
    return Selection(tuple(each if isinstance(each, Scope) else Scope(each) for each in scopes), **given)


async def answered(node, index, selection):
    store = open_store(AuditSinkSpec.model_validate_json(json.dumps(spec(node, index))), Access())
    async with aclosing(search(store, selection)) as found:
        return [each async for each in found]


async def marks(node, index, selection):
    got = await answered(node, index, selection)
    assert all(isinstance(each, Record) for each in got[:-1]), got
    assert isinstance(got[-1], End), got[-1]
    return [json.loads(each.text)["mark"] for each in got[:-1]], got[-1]


async def test_a_namespace_has_its_records_newest_first_and_no_others(node, index):
    assert await marks(node, index, selected("a")) == ([f"a-{n}" for n in range(50)], End(0, complete=True))
    assert await marks(node, index, selected("")) == ([f"none-{n}" for n in range(50)], End(0, complete=True))
    assert await marks(node, index, selected("nobody")) == ([], End(0, complete=True))
    assert await marks(node, "not-there", selected("a")) == ([], End(0, complete=True))
    found, end = await marks(node, index, selected("a", "b", limit=4, order=Order.OLDEST))
    assert (sorted(found), end) == (["a-48", "a-49", "b-48", "b-49"], End(0, complete=False))


async def test_records_from_before_a_namespace_was_made_are_left_out(node, index):
    found, _ = await marks(node, index, selected(Scope("a", datetime.now(UTC) - timedelta(seconds=40)), "b"))
    assert {"b-49", "b-0", "a-0"} <= set(found)
    assert "a-49" not in found


async def test_every_value_is_found_by_itself_alone(node, index):
    for number, value in enumerate(ODD):
        by_user = selected("odd", equal=((Attribute.USER, value),))
        assert (await marks(node, index, by_user))[0] == [f"odd-{number}"], value
    assert (await marks(node, index, selected("odd", text='"said":"*"')))[0] == [f"odd-{ODD.index('*')}"]
    assert (await marks(node, index, selected("odd", text='"said":"a b"')))[0] == [f"odd-{ODD.index('a b')}"]
    assert (await marks(node, index, selected("odd", text="said.*")))[0] == []


async def test_more_than_a_page_comes_once_and_in_order_to_the_microsecond(node):
    """3000 records in 300 moments of ten, in turn, whose microseconds no store tells apart."""
    index = f"many-{uuid.uuid4()}"
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    moments = [begin + timedelta(milliseconds=n % 300, microseconds=n // 300 * 100) for n in range(3000)]
    own = {"cluster": "cluster", "namespace": "a", "auditID": "same", "stage": "Panic"}
    node.ask("PUT", f"/{index}", json.loads(NEW_INDEX))
    write(node, index, ({**own, TIME: each.isoformat(), TEXT: f"{each.isoformat()}"} for each in moments))
    for order in Order:
        whole = sorted((each.isoformat() for each in moments), reverse=order is Order.NEWEST)
        for limit in (5, 1234, 10_000):
            *found, end = await answered(node, index, selected("a", limit=limit, order=order))
            assert [each.text for each in found] == whole[:limit]
            assert end == End(0, complete=limit >= 3000)
        some = selected("a", limit=10_000, order=order, since=moments[301], until=moments[1500])
        *found, _ = await answered(node, index, some)
        assert [each.text for each in found] == [
            each for each in whole if moments[301].isoformat() <= each < moments[1500].isoformat()
        ]


async def test_many_records_of_one_moment_are_read_all_or_said_to_be_too_many(node):
    index = f"crowd-{uuid.uuid4()}"
    moment = datetime.now(UTC) - timedelta(minutes=5)
    own = {"cluster": "cluster", "namespace": "a", "stage": "Panic", TIME: moment.isoformat()}
    node.ask("PUT", f"/{index}", json.loads(NEW_INDEX))
    write(node, index, ({**own, "auditID": f"id-{n}", TEXT: f"{n}"} for n in range(9_000)))
    *found, end = await answered(node, index, selected("a", limit=10_000))
    assert (len({each.text for each in found}), end) == (9_000, End(0, complete=True))
    write(node, index, ({**own, "auditID": f"id-{n}", TEXT: f"{n}"} for n in range(9_000, 10_001)))
    [failed] = await answered(node, index, selected("a", limit=10_000))
    assert isinstance(failed, Failure)
    assert failed.reason is Reason.ANSWER_TOO_LARGE


async def test_an_index_that_the_store_made_by_itself_is_asked_for_whole_values(node):
    index = f"guessed-{uuid.uuid4()}"
    made = [record("a", "own"), record("a-b", "other"), record("b a", "another"), record("", "none")]
    write(node, index, map(document, made))
    assert (await marks(node, index, selected("a")))[0] == ["own"]
    assert (await marks(node, index, selected("")))[0] == ["none"]
    assert (await marks(node, index, selected("a", equal=((Attribute.VERB, "get"),))))[0] == ["own"]


async def test_an_index_that_knows_words_alone_is_not_asked(node):
    index = f"words-{uuid.uuid4()}"
    node.ask("PUT", f"/{index}", {"mappings": {"properties": {"namespace": {"type": "text"}}}})
    write(node, index, map(document, [record("a", "own"), record("a-b", "other")]))
    [failed] = await answered(node, index, selected("a"))
    assert isinstance(failed, Failure)
    assert "namespace" in failed.mend


async def test_a_document_of_several_namespaces_is_shown_to_nobody(node):
    index = f"forged-{uuid.uuid4()}"
    write(node, index, [{**document(record("a", "forged")), "namespace": ["a", "b"]}])
    [failed] = await answered(node, index, selected("a"))
    assert isinstance(failed, Failure)
    assert failed.reason is Reason.ANSWER_INCOMPLETE


@pytest.fixture(scope="module")
def scene(node, control_plane, tmp_path_factory):
    node.ask("PUT", "/attacked", json.loads(NEW_INDEX))
    with (
        reading(control_plane, tmp_path_factory.mktemp("reader"), node.url, spec(node, "attacked")) as world,
        tenants(world, lambda records: write(node, "attacked", map(document, records))) as made,
    ):
        yield made


def test_no_question_reads_what_is_anothers(scene):
    """In one test: each attack is two requests, and the store is the same to them all."""
    owner = scene.reader.ask(f"namespace={scene.theirs}&limit=1000", scene.owner_token)
    assert len(owner.marks) == 22
    assert scene.reader.ask(f"namespace={scene.mine}&since=30d", scene.token).marks
    for query in (QUERIES | MORE_QUERIES).values():
        attack = filled(query, scene)
        more = "" if "since=" in attack or "limit=" in attack else "&since=30d&limit=10000"
        expect_nothing_of_others(asked(scene, attack + more))
