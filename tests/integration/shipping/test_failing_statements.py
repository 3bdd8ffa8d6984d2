"""Whatever statement fails, on whatever event: nothing planted gets through, and no event is lost.

Each statement and each condition of redaction, of what is done where that fails, and of what writes the record is given
a condition that is an error on events that name it. So one collector runs events with everything broken in turn.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.api.detection import Detection, DetectionKey, Selection
from audit_operator.api.observations import UnreadableLines
from audit_operator.api.redaction import PseudonymizedField
from audit_operator.controlplane.shipper import telemetry
from audit_operator.controlplane.shipper.unreadable_tally import UnreadableTally
from audit_operator.detections.counted import event_count
from audit_operator.detections.own import resolve
from audit_operator.shipping.collector.attributes import QUARANTINE, UNDISCLOSED
from audit_operator.shipping.collector.configuration import ARGUMENTS, Endpoints, render
from audit_operator.shipping.collector.demands import entries
from audit_operator.shipping.collector.ottl import attribute, text
from audit_operator.shipping.collector.proving import REDACT
from audit_operator.shipping.collector.pseudonym_keys import KEYS_FILE, keys_text
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.enforcement.table import Shape
from audit_operator.shipping.exporters import Exporter
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline, Counting
from audit_operator.shipping.redaction.key_tree import KeyTree
from audit_operator.shipping.redaction.keyring import RANDOM_BYTES, Epoch
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from tests.examples import THOROUGH
from tests.integration.shipping.collector import Record, run_collector
from tests.integration.shipping.counted import scraped
from tests.integration.shipping.test_counting import unread
from tests.ports import free_ports
from tests.shipping.redaction.corpus import DEFAULT, EVERYTHING, Leak, event, leaks, line_of, widget

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEYS = Epoch(since=datetime(2026, 11, 28, tzinfo=UTC), tree=KeyTree.grown(bytes(range(RANDOM_BYTES))))
OWN, TENANT = (OwnPattern("x", f"ACME-{name}-[0-9]+", "x") for name in ("own", "tenant"))
DEMANDS = {
    "": replace(EVERYTHING, patterns=(OWN,), tenants=(TENANT,), pseudonymize=frozenset(PseudonymizedField)),
    "less": DEFAULT,
}
"""Of which the first is that of all events here. The second is there so that all that it spares has a gate."""
NUMBER, FIRST, SECOND = "failing.number", "failing.first", "failing.second"
NAMED = (
    {"type": "regex_parser", "regex": "^=(?P<number>[^ ]*) (?P<first>[^ ]*) (?P<second>[^ ]*) (?P<line>.*)$"},
    {"type": "move", "from": "attributes.line", "to": "body"},
    {"type": "move", "from": "attributes.number", "to": f'attributes["{NUMBER}"]'},
    {"type": "move", "from": "attributes.first", "to": f'attributes["{FIRST}"]'},
    {"type": "move", "from": "attributes.second", "to": f'attributes["{SECOND}"]'},
)
"""For lines that begin with their number and the names of what is to fail."""
ERROR = 'Len(ParseJSON("no JSON")) > 0'
WRITE = "transform/write"
NONE, MARKER = "-", "[REDACTED]"
PERSON, ADDRESS = "dora", "10.1.2.3"
EACH_MEETS = 165 if THOROUGH else 5
"""So many events."""


def corpus() -> Iterator[Leak]:
    yield from (each for each in leaks() if len(each.text) < 2**16)
    for name in ("own", "tenant"):
        for field in ("requestObject", "responseObject"):
            # So long that no good part of it stands in the pattern, too.
            secret = f"ACME-{name}-{'1234567890' * 2}"
            holds = event("widgets", **{field: widget(spec={"note": secret})})
            yield Leak(f"pattern: {name}, {field}", holds, secret)


def fails(name: str) -> str:
    """A condition that holds, but is an error on events that name it."""
    named = " and ".join(f"{attribute(each)} != {text(name)}" for each in (FIRST, SECOND))
    return f"(({named}) or {ERROR})"


def breakable(statement: str, name: str) -> str:
    assert statement.count(" where ") <= 1
    does, _, where = statement.partition(" where ")
    return f"{does} where {fails(name)}" + (f" and ({where})" if where else "")


def all_breakable(groups: list[dict[str, Any]], kind: str) -> Iterator[str]:
    """Make everything in the groups breakable; yields the names of it."""
    for number, group in enumerate(groups):
        here = f"{kind}.{number}.{group.get('name', '')}"
        if group.get("condition"):
            group["condition"] = f"{fails(here)} and ({group['condition']})"
            yield here
        if group.get("conditions"):
            group["conditions"] = [f"{fails(here)} and ({each})" for each in group["conditions"]]
            yield here
        names = [f"{here}.{place}" for place in range(len(group["statements"]))]
        group["statements"] = [breakable(*each) for each in zip(group["statements"], names, strict=True)]
        yield from names


@dataclass(frozen=True)
class Breakable:
    """A shipper's configuration, and what can be broken in it."""

    config: dict[str, Any]
    redaction: tuple[str, ...]
    withholding: tuple[str, ...]
    writing: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path, demands=DEMANDS, listed=None, detections="127.0.0.1:0", counts=()) -> Breakable:
        (folder / KEYS_FILE).write_text(keys_text(["shop", ""], KEYS))
        (folder / "table.yaml").write_text(yaml_text({"-": {}, **(entries(demands) if listed is None else listed)}))
        pipeline = AuditPipeline(
            cluster="test",
            source=AuditFiles((f"{folder}/in.log",)),
            shape=Shape(),
            table=f"{folder}/table.yaml",
            state=f"{folder}/state",
            routes={"": ("file",)},
            quarantine=("file",),
            exporters=(Exporter("file", {}, detached=False),),
            redactions=demands,
            keys=str(folder / KEYS_FILE),
            counting=Counting(counts),
        )
        endpoints = Endpoints(health=f"127.0.0.1:{next(free_ports())}", detections=detections)
        config = render(pipeline, endpoints)
        config["receivers"]["file_log"]["operators"] = list(NAMED)
        redact, write = config["processors"][REDACT], config["processors"][WRITE]
        kept = write["log_statements"][-1]["statements"]
        keeps = "keep_keys(log.attributes, ["
        kept[:] = [each.replace(keeps, f"{keeps}{text(NUMBER)}, ") for each in kept]
        return cls(
            config,
            tuple(all_breakable(redact["steps"], "step")),
            tuple(all_breakable(redact["otherwise"], "otherwise")),
            tuple(all_breakable(write["log_statements"], "write")),
        )

    def run(self, events: Iterable[tuple[str, str, str]], folder: Path, **how: Any) -> tuple[Record, ...]:
        """What comes of lines, each behind the names of what fails first and second."""
        said = (" ".join(each) for each in events)
        lines = [f"={number} {each}".encode() for number, each in enumerate(said)]
        run = run_collector(self.config, lines, folder, patience=600, arguments=ARGUMENTS, **how)
        assert len(run.records) == len(lines)
        # What is withheld goes another way.
        return tuple(sorted(run.records, key=lambda each: int(each.attributes[NUMBER])))

    @property
    def first_statement(self) -> str:
        return next(each for each in self.redaction if each.count(".") > 2)

    def faults(self) -> Iterator[tuple[str, str]]:
        """One thing; or the first statement, and something of what should keep its event back."""
        yield from ((each, NONE) for each in (*self.redaction, *self.writing))
        yield from ((self.first_statement, each) for each in (*self.withholding, *self.writing))


