"""What comes from a store is checked once more, whatever the store was asked."""

import json
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.sinks import Failure, Reason, Record, Unsupported
from audit_operator.sinks.logsql import LONGEST, query
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from tests.sinks.conftest import opened

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SELECTION = Selection((Scope("payments"),), NOW - timedelta(hours=1), NOW, ("cluster",), limit=3)


def row(number=1, namespace="payments", *, age=1.0, **more):
    time = (NOW - timedelta(minutes=age)).isoformat()
    own = {"_time": time, "_msg": f'{{"n": {number}}}', "auditID": f"id-{number}", "stage": "ResponseComplete"}
    return {**own, "cluster": "cluster", **({"namespace": namespace} if namespace else {}), **more}


async def searched(server, rows, selection=SELECTION):
    server.body = rows if isinstance(rows, bytes) else b"".join(json.dumps(each).encode() + b"\n" for each in rows)
    async with aclosing(search(opened("VictoriaLogs", server.url), selection)) as found:
        return [each async for each in found]


async def test_records_come_as_the_store_gives_them_and_then_the_end(server):
    first, second, end = await searched(server, [row(1), row(2)])
    assert (first.audit_id, second.audit_id, second.text) == ("id-1", "id-2", '{"n": 2}')
    assert end == End(copies=0, complete=True)
    assert server.asked[0].headers["AccountID"] == "3"


async def test_records_of_applications_have_no_audit_id(server):
    made = row()
    del made["auditID"], made["stage"]
    record, _ = await searched(server, [made])
    assert (record.audit_id, record.stage) == ("", "")


async def test_the_same_event_in_two_namespaces_is_no_copy(server):
    selection = replace(SELECTION, scopes=(Scope("payments"), Scope("shop")))
    found = await searched(server, [row(1), row(1, "shop"), row(1, "shop")], selection)
    assert [each.attributes["namespace"] for each in found[:-1]] == ["payments", "shop"]
    assert found[-1] == End(copies=1, complete=True)


async def test_copies_are_shown_once_and_more_than_asked_for_is_said(server):
    assert [type(each) for each in await searched(server, [row(1), row(1), row(2)])] == [Record, Record, End]
    assert (await searched(server, [row(1), row(1), row(2)]))[-1] == End(copies=1, complete=True)
    assert (await searched(server, [row(n) for n in range(4)]))[-1] == End(copies=0, complete=False)


@pytest.mark.parametrize(
    "foreign",
    [
        row(2, "shop"),
        row(2, ""),
        row(2, "Payments"),
        row(2, cluster="other"),
        row(2, age=61),
        row(2, age=-1),
        row(2, age=0),
    ],
)
async def test_a_record_that_was_not_asked_for_ends_the_answer_and_is_not_shown(server, foreign):
    shown, failed = await searched(server, [row(1), foreign, row(3)])
    assert shown.audit_id == "id-1"
    assert failed.reason is Reason.ANSWER_MALFORMED


async def test_records_of_a_namespace_that_had_the_name_before_are_foreign(server):
    selection = replace(SELECTION, scopes=(Scope("payments", NOW - timedelta(minutes=5)),))
    assert [type(each) for each in await searched(server, [row(1), row(2, age=6)], selection)] == [Record, Failure]


async def test_what_began_before_a_namespace_was_made_is_not_shown_and_does_not_end_the_answer(server):
    def received(age):
        return json.dumps({"requestReceivedTimestamp": (NOW - timedelta(minutes=age)).isoformat()})

    since = NOW - timedelta(minutes=5)
    selection = replace(SELECTION, scopes=(Scope("payments", since), Scope("shop")), limit=9)
    rows = [
        row(1, _msg=received(6)),  # a watch that its former owner began, and that ended afterwards
        row(2, _msg=received(5)),
        row(3, "shop", _msg=received(6)),
        row(4, _msg="a line of an application"),
        row(5, _msg='{"requestReceivedTimestamp": 5}'),
    ]
    *shown, end = await searched(server, rows, selection)
    assert [each.audit_id for each in shown] == ["id-2", "id-3", "id-4", "id-5"]
    assert end == End(copies=0, complete=True)


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[]\n",
        b'{"_time": "2026-03-01T11:59:00", "namespace": "payments"}\n',
        b'{"_time": "2026-03-01T11:59:00Z", "namespace": "shop", "namespace": "payments", "cluster": "cluster"}\n',
        b'{"_time": "2026-03-01T11:59:00Z", "namespace": ["payments"], "cluster": "cluster"}\n',
        json.dumps(row()).encode(),  # cut off
    ],
)
async def test_what_is_no_record_ends_the_answer(server, line):
    [failed] = await searched(server, line)
    assert failed.reason in (Reason.ANSWER_MALFORMED, Reason.CUT_OFF)


async def test_a_store_that_is_away_or_fails_half_way_is_said(server):
    server.status = 503
    [failed] = await searched(server, [row()])
    assert failed.reason is Reason.STORE_FAILED
    server.status, server.cut_after = 200, 300
    *_, failed = await searched(server, [row(1), row(2)])
    assert failed.reason is Reason.CUT_OFF


