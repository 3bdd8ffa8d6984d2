"""The collector counts what the conditions of detections hold for, and nothing else."""

from __future__ import annotations

import random
import time
import urllib.request
from collections import Counter
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from audit_operator.api.audit import Level
from audit_operator.api.detection import Detection, DetectionKey, FieldTest, Selection
from audit_operator.detections.counted import event_count
from audit_operator.detections.own import preset_detections, resolve
from audit_operator.detections.series import condition_id, keys_of
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import Policy, Rule
from audit_operator.shipping.collector.attributes import SHIPPED
from audit_operator.shipping.collector.counting import LEFT_OUT, OF_ALL, tells_apart
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.pipeline import Counting
from tests.integration.shipping.audit_events import line_of
from tests.integration.shipping.collector import complaints, ship
from tests.integration.shipping.counted import NAMESPACES, by_namespace, event, expected, scraped, selection
from tests.ports import free_ports

PROBER = "bob"
DEADLINE = 60.0
EVERYTHING = Policy((Rule(Level.REQUEST_RESPONSE),))


def table_of(detections):
    """All namespaces are known, and each names the conditions that are counted in it."""
    treatments = {
        name: Treatment(detections=tuple(each.id for each, where in detections if where and name in where))
        for name in NAMESPACES
    }
    everywhere = Reach(frozenset(NAMESPACES), cluster=True, non_resource=True, unseen_namespaces=True)
    return build(classify([Contribution(everywhere, EVERYTHING)], NAMESPACES, treatments))


def counted_by_the_collector(detections, events, wanted, tmp_path, *, rooms=None, left_out=0):  # noqa: PLR0913  # what to count, and what is to be said
    """What it shows once all that is wanted is there, or after a while; and by namespace alone what is told apart.

    `rooms` has how many series there may be, by the id of a condition; `left_out` how many events it is to say that it
    has not compared with all conditions.
    """
    counts, apart = [], set()
    for own, where in detections:
        made = event_count(own, namespaced=where is not None, kept=3600, most=5000)
        apart |= {made.id} if tells_apart(keys_of(own)) else set()
        counts.append((replace(made, most=(rooms or {}).get(made.id, made.most)), where))
    of_all = Counter({key: number for key, number in by_namespace(wanted).items() if dict(key)["detection"] in apart})
    ports = free_ports()
    address, port, found = f"127.0.0.1:{next(ports)}", next(ports), []

    def look():
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            found[:] = scraped(address), scraped(address, OF_ALL)
            differ = difference(found[0], wanted) or difference(found[1], of_all)
            if not differ and unread(port) >= left_out:
                return
            time.sleep(0.2)

    def then():
        look()
        unread_at_last.append(unread(port))

    unread_at_last = []
    run = ship(
        table_of(counts),
        map(line_of, events),
        tmp_path,
        detections=address,
        then=then,
        telemetry=port,
        counting=Counting(tuple({each.id: each for each, _ in reversed(counts)}.values()), PROBER),
    )
    assert not complaints(run.log), complaints(run.log)[:3]
    assert len(run.records) == len(events)
    assert unread_at_last == [left_out]
    assert not {key for each in run.records for key in each.attributes if key not in SHIPPED}
    assert not difference(found[1], of_all)
    assert {dict(each)["detection"] for each in found[1]} <= apart
    return found[0]