def shown(record: Record) -> str:
    """All that a store would get to see."""
    return f"{record.body} {json.dumps(dict(record.attributes), ensure_ascii=False)}"


def test_nothing_planted_gets_through_whatever_fails_and_no_event_is_lost(tmp_path):
    breakable, endless = Breakable.of(tmp_path), cycle(corpus())
    runs = [(fault, leak) for fault in breakable.faults() for leak in islice(endless, EACH_MEETS)]
    records = breakable.run(((*fault, leak.text) for fault, leak in runs), tmp_path)
    judged: dict[tuple[str, str], bool] = {}
    for (fault, leak), record in zip(runs, records, strict=True):
        text = shown(record)
        if (leak.name, text) not in judged:
            judged[leak.name, text] = leak.found_in(text)
        assert not judged[leak.name, text], (fault, leak.name)
        # That each note of the way here is taken away, one statement alone sees to, which cannot fail.
        if not any(each.startswith("write") for each in fault):
            assert PERSON not in text, (fault, leak.name)
            assert ADDRESS not in text, (fault, leak.name)


@pytest.mark.parametrize("demand", ["spared", "asked"])
def test_who_did_what_stays_where_redaction_fails(demand, tmp_path):
    demands = {"": DEFAULT, "asked": replace(DEFAULT, pseudonymize=frozenset(PseudonymizedField))}
    breakable = Breakable.of(tmp_path, demands if demand == "spared" else {"": demands["asked"]})
    refused = {"metadata": {}, "code": 403, "message": "no hunter2"}
    plain = event(
        "widgets",
        requestObject=widget(spec={"note": "hunter2"}),
        responseStatus=refused,
        requestURI="/apis/example.com/v1/namespaces/shop/widgets/it?note=hunter2",
        userAgent="hunter2",
    )
    [record] = breakable.run([(breakable.first_statement, NONE, line_of(plain))], tmp_path)
    assert record.attributes[UNDISCLOSED] == "fields"
    assert QUARANTINE not in record.attributes
    masked = {"redacted": MARKER}
    person = {"username": MARKER, "groups": plain["user"]["groups"]}
    assert json.loads(record.body) == {
        **plain,
        "requestURI": f"/apis/example.com/v1/namespaces/shop/widgets/{MARKER}",
        "userAgent": MARKER,
        "requestObject": MARKER,
        "responseStatus": {"code": 403, **masked},
        "annotations": masked,
        **masked,
        **({"user": person, "sourceIPs": [MARKER]} if demand == "asked" else {}),
    }
    wanted = {"auditID": plain["auditID"], "verb": "create", "resource": "widgets", "name": "it", "code": 403}
    assert wanted.items() <= record.attributes.items()


