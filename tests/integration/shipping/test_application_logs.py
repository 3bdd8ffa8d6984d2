"""Application logs in the real collector: the verdict is that of `audit-operator logs check`, and nothing is lost."""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import UTC, datetime

import pytest
from hypothesis import Phase, given, settings

from audit_operator.api.application_logs import FieldMapping, TimeFormat
from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.api.sink import AuditSinkSpec, SinkType, VictoriaLogs
from audit_operator.plan.application_logs import DRAIN_SECONDS
from audit_operator.shipping.application.standard import WHITE_SPACE, Standard
from audit_operator.shipping.collector.configuration import QUEUES
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey, pseudonym
from tests.integration.shipping.sidecar import KEY, Sidecar
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports
from tests.shipping.application.lines import CASES, LONGEST, SECONDS, in_milliseconds, line, mutated


def differences(lines, sidecar):
    """Lines of which the collector and Python say different things; it must have read no others."""
    standard = Standard(sidecar.fields, sidecar.time_format, sidecar.longest_line)
    now = time.time()
    wanted = [next(map(str, standard.breaches(each, now)), None) for each in lines]
    with sidecar:
        # Each in a file of its own, behind another line: files that begin alike count as one.
        for number, each in enumerate(lines):
            sidecar.write(
                f"{number}.log", f"begins {number}\n".encode() + each.encode("utf-8", "surrogatepass") + b"\n"
            )
        sidecar.await_records(2 * len(lines))
    found = {
        each.attributes["source"]: each.attributes.get("quarantine")
        for each in sidecar.records()
        if not each.body.startswith("begins ")
    }
    assert "failed to e" not in sidecar.log()
    verdicts = [found[f"logs/{number}.log"] for number in range(len(lines))]
    return [(each, said, meant) for each, said, meant in zip(lines, verdicts, wanted, strict=True) if said != meant]


def test_the_collector_says_what_the_check_says(tmp_path):
    assert len(CASES) > 100
    lines = [each for each, _ in CASES]
    assert differences(lines, Sidecar(tmp_path, longest_line=LONGEST)) == []


@pytest.mark.parametrize("unit", [TimeFormat.UNIX_SECONDS, TimeFormat.UNIX_MILLISECONDS])
def test_the_collector_reads_numbers_as_the_check_does(tmp_path, unit):
    convert = in_milliseconds if unit is TimeFormat.UNIX_MILLISECONDS else lambda value: value
    lines = [line(time=convert(value)) for value, _ in SECONDS]
    assert differences(lines, Sidecar(tmp_path, time_format=unit)) == []


def test_the_collector_says_what_the_check_says_of_any_line(tmp_path):
    generated = set()

    @settings(max_examples=600, phases=[Phase.generate], database=None)
    @given(mutated())
    def collect(each):
        generated.add(each)

    collect()
    assert len(generated) > 300
    assert differences([each for each in generated if each.strip(WHITE_SPACE)], Sidecar(tmp_path)) == []


def shipped(lines, sidecar):
    """What becomes of lines, in their order; each is in a file of its own, behind another one."""
    with sidecar:
        for number, each in enumerate(lines):
            sidecar.write(f"{number}.log", f"{line(id=f'begins {number}')}\n{each}\n".encode())
        sidecar.await_records(2 * len(lines))
    assert "failed to e" not in sidecar.log()
    ours = [each for each in sidecar.records() if not each.attributes.get("id", "").startswith("begins ")]
    found = {each.attributes["source"]: each for each in ours}
    return [found[f"logs/{number}.log"] for number in range(len(lines))]


EVERY_PROFILE = RedactionDemand(frozenset(RedactionProfile))
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"
SECRET = "c0rrect-h0rse-battery"


