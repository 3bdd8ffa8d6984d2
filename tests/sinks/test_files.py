"""Reading dated files: order, bounds, what kills leave, and that nothing leads out of the folder."""

import gzip
import io
import json
import os
import resource
import threading
import tracemalloc
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.sinks import Failure, Reachable, Reason, Record, files
from audit_operator.sinks.dated_files import DatedFile, Tally, documents
from audit_operator.sinks.files import FileStore
from audit_operator.sinks.search import search
from audit_operator.sinks.selection import Attribute, Order, Scope, Selection
from audit_operator.sinks.store import Found, Unsupported

DAY = datetime(2026, 3, 1, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
PAYMENTS = (Scope("payments"),)


def line(time=NOON, mark="", **attributes):
    """As tools/otelcol/exporters/document writes it."""
    moment = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    own = {
        "auditID": f"id-{mark}",
        "stage": "ResponseComplete",
        "namespace": "payments",
        "cluster": "main",
        **attributes,
    }
    document = {"@timestamp": moment, "event": json.dumps({"mark": mark}), **{k: v for k, v in own.items() if v}}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"


def put(root, name, *lines, end=""):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines) + end, encoding="utf-8")
    return path


def selection(**more):
    return Selection(**{"scopes": PAYMENTS, "since": DAY, "until": DAY + timedelta(days=2), **more})


async def found(root, wanted=None):
    async with aclosing(search(FileStore(root), wanted or selection())) as answers:
        return [each async for each in answers]


def still_open():
    """Of this process. The one that lists them has gone when it is asked about."""
    return [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]


def marks(answers):
    return [json.loads(each.text)["mark"] for each in answers if isinstance(each, Record)]


async def test_records_come_in_order_over_days_and_folders_from_plain_and_packed_files(tmp_path):
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "b"), line(DAY, "a"))
    put(tmp_path, "payments/2026-03-02.jsonl", line(NOON + timedelta(days=1), "e"))
    (tmp_path / "payments" / "2026-03-01.jsonl.gz").write_bytes(
        gzip.compress((line(NOON + timedelta(hours=2), "d") + line(NOON + timedelta(hours=1), "c")).encode())
    )
    put(tmp_path, "_refused/2026-03-01.jsonl", line(DAY + timedelta(hours=1), "r"), line(DAY, "x", namespace="shop"))
    put(tmp_path, "shop/2026-03-01.jsonl", line(NOON, "s", namespace="shop"))
    assert marks(await found(tmp_path)) == ["e", "d", "c", "b", "r", "a"]
    oldest = await found(tmp_path, selection(order=Order.OLDEST, limit=3))
    assert marks(oldest) == ["a", "r", "b"]
    assert not oldest[-1].complete
    both = await found(tmp_path, selection(scopes=(Scope("payments"), Scope("shop")), order=Order.OLDEST))
    assert marks(both) == ["x", "a", "r", "b", "s", "c", "d", "e"]  # of the same moment, by folder


async def test_what_is_of_no_namespace_is_found_among_what_may_be_of_any(tmp_path):
    put(tmp_path, "_cluster/2026-03-01.jsonl", line(NOON, "node", namespace=""))
    put(
        tmp_path,
        "_other/2026-03-01.jsonl",
        line(DAY, "new", namespace="", unseen="payments"),
        line(DAY, "A", namespace="A"),
    )
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "p"))
    assert marks(await found(tmp_path, selection(scopes=(Scope(""),)))) == ["node", "new"]
    unseen = selection(scopes=(Scope(""),), equal=((Attribute.UNSEEN, "payments"),))
    assert marks(await found(tmp_path, unseen)) == ["new"]
    assert marks(await found(tmp_path, selection(scopes=(Scope("A"),)))) == ["A"]


async def test_a_record_of_another_namespace_in_a_folder_is_not_shown_to_those_who_ask_for_the_folders(tmp_path):
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "theirs", namespace="shop"), line(NOON, "mine"))
    assert marks(await found(tmp_path)) == ["mine"]