def unread(port):
    """How many events it has left out, as it says at that port of itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [each for family in families for each in family.samples]
    return sum(each.value for each in samples if each.labels.get("processor") == LEFT_OUT and "incoming" in each.name)


def difference(found, wanted):
    """Of all conditions of which something is wanted."""
    asked = {dict(each)["detection"] for each in wanted}
    told = {each for each in found if dict(each)["detection"] in asked}
    return {key: (found[key], wanted[key]) for key in {*told, *wanted} if found[key] != wanted[key]}


def test_presets_count_what_their_conditions_hold_for(tmp_path):
    draw = random.Random(1)
    events = [event(draw, number) for number in range(6000)]
    everywhere = [(each, None) for each in preset_detections()]
    detections = [*everywhere, *((each, ("prod-web", "dev")) for each in preset_detections())]
    wanted = expected(detections, events, PROBER)
    conditions = {dict(each)["detection"] for each in wanted}
    assert len(conditions) == 2 * len(everywhere) - 1  # Exec is told apart by namespace anyway
    found = counted_by_the_collector(detections, events, wanted, tmp_path)
    assert not difference(found, wanted)
    assert sum(found.values()) == sum(wanted.values())


def test_any_selection_counts_what_its_condition_holds_for(tmp_path):
    draw = random.Random(2)
    events = [event(draw, number) for number in range(600)]
    keys = list(DetectionKey)
    detections = []
    for number in range(120):
        own = resolve(Detection(name=f"d{number}", selection=selection(draw), group_by=tuple(draw.sample(keys, 2))))
        detections.append((own, draw.choice([None, ("prod-web",), tuple(NAMESPACES)])))
    wanted = expected(detections, events, PROBER)
    assert len({dict(each)["detection"] for each in wanted}) > 80
    found = counted_by_the_collector(detections, events, wanted, tmp_path)
    assert not difference(found, wanted)
    assert sum(found.values()) == sum(wanted.values())


def test_a_condition_that_has_taken_all_its_series_takes_nothing_from_the_others(tmp_path):
    draw = random.Random(3)
    events = [event(draw, number) for number in range(400)]
    greedy = resolve(Detection(name="g", selection=Selection(users=("*",)), group_by=(DetectionKey.OBJECT,)))
    modest = resolve(Detection(name="m", selection=Selection(users=("*",)), group_by=(DetectionKey.USER,)))
    identity = condition_id(greedy, namespaced=False)
    wanted = expected([(modest, None)], events, PROBER)
    found = counted_by_the_collector([(greedy, None), (modest, None)], events, wanted, tmp_path, rooms={identity: 3})
    assert not difference(found, wanted)
    assert len([each for each in found if dict(each)["detection"] == identity]) == 3


def test_what_would_take_too_long_to_compare_is_left_out_and_said(tmp_path):
    """No tenant's detection may keep a reader busy that is everybody's, and nobody's list any condition."""
    draw = random.Random(5)
    large = {"x": "wanted", "data": {f"k{number}": "" for number in range(90_000)}}
    lists = {"x": "wanted", "items": [{"a": "wanted"}] * 40_000}
    small = {"x": "wanted", "items": [{"a": "wanted"}]}
    created = {
        "user": {"username": "alice"},
        "verb": "create",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/dev/pods",
        "objectRef": {"resource": "pods", "namespace": "dev", "apiVersion": "v1"},
    }
    events = [
        {**event(draw, each), **created, "requestObject": body} for each, body in enumerate((large, lists, small))
    ]
    patterns = tuple(f"q{number}*" for number in range(15))

    def about(*fields):
        return resolve(Detection(name="d", selection=Selection(users=("alice",), fields=fields)))

    busy = about(FieldTest(path="requestObject", values=patterns))
    tenants = about(FieldTest(path="requestObject.x", values=("wan*", *patterns)))
    direct, listed = tenants, about(FieldTest(path="requestObject.items.a", values=("wan*", *patterns)))
    detections = [(busy, ("dev",)), (tenants, ("dev",)), (direct, None), (listed, None)]
    wanted = Counter(
        {
            (("detection", condition_id(tenants, namespaced=True)), ("object_namespace", "dev")): 1,
            (("detection", condition_id(direct, namespaced=False)),): 3,
            (("detection", condition_id(listed, namespaced=False)),): 1,
        }
    )
    assert counted_by_the_collector(detections, events, wanted, tmp_path, left_out=2) == wanted


def test_no_body_moves_a_count_and_nobody_makes_series_by_naming_namespaces(tmp_path):
    """A sender may write a namespace into a cluster-scoped object, or ask for one that there is not."""
    draw, group = random.Random(4), "rbac.authorization.k8s.io"
    user, where = {"username": "alice"}, f"/apis/{group}/v1"
    bindings = {"resource": "clusterrolebindings", "namespace": "dev", "apiGroup": group}
    sent = []
    for number in range(20):
        unseen = {"resource": "roles", "namespace": f"no-{number}", "apiGroup": group}
        sent += [
            {**event(draw, number), "user": user, "stage": "ResponseComplete", "objectRef": about, "requestURI": uri}
            for about, uri in (
                (bindings, f"{where}/clusterrolebindings"),
                (unseen, f"{where}/namespaces/no-{number}/roles"),
            )
        ]
    keys = (DetectionKey.NAMESPACE,)
    outside = resolve(Detection(name="e", selection=Selection(except_namespaces=("dev",)), group_by=keys))
    inside = resolve(Detection(name="t", selection=Selection(users=("alice",))))
    wanted = Counter({(("detection", condition_id(outside, namespaced=False)),): 40})
    assert counted_by_the_collector([(outside, None), (inside, ("dev",))], sent, wanted, tmp_path) == wanted