PLANTED = (
    (line(password=SECRET), SECRET),
    (line(deep={"list": [{"api_key": SECRET}]}), SECRET),
    (line(action=f"login with Bearer {TOKEN}"), TOKEN),
    (line(note=f'{{"token": "{SECRET}"}}'), SECRET),
    (line(url=f"https://u:{SECRET}@example.com/"), SECRET),
    (line(headers={"Authorization": f"ApiKey {SECRET}"}), SECRET),
    (line(deep=[{"set-cookie": [f"id={SECRET}"]}]), SECRET),
    (line(deep=[{"set-cookie": ["a=1", f"id={SECRET}"]}]), SECRET),
    (line(note=json.dumps({"Authorization": ["", f"ApiKey {SECRET}"]})), SECRET),
    (line(note=f"started with DB_PASSWORD={SECRET} and more"), SECRET),
    (line(contact="a.person@example.com"), "a.person@example.com"),
    (line(deep=[["+49 170 123 4567"]]), "170 123 4567"),
    (line(card="4111 1111 1111 1111"), "1111 1111"),
    (line(user=f"token={TOKEN}"), TOKEN),
    # A field that stands twice, and spellings that hide what it is called.
    (line()[:-1] + f',"password":"{SECRET}","password":""}}', SECRET),
    (line()[:-1] + f',"password" : "{SECRET}", "password" : ""}}', SECRET),
    (line()[:-1] + rf',"\u0070assword":"{SECRET}"}}', SECRET),
    # Lines in quarantine.
    (line(user=..., password=SECRET), SECRET),
    (line(password=SECRET)[:-1], SECRET),
    (line(password=SECRET)[:-5], SECRET[:-3]),
    (f"user=alice password={SECRET} result=ok", SECRET),
    (f"login failed: passwd: '{SECRET}'", SECRET),
    (f"Authorization: Basic {SECRET}", SECRET),
    (f"authorization=ApiKey {SECRET}, retry", SECRET),
    (rf'{{"\u0070assword":"{SECRET}"', SECRET),
    (f"GET /?access_token={SECRET}&x=1", SECRET),
    (f'["{TOKEN}"]', TOKEN),
    (line(password=SECRET, note="x" * LONGEST), SECRET),
    ("mail to a.person@example.com " + "x" * LONGEST, "a.person@example.com"),
)


def test_no_planted_secret_leaves_the_pod(tmp_path):
    records = shipped([each for each, _ in PLANTED], Sidecar(tmp_path, redaction=EVERY_PROFILE, longest_line=LONGEST))
    leaked = [
        (text, record.body)
        for (text, planted), record in zip(PLANTED, records, strict=True)
        if planted in json.dumps([record.body, record.attributes], ensure_ascii=False)
    ]
    assert leaked == []


def test_who_it_was_stays_where_profiles_look_for_people(tmp_path):
    identity = {"user": "a.person@example.com", "id": "4111 1111 1111 1111", "correlationId": "+49 170 123 4567"}
    [record] = shipped([line(**identity, contact="b.person@example.com")], Sidecar(tmp_path, redaction=EVERY_PROFILE))
    body = json.loads(record.body)
    assert body == {**json.loads(line(**identity)), "contact": "[REDACTED]"}
    assert record.attributes["username"] == "a.person@example.com"
    assert record.attributes["correlationId"] == "+49 170 123 4567"


def test_a_line_without_secrets_stays_as_it_was_written(tmp_path):
    texts = [
        line(number=12345678901234567890, float=1.0, text="<a&b>\u00e9"),
        '{ "id" :"x",' + line()[1:],
        json.dumps({"zz": 1, "aa": 2} | json.loads(line()), separators=(",", ":")),
    ]
    records = shipped(texts, Sidecar(tmp_path, redaction=EVERY_PROFILE))
    assert [each.body for each in records][0::2] == texts[0::2]
    assert json.loads(records[1].body) == json.loads(texts[1])


def test_own_patterns_run_over_all_of_a_line(tmp_path):
    pattern = OwnPattern.parse("order", "ACME-[0-9]{4}", "$1[order]")
    demand = RedactionDemand(frozenset(), (pattern,))
    texts = [line(note="ACME-1234", deep=["ACME-5678"]), "ACME-1234 no JSON", line(user="ACME-1234")]
    records = shipped(texts, Sidecar(tmp_path, redaction=demand))
    assert [each.body.count("$1[order]") for each in records] == [2, 1, 1]
    assert not any("ACME" in each.body for each in records)


PSEUDONYMOUS = RedactionDemand(pseudonymize=frozenset({PseudonymizedField.USERNAME}))


def test_a_user_gets_the_pseudonym_that_audit_events_have(tmp_path):
    wanted = pseudonym(PseudonymKey.of(KEY), "shop", "alice")
    texts = [line(), line(note="alice and malice, ALICE", list=["alice"]), line(user="system:serviceaccount:a:b")]
    plain, repeated, system = shipped(texts, Sidecar(tmp_path, redaction=PSEUDONYMOUS))
    assert json.loads(plain.body)["user"] == plain.attributes["username"] == wanted
    assert json.loads(repeated.body)["note"] == f"{wanted} and malice, ALICE"
    assert json.loads(repeated.body)["list"] == [wanted]
    assert system.attributes["username"] == "system:serviceaccount:a:b"


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a.b+c@d", "<x&y>", "Änne Ü", "日本", "$1", "a b", "[x](y)*", "(", "p", "\u2028z"]
)
def test_no_name_is_spelled_so_that_it_stays(tmp_path, name):
    [record] = shipped([line(user=name, note=f"by {name}.")], Sidecar(tmp_path, redaction=PSEUDONYMOUS))
    wanted = pseudonym(PseudonymKey.of(KEY), "shop", name)
    assert json.loads(record.body)["user"] == record.attributes["username"] == wanted
    assert json.loads(record.body)["note"] == f"by {wanted}."