async def test_halves_that_kills_leave_are_counted_and_cost_nothing_where_their_record_follows(tmp_path):
    half = line(NOON, "a")[:-20]
    put(tmp_path, "payments/2026-03-01.jsonl", half, "\n", line(NOON, "a"), end=line(NOON, "b")[:50])
    store = FileStore(tmp_path)
    answers = [each async for each in search(store, selection())]
    assert marks(answers) == ["a"]
    assert answers[-1].complete
    assert (store.tally.again, store.tally.half) == (1, 1)


EVENT = {"kind": "Event", "auditID": "id-e", "stage": "ResponseComplete", "verb": "get"}


@pytest.mark.parametrize(
    ("until", "again"),
    [
        ("2026-03-01T", False),
        ('auditID\\":\\"id-e\\",', False),
        ('"stage\\":\\"Resp', False),
        ("verb", True),
        ('"auditID"', True),
    ],
)
async def test_half_a_line_counts_as_written_again_only_if_it_says_of_which_record_it_was(tmp_path, until, again):
    whole = json.dumps({"@timestamp": "2026-03-01T12:00:00Z", "event": json.dumps(EVENT, separators=(",", ":"))})
    whole = whole.replace('": "', '":"').replace('", "', '","')[:-1] + ',"auditID":"id-e","namespace":"payments"}\n'
    put(tmp_path, "payments/2026-03-01.jsonl", whole[: whole.index(until) + len(until)] + "\n", whole)
    store = FileStore(tmp_path)
    answers = [each async for each in search(store, selection())]
    assert isinstance(answers[-1], Failure) is not again
    assert store.tally.again == again


@pytest.mark.parametrize("body", ['{"requestObject":{"auditID":"x","stage":"y"},"a', "no event, and \\u00e", "[[[["])
async def test_what_is_within_an_event_does_not_say_whose_half_a_line_was(tmp_path, body):
    half = json.dumps({"@timestamp": "2026-03-01T12:00:00Z", "event": body}, separators=(",", ":"))[:-2]
    put(tmp_path, "payments/2026-03-01.jsonl", half + "\n", half + '","namespace":"payments"}\n')
    assert (await found(tmp_path))[-1].reason is Reason.ANSWER_INCOMPLETE


@pytest.mark.parametrize(
    "broken",
    [
        line(NOON, "lost")[:-20],
        "no JSON",
        line(NOON + timedelta(days=1), "of another day").strip(),
        line(NOON, "x").strip().replace('"namespace":"payments"', '"namespace":"shop","namespace":"payments"'),
        line(NOON, "x").strip().replace('"cluster":"main"', '"cluster":["main"]'),
        '{"@timestamp":' + "[" * 100_000,
        '{"@timestamp":"2026-03-01T12:00:00Z","event":"' + "\ud800",
    ],
)
async def test_a_line_that_is_no_record_of_its_day_makes_an_answer_that_is_not_whole(tmp_path, broken):
    path = put(tmp_path, "payments/2026-03-01.jsonl", line(DAY, "first"))
    path.write_bytes(path.read_bytes() + broken.encode("utf-8", "surrogatepass") + b"\n" + line(NOON, "last").encode())
    answers = await found(tmp_path)
    assert marks(answers) == ["last", "first"]
    assert answers[-1].reason is Reason.ANSWER_INCOMPLETE
    assert f"payments/2026-03-01.jsonl, from byte {len(line(DAY, 'first'))}" in answers[-1].message


async def test_a_line_without_end_is_skipped_in_flat_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.dated_files._LONGEST", 1000)
    put(tmp_path, "payments/2026-03-01.jsonl", line(DAY, "first"), "x" * 5000 + "\n", line(NOON, "last"))
    answers = await found(tmp_path)
    assert marks(answers) == ["last", "first"]
    assert "a line of more than 1000 bytes" in answers[-1].message