def test_what_is_withheld_is_counted_by_the_part_that_failed(tmp_path):
    ports = free_ports()
    port, shown, told = next(ports), f"127.0.0.1:{next(ports)}", []
    tally, breakable = UnreadableTally(lambda: shown), Breakable.of(tmp_path, detections=shown)
    faults = [(breakable.first_statement, NONE), (breakable.first_statement, breakable.withholding[0]), (NONE, NONE)]

    def ask():
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and sum(each.lines for each in told) < len(faults) - 1:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                number = telemetry.parse(answer.read().decode()).quarantined
            told[:] = tally.see("run", number)
            time.sleep(0.2)

    breakable.run([(*each, line_of(event())) for each in faults], tmp_path, then=ask, telemetry=port)
    assert told == [UnreadableLines("", "not redacted", 1), UnreadableLines("", "undisclosed fields", 1)]


def test_no_series_of_a_detection_holds_what_could_not_be_redacted(tmp_path):
    """An event of which withholding failed as well is counted as not compared: only writing keeps it back."""
    ports = free_ports()
    port, shown = next(ports), f"127.0.0.1:{next(ports)}"
    keys = (DetectionKey.USER, DetectionKey.SOURCE)
    own = resolve(Detection(name="d", selection=Selection(users=("*",)), group_by=keys))
    counts = (event_count(own, namespaced=False, kept=3600, most=5000),)
    breakable, counted, left_out = Breakable.of(tmp_path, detections=shown, counts=counts), Counter(), []
    second = (*breakable.withholding, NONE)
    faults = [(NONE, NONE), *((breakable.first_statement, each) for each in second)]

    def ask():
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and (left_out != [len(second)] or counted.total() <= 1):
            counted.update(scraped(shown) - counted)
            left_out[:] = [unread(port)]
            time.sleep(0.2)

    records = breakable.run([(*each, line_of(event())) for each in faults], tmp_path, then=ask, telemetry=port)
    unproved = sum(each.attributes.get(QUARANTINE) == "not redacted" for each in records)
    assert unproved > 0
    assert left_out == [len(second)]
    assert 1 < counted.total() <= len(faults) - unproved
    labels = {value for series in counted for _, value in series}
    assert any(each.startswith("p-") for each in labels)
    assert labels.isdisjoint({PERSON, ADDRESS})


def test_an_event_that_redaction_did_not_see_is_withheld_as_a_whole(tmp_path):
    breakable = Breakable.of(tmp_path)
    breakable.config["service"]["pipelines"]["logs/read"]["processors"].remove(REDACT)
    [record] = breakable.run([(NONE, NONE, line_of(event(requestObject={"note": "hunter2"})))], tmp_path)
    assert record.body == MARKER
    assert record.attributes[QUARANTINE] == "not redacted"
    assert "hunter2" not in shown(record)


def test_pseudonyms_that_were_made_stay(tmp_path):
    """Whatever fails behind them."""
    breakable = Breakable.of(tmp_path)
    behind = [each for each in breakable.redaction if each.split(".")[2] in {"profiles", "patterns", "keys"}]
    plain = line_of(event("widgets", requestObject=widget(spec={"token": "ACME-own-1 ACME-tenant-1"})))
    whole, *others = breakable.run([(each, NONE, plain) for each in (NONE, *behind)], tmp_path)
    name = whole.attributes["username"]
    assert name.startswith("p-")
    assert {each.attributes["username"] for each in others} == {name}
    withheld = [each for each in others if UNDISCLOSED in each.attributes]
    assert {each.attributes[UNDISCLOSED] for each in withheld} == {"profiles", "patterns", "keys"}
    assert {json.loads(each.body)["sourceIPs"][0] for each in withheld} == {json.loads(whole.body)["sourceIPs"][0]}


@pytest.mark.parametrize("listed", [{}, {"redaction|": {"spares.PII": True, "patterns": 7}}], ids=["missing", "odd"])
def test_a_demand_that_nobody_knows_is_withheld_or_taken_for_all(listed, tmp_path):
    breakable = Breakable.of(tmp_path, listed=listed)
    some = tuple(each for each in corpus() if each.name.startswith(("jwt", "e_mail", "data", "pattern")))
    records = breakable.run([(NONE, NONE, each.text) for each in some], tmp_path)
    seen = [leak.name for leak, record in zip(some, records, strict=True) if leak.found_in(shown(record))]
    assert [each for each in seen if not listed or not each.startswith("e_mail")] == []