def test_where_nobody_knows_the_name_nothing_is_shipped(tmp_path):
    texts = [line(user=..., name="alice"), line(user={"name": "alice"}), "alice, no JSON", line()[:-1], line(user="")]
    records = shipped(texts, Sidecar(tmp_path, redaction=PSEUDONYMOUS))
    assert [each.body for each in records] == [f"[REDACTED: {len(each)} bytes]" for each in texts]
    assert [each.attributes["withheld"] for each in records] == [len(each) for each in texts]
    assert all(each.attributes["quarantine"] and "username" not in each.attributes for each in records)


def ids(records):
    return sorted(each.attributes["id"] for each in records)


def numbered(numbers):
    return "".join(f"{line(id=f'{number:05}')}\n" for number in numbers).encode()


def test_bad_lines_are_counted_by_file_and_hold_up_nothing(tmp_path):
    with Sidecar(tmp_path, ("audit/*.log", "other.log")) as sidecar:
        sidecar.write("audit/a.log", b"bad\n" * 3 + numbered(range(10)) + b"{}\n")
        sidecar.write("other.log", numbered(range(10, 15)) + b"bad, too\n")
        records = sidecar.await_records(20)
        assert sidecar.quarantined("audit/*.log") == 4
        assert sidecar.quarantined("other.log") == 1
    assert ids(each for each in records if "quarantine" not in each.attributes) == [f"{n:05}" for n in range(15)]
    files = {each.attributes["files"] for each in records if each.attributes["source"] == "logs/audit/a.log"}
    assert files == {"logs/audit/*.log"}


def test_a_record_says_where_it_is_from_and_when(tmp_path):
    with Sidecar(tmp_path) as sidecar:
        sidecar.write("a.log", line(time="2026-11-27T10:00:00.123456789+01:00").encode() + b"\n")
        [record] = sidecar.await_records(1)
    assert record.time == 1795769999 * 10**9 + 10**9 + 123456789
    assert dict(record.attributes) | {"stream": ""} == {
        "cluster": "prod", "namespace": "shop", "policy": "orders", "pod": "shop-7d9f-x2x", "files": "logs/*.log",
        "source": "logs/a.log", "stream": "", "username": "alice", "action": "order.create", "result": "ok",
        "id": "0001", "correlationId": "4bf92f3577b34da6",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "value", "nanoseconds"),
    [
        (TimeFormat.UNIX_SECONDS, 1795773600.123456, 1795773600123456000),
        (TimeFormat.UNIX_SECONDS, "1795773600", 1795773600000000000),
        (TimeFormat.UNIX_MILLISECONDS, 1795773600123, 1795773600123000000),
        (TimeFormat.UNIX_MILLISECONDS, "1795773600123.5", 1795773600123500000),
    ],
)
def test_numbers_are_read_in_the_unit_of_the_policy(tmp_path, unit, value, nanoseconds):
    with Sidecar(tmp_path, time_format=unit) as sidecar:
        sidecar.write("a.log", line(time=value).encode() + b"\n")
        [record] = sidecar.await_records(1)
    assert record.time == nanoseconds


def test_dotted_paths_lead_into_objects_or_are_keys_themselves(tmp_path):
    fields = FieldMapping(user="auth.user", correlation_id="trace.id")
    more = ({"auth": {"user": "a"}}, {"auth.user": "b"}, {"auth": {"user": None}, "auth.user": "c"}, {"auth": "d"})
    texts = [line(user=..., correlationId=..., trace={"id": "t"}, **each) for each in more]
    records = shipped_with_other_fields(texts, Sidecar(tmp_path, fields=fields))
    assert [each.attributes.get("username") for each in records] == ["a", "b", "c", None]
    assert [each.attributes.get("quarantine") for each in records] == [None, None, None, "no user"]


def shipped_with_other_fields(texts, sidecar):
    with sidecar:
        sidecar.write("a.log", "".join(f'{each[:-1]}, "n": {n}}}\n' for n, each in enumerate(texts)).encode())
        records = sidecar.await_records(len(texts))
    return sorted(records, key=lambda each: json.loads(each.body)["n"])