@pytest.mark.parametrize("packed", [b"no gzip", gzip.compress(line(NOON, "a").encode() * 3000)[:-30]])
async def test_a_packed_file_that_is_damaged_is_named(tmp_path, packed):
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "plain"))
    (tmp_path / "payments" / "2026-03-01.jsonl.gz").write_bytes(packed)
    answers = await found(tmp_path, selection(limit=5000))
    assert "plain" in marks(answers)
    assert answers[-1].message == "payments/2026-03-01.jsonl.gz: it is packed, and damaged or cut off"


@pytest.mark.parametrize("name", ["2026-03-01.jsonl.zst", "2026-03-01.jsonl.1", "2026-03-01.jsonl.gz.part"])
async def test_a_file_that_is_packed_in_another_way_is_named_where_its_day_is_asked_for(tmp_path, name):
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "plain"))
    put(tmp_path, f"payments/{name}", "x")
    put(tmp_path, "payments/2026-03-09.jsonl.zst", "of another day")
    answers = await found(tmp_path)
    assert marks(answers) == ["plain"]
    assert answers[-1].message == f"payments/{name}: it is packed otherwise than by gzip, or no shipper's"


class _Growing(io.BufferedReader):
    """A file to which its shipper writes the rest just after its end was met."""

    rest = b""

    def readline(self, size=-1):
        part = super().readline(size)
        if part and not part.endswith(b"\n"):
            with Path(self.raw.name).open("ab") as file:
                file.write(self.rest)
        return part


def test_a_line_that_is_finished_while_it_is_read_is_read_to_its_end(tmp_path):
    lines = [line(mark=each).encode() for each in "abc"]
    path = put(tmp_path, "payments/2026-03-01.jsonl", line(mark="a"), end=line(mark="b")[:50])
    tally = Tally()
    with _Growing(path.open("rb", buffering=0)) as content:
        content.rest = lines[1][50:] + lines[2]
        read = list(documents(content, DatedFile("payments", path.name, DAY.date(), False), tally, threading.Event()))
    assert [json.loads(each.text)["mark"] for each in read] == ["a", "b", "c"]
    assert tally == Tally()


class _Endless(io.BytesIO):
    """What a small packed file can hold; whoever reads gives up at the third look."""

    def __init__(self, part, given_up):
        super().__init__()
        self.part, self.given_up, self.read = part, given_up, 0

    def readline(self, size=-1):
        self.read += 1
        if self.read == 3:
            self.given_up.set()
        assert self.read < 10
        return self.part * (1 if self.part == b"\n" else size)


