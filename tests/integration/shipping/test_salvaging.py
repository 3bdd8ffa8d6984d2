"""Whoever makes a line that no parser reads stays known: by the real collector, and by a real API server's lines."""

from __future__ import annotations

import json
import time
import urllib.request
from http import HTTPStatus

from audit_operator.api.audit import Level, Stage
from audit_operator.api.detection import Detection, FieldTest, Selection
from audit_operator.controlplane.shipper import telemetry
from audit_operator.detections.counted import event_count
from audit_operator.detections.own import resolve
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import Policy, Request, Rule, User
from audit_operator.shipping.collector.ottl import body, text
from audit_operator.shipping.collector.salvaging import START
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.pipeline import LARGEST_LINE, Counting, EventCount
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import complaints, ship
from tests.integration.shipping.counted import scraped
from tests.integration.shipping.test_real_events import EVERYTHING
from tests.ports import free_ports
from tests.shipping.collector.test_salvaging import FORGED_HEAD, FORGED_TAIL, TIMES, salvaged
from tests.shipping.redaction.corpus import DEFAULT

EVE = User("eve", ("system:masters",))
CREATION = Request(EVE, "create", True, "", "v1", "shop", "pods", "", "")
MARK = "BODY"


def shop(level):
    return build(classify([Contribution(Reach(frozenset({"shop"})), Policy((Rule(level),)))], ["shop"]))


def line(content, audit_id="id", **fields):
    """With a body of this text, which need not be readable."""
    event = event_of(CREATION, Stage.RESPONSE_COMPLETE, Level.REQUEST_RESPONSE, audit_id)
    # Go writes fields in the order of the type: whoever asks, and with what, stands before what is asked for.
    before, known = list(event).index("objectRef"), len(event)
    written = list({**event, **fields}.items())
    event = {**dict([*written[:before], *written[known:], *written[before:known]]), "requestObject": MARK}
    last = {each: event.pop(each) for each in (*TIMES, "annotations") if each in event}
    return line_of({**event, **last}).decode().replace(f'"{MARK}"', content)


LINES = {
    "a number that no parser takes": line('{"a":1e999}'),
    "another one": line('{"a":-1e400}'),
    "a number of many digits": line(f'{{"a":{"9" * 400}}}'),
    "a nesting that no parser takes": line('{"a":' + "[" * 9999 + "]" * 9999 + "}"),
    "an end as a body's own key": line(f'{{"x":{{"a":1e999{FORGED_TAIL}}}'),
    "an end within a text": line(f"[{json.dumps(FORGED_TAIL)},1e999]"),
    "a body's key in a user agent": line("1e999", userAgent=f',"requestObject":{FORGED_TAIL}'),
    "a body's key in impersonation": line("1e999", user={"username": "eve", "extra": {"requestObject": ["a"]}}),
    "another event in a body": line(f'{{"a":{FORGED_HEAD}}},"b":1e999}}'),
    "half, and another": line('{"a":1e999}')[:-200] + line("1", "second"),
    "cut where a sender wishes": line(f'{{"x":{{"a":1e999{FORGED_TAIL}').partition(FORGED_TAIL)[0] + FORGED_TAIL,
    "cut, since it is too long": line(f'"{"<" * (LARGEST_LINE // 6 + 10)}"'.replace("<", "\\u003c")),
}


def test_what_is_salvaged_of_a_line_is_what_can_be_believed_of_it(tmp_path):
    """The statements do what the model does that is tested with random lines."""
    run = ship(shop(Level.REQUEST), [each.encode() for each in LINES.values()], tmp_path)
    assert not complaints(run.log)
    for (name, sent), record in zip(LINES.items(), run.records, strict=True):
        event, unread = salvaged(sent[:LARGEST_LINE])
        assert event["user"]["username"] == "eve", name
        assert json.loads(record.body) == {**event, "level": "Request"}, name
        said = {each: record.attributes.get(each) for each in ("unreadable", "cut", "username", "verb", "code")}
        size = min(len(sent), LARGEST_LINE)
        assert said == {"unreadable": unread, "cut": size, "username": "eve", "verb": "create", "code": 200}, name
        assert record.attributes["namespace"] == "shop", name
        assert "quarantine" not in record.attributes, name
        assert record.time, name
    assert {salvaged(each[:LARGEST_LINE])[1] for each in LINES.values()} == {"bodies", "rest"}