def test_a_last_line_without_its_end_is_read_and_one_that_goes_on_is_not_torn(tmp_path):
    with Sidecar(tmp_path) as sidecar:
        text = line(id="slow")
        sidecar.write("a.log", text[:40].encode())
        time.sleep(0.3)
        sidecar.write("a.log", text[40:].encode())
        [record] = sidecar.await_records(1)
    assert record.body == text


def test_what_the_application_wrote_last_is_shipped_before_its_sidecar_ends(tmp_path):
    with Sidecar(tmp_path) as sidecar:
        sidecar.write("a.log", numbered([0]))
        sidecar.await_records(1)
        sidecar.write("a.log", numbered([1]) + line(id="00002").encode())
        time.sleep(DRAIN_SECONDS)
    assert ids(sidecar.records()) == ["00000", "00001", "00002"]


def test_rotation_by_renaming_loses_nothing_while_the_sidecar_is_down(tmp_path):
    sidecar = Sidecar(tmp_path, ("app.log",))
    with sidecar:
        sidecar.write("app.log", numbered(range(100)))
        sidecar.await_records(100)
    for number in range(3):
        sidecar.write("app.log", numbered(range(100 + 100 * number, 200 + 100 * number)))
        for older in range(number, 0, -1):
            (sidecar.logs / f"app.log.{older}").rename(sidecar.logs / f"app.log.{older + 1}")
        (sidecar.logs / "app.log").rename(sidecar.logs / "app.log.1")
    sidecar.write("app.log", numbered(range(400, 500)))
    with sidecar:
        records = sidecar.await_records(500)
    assert ids(records) == [f"{n:05}" for n in range(500)]


def test_while_the_sink_is_away_the_files_wait_and_nothing_is_lost(tmp_path):
    port = next(free_ports())
    spec = AuditSinkSpec(type=SinkType.VICTORIA_LOGS, victoria_logs=VictoriaLogs(url=f"http://127.0.0.1:{port}"))
    room = Room(QUEUES, on_disk_of_tenant=2**17, holds=True)
    sink = exporter(spec, "away", CredentialFiles(), room)
    assert isinstance(sink, Exporter)
    today = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with Sidecar(tmp_path, exporters=(sink,)) as sidecar:
        lines = [line(id=f"{number:05}", time=today, note="x" * 300) for number in range(2000)]
        sidecar.write("a.log", "".join(f"{each}\n" for each in lines).encode())
        deadline = time.monotonic() + 180
        sidecar.await_up()
        while sidecar.metric("exporter_queue_size") < 2**16:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with victoria_logs(tmp_path, port=port):
            while (found := _stored(port)) < len(lines):
                assert time.monotonic() < deadline + 60, found
                time.sleep(0.5)
        assert sidecar.metric("exporter_enqueue_failed_log_records") == 0
        assert sidecar.metric("exporter_send_failed_log_records") == 0


def _stored(port):
    query = "policy:orders | uniq by (id) | count() n".replace(" ", "%20")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/select/logsql/query?query={query}", timeout=10) as answer:
        return int(json.loads(answer.read() or b'{"n": 0}')["n"])


def test_a_link_out_of_the_volume_leads_to_nothing(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(f"authorization {SECRET}\n{line(note=SECRET)}\n")
    with Sidecar(tmp_path) as sidecar:
        (sidecar.logs / "a.log").symlink_to(secret)
        sidecar.write("real", numbered([1]))
        (sidecar.logs / "b.log").symlink_to(sidecar.logs / "real")
        records = sidecar.await_records(3)
    assert SECRET not in str(records)
    outside = [each for each in records if each.attributes["source"] == "logs/a.log"]
    assert {each.attributes["quarantine"] for each in outside} == {"file outside of its volume"}
    assert all(each.attributes["withheld"] for each in outside)
    assert ids(each for each in records if each.attributes["source"] == "logs/b.log") == ["00001"]


def test_a_line_too_long_for_the_record_arrives_cut_and_the_next_one_whole(tmp_path):
    with Sidecar(tmp_path, longest_line=2**20) as sidecar:
        sidecar.write("a.log", b"x" * 3 * 2**20 + b"\n" + line(note="y" * 2**20).encode() + b"\n" + numbered([1]))
        records = sidecar.await_records(3)
    cut = [each for each in records if each.attributes.get("quarantine") == "too long"]
    assert sorted((len(each.body), each.attributes["cut"] > 2**20) for each in cut) == [(2**20, True)] * 2
    assert ids(each for each in records if "quarantine" not in each.attributes) == ["00001"]
