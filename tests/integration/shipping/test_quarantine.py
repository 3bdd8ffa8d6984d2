"""Every line that cannot be read is counted, wherever it goes."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter

from audit_operator.api.audit import Level, Stage
from audit_operator.api.observations import UnreadableLines
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.unreadable_tally import UnreadableTally
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import Policy, Request, Rule, User
from audit_operator.shipping.enforcement.classes import Treatment, classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.exporters import Exporter
from tests.integration.shipping.audit_events import event_of, line_of
from tests.integration.shipping.collector import complaints, ship
from tests.ports import free_ports

SHOP = Contribution(Reach(frozenset({"shop"})), Policy((Rule(Level.METADATA),)))
GOOD = Request(User("eve"), "create", resource_request=True, namespace="shop", resource="pods", name="")


def shop(audit_id, level=Level.METADATA):
    return line_of(event_of(GOOD, Stage.RESPONSE_COMPLETE, level, audit_id))


def test_a_line_that_cannot_be_read_is_counted_by_namespace_and_reason_and_goes_where_it_belongs(tmp_path):
    """With the events of its namespace, if it says whose it is; with what cluster-wide sinks get, if not.

    A namespace that nobody has seen is none: a sender can name any.
    """
    half = shop("half")[:300]
    ports = free_ports()
    port, shown, said = next(ports), f"127.0.0.1:{next(ports)}", []
    tally, wanted = UnreadableTally(lambda: shown), 8

    def ask():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                number = telemetry.parse(answer.read().decode()).quarantined
            said[:] = [number, tally.see("run", number)]
            if number == wanted == sum(each.lines for each in said[1]):
                return
            time.sleep(0.2)

    body = shop("body", Level.REQUEST).replace(b'"big":', b'"odd":1e999,"big":')
    late = shop("late").replace(b'"stageTimestamp":"2026', b'"stageTimestamp":"1969')
    unseen = [half.replace(b"/shop/", b"/unseen-%d/" % number) for number in range(2)]
    run = ship(
        build(classify([SHOP], ["shop"], otherwise=Treatment(route="shops"))),
        [shop("good"), half, b"no JSON", shop("good-2"), half, body, late, b"{}", *unseen],
        tmp_path,
        routes={"": ("nop/others",), "shops": ("file",)},
        exporters=(Exporter("file", {}, detached=False), Exporter("nop/others", {}, detached=True)),
        telemetry=port,
        detections=shown,
        then=ask,
    )
    assert not complaints(run.log)
    names = ("quarantine", "unreadable", "namespace", "unseen")
    assert Counter(tuple(each.attributes.get(name) for name in names) for each in run.records) == {
        (None, None, "shop", None): 2,
        (None, "bodies", "shop", None): 1,
        (None, "time", "shop", None): 1,
        ("no JSON object", None, "shop", None): 2,
        ("no JSON object", None, None, None): 1,
        ("no audit.k8s.io/v1 Event", None, None, None): 1,
        ("no JSON object", None, None, "unseen-0"): 1,
        ("no JSON object", None, None, "unseen-1"): 1,
    }
    assert said == [
        wanted,
        (
            UnreadableLines("", "no JSON object", 3),
            UnreadableLines("", "no audit.k8s.io/v1 Event", 1),
            UnreadableLines("shop", "no JSON object", 2),
            UnreadableLines("shop", "unreadable bodies", 1),
            UnreadableLines("shop", "unreadable time", 1),
        ),
    ]