def test_what_is_salvaged_is_decided_and_redacted_like_any_event(tmp_path):
    uri = "/api/v1/namespaces/shop/pods?token=s3cret-value-of-eve"
    sent = [line('{"a":1e999,"password":"s3cret"}', "shipped", requestURI=uri), line("1e999", "dropped", verb="get")]
    rules = Policy((Rule(Level.NONE, verbs=("get",)), Rule(Level.METADATA)))
    table = build(classify([Contribution(Reach(frozenset({"shop"})), rules)], ["shop"]))
    [record] = ship(table, [each.encode() for each in sent], tmp_path, redactions={"": DEFAULT}).records
    assert "s3cret" not in str(record)
    event = json.loads(record.body)
    assert (event["level"], event["user"]["username"], event["auditID"]) == ("Metadata", "eve", "shipped")
    assert event["requestURI"].startswith("/api/v1/namespaces/shop/pods?token=")


def test_what_is_salvaged_is_counted_for_detections_and_what_they_ask_of_its_body_as_not_compared(tmp_path):
    everywhere = {"labels": {}, "namespaced": False, "kept": 60, "most": 9}
    of_eve = EventCount("eve", f"{body('user', 'username')} == {text('eve')}", **everywhere)
    in_bodies = EventCount("bodies", of_eve.where, reads=('set(log.cache["x"], "y")',), then="true", **everywhere)
    ports = free_ports()
    shown, port = f"127.0.0.1:{next(ports)}", next(ports)
    counted = []

    def look():
        deadline = time.monotonic() + 60
        while not counted and time.monotonic() < deadline:
            if any(number == 1 and dict(series)["detection"] == "eve" for series, number in scraped(shown).items()):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    counted.append(telemetry.parse(answer.read().decode()).uncounted)
            time.sleep(0.2)

    ship(
        shop(Level.METADATA),
        [line("1e999").encode()],
        tmp_path,
        detections=shown,
        then=look,
        telemetry=port,
        counting=Counting((of_eve, in_bodies)),
    )
    assert counted == [1]


NAMED = "annotations.authorization.k8s.io/reason"
WANTED = {
    "annotated": {"fields": (FieldTest(path=NAMED, values=("RBAC*",)),)},
    "slow": {"slower_than": "5s"},
    "deep": {"fields": (FieldTest(path=NAMED), FieldTest(path="requestObject.kind", values=("Pod",)))},
    "tenants": {"fields": (FieldTest(path=NAMED, values=("RBAC: all",)),)},
    "plain": {"status_codes": (200,)},
}
"""What detections select besides their user, who is called as they are."""