@pytest.mark.parametrize("part", [b"\0", b"\n"])
def test_content_without_end_is_read_no_longer_than_somebody_waits_for_a_record(part, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.dated_files._LONGEST", 1000)
    given_up = threading.Event()
    file = DatedFile("payments", "2026-03-01.jsonl.gz", DAY.date(), packed=True)
    assert not list(documents(_Endless(part, given_up), file, Tally(), given_up))


@pytest.mark.parametrize("order", Order)
async def test_what_cannot_be_read_is_told_also_where_there_is_more_than_the_limit(tmp_path, order):
    for day in (1, 2):
        moments = (DAY + timedelta(days=day - 1, seconds=number) for number in range(3))
        put(tmp_path, f"payments/2026-03-0{day}.jsonl", *(line(each, f"{day}-{each.second}") for each in moments))
    put(tmp_path, f"payments/2026-03-0{1 if order is Order.OLDEST else 2}.jsonl.gz", "no gzip")
    for limit in (1, 4, 5):
        answers = await found(tmp_path, selection(order=order, limit=limit))
        assert len(marks(answers)) == limit
        assert answers[-1].reason is Reason.ANSWER_INCOMPLETE
        assert answers[-1].message.endswith("damaged or cut off; there are more such records than were asked for")


async def test_no_name_and_no_link_leads_out_of_the_folder_and_no_pipe_is_waited_for(tmp_path):
    outside, root = tmp_path / "outside", tmp_path / "root"
    secret = put(outside, "2026-03-01.jsonl", line(NOON, "secret"))
    put(root, "payments/2026-03-01.jsonl", line(NOON, "mine"))
    (root / "payments" / "2026-03-02.jsonl").symlink_to(secret)
    os.mkfifo(root / "payments" / "2026-03-02.jsonl.gz")
    (root / "payments" / "2026-02-30.jsonl").symlink_to(secret)
    (root / "payments" / "notes.txt").symlink_to(secret)
    (root / "shop").symlink_to(outside)
    (root / "..evil").symlink_to(outside)
    (root / "Evil").symlink_to(outside)
    answers = await found(root)
    assert marks(answers) == ["mine"]
    assert answers[-1].reason is Reason.ANSWER_INCOMPLETE
    assert "payments/2026-03-02.jsonl: " in answers[-1].message
    assert "payments/2026-03-02.jsonl.gz: it is no plain file" in answers[-1].message
    for name in ("shop", "../outside", "..evil", "Evil", "/etc"):
        assert marks(await found(root, selection(scopes=(Scope(name),)))) == []


async def test_a_folder_that_is_not_the_sinks_does_not_pass_for_one_without_records(tmp_path):
    for root in (tmp_path / "missing", put(tmp_path, "files/payments/2026-03-01.jsonl", line()).parents[2]):
        [failed] = await found(root)
        assert failed.reason is Reason.NOT_FOUND
    assert isinstance(await FileStore(tmp_path).check(), Failure)
    assert await FileStore(tmp_path / "files").check() == Reachable()
    # There are files, and none of these days or of that namespace: that is an answer.
    [end] = await found(tmp_path / "files", selection(scopes=(Scope("shop"),)))
    assert end.complete


async def test_files_of_a_former_release_that_may_hold_such_records_are_named(tmp_path):
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "a"))
    former = put(tmp_path, "audit-2026-02-27T10-00-00.000.jsonl", "{}\n")
    os.utime(former, (DAY.timestamp() - 1, DAY.timestamp() - 1))
    assert (await found(tmp_path))[-1].complete
    os.utime(former, (NOON.timestamp(), NOON.timestamp()))
    assert "of a former release" in (await found(tmp_path))[-1].message


async def test_a_record_is_found_by_its_audit_id_whosever_it_is(tmp_path):
    put(tmp_path, "payments/2026-03-01.jsonl", line(NOON, "a"), line(NOON, "a"), line(NOON, "b"))
    answer = await FileStore(tmp_path).find("id-a", None, since=DAY)
    assert isinstance(answer, Found)
    assert ([each.audit_id for each in answer.records], answer.copies, answer.complete) == (["id-a"], 1, True)
    assert isinstance(await FileStore(tmp_path).write(answer.records[0]), Unsupported)
    assert isinstance(await FileStore(tmp_path).health(), Unsupported)


async def test_who_stops_listening_leaves_nothing_open(tmp_path):
    put(tmp_path, "payments/2026-03-01.jsonl", *(line(NOON, str(number)) for number in range(3000)))
    async with aclosing(search(FileStore(tmp_path), selection(limit=1000))) as answers:
        async for _ in answers:
            break
    assert not [each for each in map(os.readlink, still_open()) if each.startswith(str(tmp_path))]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz"])
async def test_there_may_be_more_namespaces_than_descriptors(tmp_path, ending):
    names = [f"ns-{number:03}" for number in range(400)]
    for name in names:
        path = put(tmp_path, f"{name}/2026-03-01{ending}")
        text = line(NOON, name, namespace=name).encode()
        path.write_bytes(gzip.compress(text) if ending.endswith(".gz") else text)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, len(still_open()) + 250), hard))
    try:
        answers = await found(tmp_path, selection(scopes=tuple(map(Scope, names)), limit=500, order=Order.OLDEST))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert marks(answers) == names
    assert answers[-1].complete


