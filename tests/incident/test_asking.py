"""Following leads page after page: what is wrong on any page is told at the end, and ends nothing."""

from __future__ import annotations

import gzip
from datetime import timedelta

from audit_operator.incident.asking import Asking
from audit_operator.incident.leads import Lead
from audit_operator.incident.timeline import Timeline
from audit_operator.sinks.files import FileStore
from audit_operator.sinks.store import Failure, Reason
from tests.sinks.test_files import DAY, line, put


async def asked(root, monkeypatch, namespaces=("payments",)):
    monkeypatch.setattr("audit_operator.incident.asking.PAGE", 4)
    monkeypatch.setattr("audit_operator.incident.asking.NAMESPACES_AT_ONCE", 1)
    asking = Asking({"files": FileStore(root)}, namespaces, Timeline(), lambda _: None)
    await asking.follow([Lead("all", DAY, DAY + timedelta(days=2))])
    [answer] = asking.asked
    return answer, [each.audit_id for each in asking.timeline.records]


async def test_a_file_that_cannot_be_read_is_told_though_later_pages_do_not_look_at_it(tmp_path, monkeypatch):
    records = [line(DAY + timedelta(days=1, seconds=number), str(number)) for number in range(10)]
    put(tmp_path, "payments/2026-03-01.jsonl.gz", "no gzip")
    put(tmp_path, "payments/2026-03-02.jsonl", *records)
    answer, found = await asked(tmp_path, monkeypatch)
    assert "payments/2026-03-01.jsonl.gz" in answer.problem
    assert found == [f"id-{number}" for number in range(10)]


async def test_what_can_be_read_is_whole_over_pages(tmp_path, monkeypatch):
    for day in range(2):
        records = (line(DAY + timedelta(days=day, seconds=each), f"{day}-{each}") for each in range(7))
        path = put(tmp_path, f"payments/2026-03-0{day + 1}.jsonl.gz")
        path.write_bytes(gzip.compress("".join(records).encode()))
    answer, found = await asked(tmp_path, monkeypatch)
    assert (answer.problem, len(found)) == ("", 14)


async def test_what_cannot_be_read_of_one_namespace_leaves_out_none_of_the_others(tmp_path, monkeypatch):
    names = tuple(f"n{number:02}" for number in range(40))
    for each in names:
        put(tmp_path, f"{each}/2026-03-01.jsonl", line(DAY + timedelta(seconds=5), each, namespace=each))
    put(tmp_path, "n00/2026-03-02.jsonl.gz", "no gzip")
    answer, found = await asked(tmp_path, monkeypatch, names)
    assert "n00/2026-03-02.jsonl.gz" in answer.problem
    assert sorted(found) == sorted(f"id-{each}" for each in names)


async def test_a_store_that_cannot_be_asked_is_asked_once(tmp_path, monkeypatch):
    questions = []
    monkeypatch.setattr(FileStore, "search", lambda _, selection: _refused(questions, selection))
    answer, _ = await asked(tmp_path, monkeypatch, ("a", "b", "c"))
    assert len(questions) == 1
    assert answer.problem == "it is away (wait)"


async def _refused(questions, selection):
    questions.append(selection)
    yield Failure(Reason.UNREACHABLE, "it is away", "wait")