@pytest.mark.parametrize(
    "selection",
    [
        replace(SELECTION, scopes=()),
        replace(SELECTION, limit=0),
        replace(SELECTION, equal=((Attribute.USER, ""),)),
        replace(SELECTION, equal=((Attribute.USER, '"' * 1000),)),
        replace(SELECTION, equal=tuple((each, '"' * 600) for each in Attribute)),
    ],
)
async def test_what_no_store_can_be_asked_is_not_asked(server, selection):
    [failed] = await searched(server, [row()], selection)
    assert failed.reason is Reason.QUESTION_INVALID
    assert not server.asked


def streams(*rows):
    """Loki's answer: here each record is a stream of its own."""

    def value(each):
        return [str(int(datetime.fromisoformat(each["_time"]).timestamp() * 10**9)), each["_msg"]]

    labels = [{key: each[key] for key in each if not key.startswith("_")} for each in rows]
    result = [{"stream": own, "values": [value(each)]} for own, each in zip(labels, rows, strict=True)]
    return json.dumps({"status": "success", "data": {"resultType": "streams", "result": result}}).encode()


async def loki(server, selection):
    async with aclosing(search(opened("Loki", server.url), selection)) as found:
        return [getattr(each, "audit_id", each) async for each in found]


async def test_loki_is_asked_for_each_namespace_and_what_it_gives_is_put_in_order(server):
    server.body = streams(row(1, age=3), row(2, age=1), row(3, age=2))
    assert await loki(server, SELECTION) == ["id-2", "id-3", "id-1", End(0, complete=True)]
    assert await loki(server, replace(SELECTION, order=Order.OLDEST, limit=2)) == [
        "id-1",
        "id-3",
        End(0, complete=False),
    ]
    first, second = server.asked
    assert first.form == {
        "query": '{service_name=~".+"} | namespace="payments" | cluster="cluster"',
        "start": "1772362800000000000",
        "end": "1772366400000000000",
        "limit": "4",
        "direction": "backward",
    }
    assert second.form["direction"] == "forward"


async def test_loki_is_asked_with_literals_from_when_a_namespace_was_made(server):
    server.body = streams()
    scopes = Scope("a", NOW - timedelta(minutes=1)), Scope("")
    selection = replace(SELECTION, scopes=scopes, equal=((Attribute.USER, 'x" or "'),), text="`", clusters=("c", "d"))
    assert await loki(server, selection) == [End(0, complete=True)]
    first, second = (each.form for each in server.asked)
    assert first["query"] == (
        '{service_name=~".+"} |= "\\u0060" | namespace="a" '
        '| username="x\\u0022 or \\u0022" | cluster="c" or cluster="d"'
    )
    assert int(first["end"]) - int(first["start"]) == 60 * 10**9
    assert ' | namespace="" | ' in second["query"]


async def test_loki_is_not_asked_for_what_was_before_a_namespace_was_made(server):
    server.body = streams(row(1))
    scopes = Scope("new", NOW), Scope("payments")
    assert await loki(server, replace(SELECTION, scopes=scopes)) == ["id-1", End(0, complete=True)]
    assert len(server.asked) == 1


async def test_of_loki_no_more_is_held_than_there_is_room_for(server, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.loki.MOST_HELD", 100)
    server.body = streams(row(1, _msg="x" * 60), row(2, _msg="x" * 60))
    [failed] = await loki(server, SELECTION)
    assert failed.reason is Reason.ANSWER_TOO_LARGE


async def test_a_label_that_is_there_twice_is_no_answer_of_loki(server):
    server.body = streams(row(1)).replace(b'"namespace": "payments"', b'"namespace": "shop", "namespace": "payments"')
    [failed] = await loki(server, SELECTION)
    assert failed.reason is Reason.ANSWER_MALFORMED


async def test_what_loki_answers_is_checked_once_more(server):
    server.body = streams(row(1, "shop"))
    [failed] = await loki(server, SELECTION)
    assert failed.reason is Reason.ANSWER_MALFORMED
    server.body = b"{}"
    [failed] = await loki(server, SELECTION)
    assert failed.reason is Reason.ANSWER_MALFORMED


async def test_a_store_that_cannot_search_says_so(server):
    async with aclosing(search(opened("OTLP", server.url), SELECTION)) as found:
        assert [type(each) async for each in found] == [Unsupported]


def test_the_query_names_time_namespaces_and_clusters_and_asks_for_one_more():
    selection = replace(
        SELECTION,
        scopes=(Scope("a"), Scope("b", NOW)),
        equal=((Attribute.VERB, "get"),),
        text="x",
        order=Order.OLDEST,
    )
    assert query(selection) == (
        "_time:[2026-03-01T11:00:00.000000Z, 2026-03-01T12:00:00.000000Z) "
        '(namespace:="a" or (namespace:="b" _time:>=2026-03-01T12:00:00.000000Z)) '
        'verb:="get" (cluster:="cluster") _msg:*"x"* | sort by (_time) limit 4'
    )


@given(st.text(), st.text(), st.text())
def test_no_value_is_ever_more_than_a_literal(user, text, cluster):
    """Between the quotes there is nothing that could end them; outside of them, nothing of a value."""
    selection = replace(SELECTION, equal=((Attribute.USER, user),), text=text or "x", clusters=(cluster,))
    outside = query(selection).split('"')
    plain = query(replace(selection, equal=((Attribute.USER, "u"),), text="t", clusters=("c",))).split('"')
    assert outside[::2] == plain[::2]
    assert LONGEST == 16384
