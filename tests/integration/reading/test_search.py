"""A real VictoriaLogs is asked for records of namespaces."""

from __future__ import annotations

import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.cli import main
from audit_operator.sinks import Access, Record, open_store
from audit_operator.sinks.search import End, search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from tests.integration.reading.records import record, spec, write
from tests.integration.shipping.victoria_logs import victoria_logs

ODD = ['"', "\\", '" or *', "') | delete", "*", "`", "ü 😀", "%22", "a\u2028b", "_time:5m", "{namespace=~'.*'}", "$(x)"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with victoria_logs(tmp_path_factory.mktemp("victoria-logs")) as address:
        made = [record(name, f"{name or 'none'}-{n}", ago=10 + n) for name in ("a", "b", "") for n in range(50)]
        made += [record("a", "other-cluster", cluster="other"), record("a", "old", ago=5000)]
        made += [record("odd", f"odd-{n}", username=value, event={"said": value}) for n, value in enumerate(ODD)]
        write(address, made)
        yield address


def selected(*scopes, **more):
    now = datetime.now(UTC)
    given = {"since": now - timedelta(hours=1), "until": now, "clusters": ("cluster",), **more}
    return Selection(tuple(each if isinstance(each, Scope) else Scope(each) for each in scopes), **given)


async def marks(url, selection):
    store = open_store(spec(url), Access())
    async with aclosing(search(store, selection)) as found:
        got = [each async for each in found]
    assert all(isinstance(each, Record) for each in got[:-1]), got
    assert isinstance(got[-1], End), got[-1]
    return [json.loads(each.text)["mark"] for each in got[:-1]], got[-1]


async def test_a_namespace_has_its_records_newest_first_and_no_others(url):
    assert await marks(url, selected("a")) == ([f"a-{n}" for n in range(50)], End(0, complete=True))
    assert await marks(url, selected("")) == ([f"none-{n}" for n in range(50)], End(0, complete=True))
    assert await marks(url, selected("nobody")) == ([], End(0, complete=True))


async def test_several_namespaces_oldest_first_up_to_a_limit(url):
    found, end = await marks(url, selected("a", "b", limit=4, order=Order.OLDEST))
    assert (sorted(found), end) == (["a-48", "a-49", "b-48", "b-49"], End(0, complete=False))


async def test_records_from_before_a_namespace_was_made_are_left_out(url):
    found, _ = await marks(url, selected(Scope("a", datetime.now(UTC) - timedelta(seconds=30)), "b"))
    assert {"b-49", "b-0", "a-0"} <= set(found)
    assert "a-49" not in found


async def test_every_value_is_found_by_itself_alone(url):
    for number, value in enumerate(ODD):
        by_user = selected("odd", equal=((Attribute.USER, value),))
        assert (await marks(url, by_user))[0] == [f"odd-{number}"], value
    assert (await marks(url, selected("odd", text='"said":"*"')))[0] == [f"odd-{ODD.index('*')}"]
    assert (await marks(url, selected("odd", text="said.*")))[0] == []


def test_the_command_reads_from_a_real_store(url, tmp_path, capsys):
    sink = {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "ClusterAuditSink",
        "metadata": {"name": "central"},
        "spec": {"type": "VictoriaLogs", "victoriaLogs": {"url": url}},
    }
    (tmp_path / "sink.json").write_text(json.dumps(sink))
    command = ["query", "-f", str(tmp_path / "sink.json"), "-n", "a", "--since", "1h", "-o", "json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 51
    assert {each["attributes"]["namespace"] for each in found} == {"a"}
    assert not {name for each in found for name in each["attributes"] if name.startswith("_")}
