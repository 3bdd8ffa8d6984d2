"""Application logs in the real collector: the verdict is that of `audit-operator logs check`, and nothing is lost."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import Phase, given, settings

from audit_operator.api.application_logs import TimeFormat
from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.application.standard import WHITE_SPACE, Standard
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from audit_operator.shipping.redaction.pseudonyms import pseudonym
from tests.integration.shipping.sidecar import KEY, Sidecar
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
    wanted = pseudonym(KEY, "shop", "alice")
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
    wanted = pseudonym(KEY, "shop", name)
    assert json.loads(record.body)["user"] == record.attributes["username"] == wanted
    assert json.loads(record.body)["note"] == f"by {wanted}."


def test_where_nobody_knows_the_name_nothing_is_shipped(tmp_path):
    texts = [line(user=..., name="alice"), line(user={"name": "alice"}), "alice, no JSON", line()[:-1], line(user="")]
    records = shipped(texts, Sidecar(tmp_path, redaction=PSEUDONYMOUS))
    assert [each.body for each in records] == [f"[REDACTED: {len(each)} bytes]" for each in texts]
    assert [each.attributes["withheld"] for each in records] == [len(each) for each in texts]
    assert all(each.attributes["quarantine"] and "username" not in each.attributes for each in records)