def test_a_sender_who_sees_to_it_that_annotations_cannot_be_read_is_counted_or_said_not_to_be(tmp_path):
    """He writes the start of an event into a body that no parser reads: nobody can tell what stands behind it."""
    counts = {}
    for name, selection in WANTED.items():
        own = resolve(Detection(name=name, selection=Selection(users=(name,), **selection)))
        counts[name] = event_count(own, namespaced=name == "tenants", kept=60, most=9)
    written = {"apiserver.latency.k8s.io/total": "7.5s", "authorization.k8s.io/reason": "RBAC: all"}
    read, hidden = (
        [line(content, user={"username": name}, annotations=written) for name in WANTED]
        for content in ('{"a":1e999}', f'{{"a":1e999,"b":{START}"}}}}')
    )
    assert [salvaged(each)[1] for each in read + hidden] == ["bodies"] * 5 + ["rest"] * 5
    treated = {"shop": Treatment(detections=(counts["tenants"].id,))}
    of_shop = [Contribution(Reach(frozenset({"shop"})), Policy((Rule(Level.METADATA),)))]
    counted = {"annotated": 1, "slow": 1, "tenants": 1, "plain": 2}
    # What asks for annotations, of lines without; and what asks for a body, of the other one as well.
    wanted = {counts[name].id: number for name, number in counted.items()}, 5
    ports = free_ports()
    shown, port = f"127.0.0.1:{next(ports)}", next(ports)
    found = []

    def look():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            series = {dict(each)["detection"]: int(number) for each, number in scraped(shown).items()}
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                found[:] = [(series, telemetry.parse(answer.read().decode()).uncounted)]
            if found == [wanted]:
                return
            time.sleep(0.2)

    ship(
        build(classify(of_shop, ["shop"], treated)),
        [each.encode() for each in read + hidden],
        tmp_path,
        detections=shown,
        then=look,
        telemetry=port,
        counting=Counting(tuple(counts.values())),
    )
    assert found == [wanted]


def test_nobody_hides_what_he_has_changed(private_control_plane, tmp_path):
    """A patch adds what cannot be read and takes it away again: the API server accepts it, and the change succeeds."""
    control_plane = private_control_plane()  # other tests read the whole log
    namespace = control_plane.create_namespace()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    control_plane.request("POST", path, {"metadata": {"name": "c"}, "data": {"k": "before"}})
    written = []
    with control_plane.audit_policy(EVERYTHING):
        for number, value in enumerate(("1e999", "[" * 9_998 + "]" * 9_998)):
            hiding = f'{{"op":"add","path":"/data/x","value":{value}}},{{"op":"remove","path":"/data/x"}}'
            answer = control_plane.request(
                "PATCH",
                f"{path}/c?fieldValidation=Ignore",
                f'[{hiding},{{"op":"replace","path":"/data/k","value":"changed-{number}"}}]',
                headers={"Content-Type": "application/json-patch+json", "X-Forwarded-For": "192.0.2.7"},
            )
            assert (answer.status, answer.json()["data"]) == (HTTPStatus.OK, {"k": f"changed-{number}"})
            log = control_plane.plane.audit_log.read_bytes().splitlines()
            written += [each for each in log if answer.audit_id.encode() in each and b'"ResponseComplete"' in each]
    policy = Contribution(Reach(frozenset({namespace})), Policy((Rule(Level.REQUEST),)))
    records = ship(build(classify([policy], [namespace])), written, tmp_path).records
    assert len(records) == len(written) == 2
    named = ("unreadable", "username", "verb", "namespace", "resource", "name", "code")
    for record in records:
        known = [record.attributes.get(each) for each in named]
        assert known == ["bodies", "admin", "patch", namespace, "configmaps", "c", 200]
        event = json.loads(record.body)
        assert event["sourceIPs"] == ["192.0.2.7", "127.0.0.1"]
        assert event["annotations"]["authorization.k8s.io/decision"] == "allow"
        assert record.time


def test_an_event_without_a_time_that_can_be_read_has_the_time_when_it_was_read_and_says_so(tmp_path):
    """It stays an event: no time of the API server's is believed to be none, and nobody would find it without one."""
    odd = ["1970-01-01T00:00:01.000000Z", "2026-02-30T00:00:00.000000Z", "yesterday", "2300-01-01T00:00:00.000000Z"]
    sent = [line("{}", each, stageTimestamp=each) for each in [*odd, TIMES["stageTimestamp"]]]
    began = time.time_ns()
    run = ship(shop(Level.METADATA), [each.encode() for each in sent], tmp_path)
    found = {
        each.attributes["auditID"]: (each.attributes.get("unreadable"), each.time >= began) for each in run.records
    }
    assert found == {**dict.fromkeys(odd, ("time", True)), TIMES["stageTimestamp"]: (None, False)}
    assert {each.attributes["username"] for each in run.records} == {"eve"}