@pytest.mark.parametrize("replaced", [False, True])
async def test_what_is_replaced_or_deleted_before_it_is_read_again_is_named(tmp_path, monkeypatch, replaced):
    monkeypatch.setattr("audit_operator.sinks.open_files.AT_ONCE", 1)
    paths = [put(tmp_path, f"{name}/2026-03-01.jsonl", line(NOON, name, namespace=name)) for name in ("a", "b")]

    def changing(document):
        if document.attributes["namespace"] == "b" and not (tmp_path / "gone").exists():
            paths[0].rename(tmp_path / "gone")
            if replaced:
                put(tmp_path, "a/2026-03-01.jsonl", line(NOON, "x", namespace="a"))
        return original(document)

    original = files._record
    monkeypatch.setattr(files, "_record", changing)
    answers = await found(tmp_path, selection(scopes=(Scope("a"), Scope("b")), order=Order.OLDEST))
    assert answers[-1].message == "a/2026-03-01.jsonl: a record in it could not be read a second time"
    assert marks(answers) == ["b"]


async def test_memory_does_not_grow_with_files_or_answers(tmp_path):
    texts = [line(DAY + timedelta(seconds=number), "x" * 2000 + str(number)) for number in range(3000)]
    put(tmp_path, "payments/2026-03-01.jsonl", *texts)
    (tmp_path / "payments" / "2026-03-01.jsonl.gz").write_bytes(gzip.compress("".join(texts).encode(), 1))
    tracemalloc.start()
    try:
        async with aclosing(search(FileStore(tmp_path), selection(limit=10_000))) as answers:
            number = 0
            async for each in answers:
                number += isinstance(each, Record)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert number == 3000
    assert peak < 12 * 2**20, f"{peak:,} bytes for {2 * sum(map(len, texts)):,} in files"


times = st.integers(0, 2 * 86_400_000 - 1).map(lambda milliseconds: DAY + timedelta(milliseconds=milliseconds))
entries = st.lists(st.tuples(times, st.sampled_from(["payments", "shop", ""]), st.sampled_from("abc")), max_size=25)


asked = st.builds(
    lambda since, until, limit, order: selection(
        since=min(since, until), until=max(since, until), limit=limit, order=order, equal=((Attribute.USER, "a"),)
    ),
    times, times, st.integers(1, 30), st.sampled_from(Order),
)  # fmt: skip


@given(entries, asked, st.data())
async def test_what_is_found_is_what_a_store_with_a_sorted_list_would_give(tmp_path_factory, written, wanted, data):
    """Over plain and packed files, and with what lies among what may be of any: same records, same order of times."""
    root = tmp_path_factory.mktemp("files")
    put(root, "zzz/2020-01-01.jsonl", "")
    content = {}
    for number, (time, namespace, user) in enumerate(written):
        folder = data.draw(st.sampled_from([namespace or "_cluster", "_other", "_refused"]))
        ending = data.draw(st.sampled_from([".jsonl", ".jsonl.gz"]))
        text = line(time, str(number), namespace=namespace, username=user)
        key = folder, f"{time:%Y-%m-%d}{ending}"
        content[key] = content.get(key, "") + text
    for (folder, name), text in content.items():
        (root / folder).mkdir(exist_ok=True)
        plain = text.encode()
        (root / folder / name).write_bytes(gzip.compress(plain, 1) if name.endswith(".gz") else plain)
    answers = await found(root, wanted)
    meant = [
        (time, str(number))
        for number, (time, namespace, user) in enumerate(written)
        if namespace == "payments" and user == "a" and wanted.since <= time < wanted.until
    ]
    meant.sort(key=lambda each: each[0], reverse=wanted.order is Order.NEWEST)
    records = [each for each in answers if isinstance(each, Record)]
    assert [each.time for each in records] == [time for time, _ in meant[: wanted.limit]]
    assert len(set(marks(records))) == len(records)
    assert set(marks(records)) <= {mark for _, mark in meant}
    assert answers[-1].complete is (len(meant) <= wanted.limit)
