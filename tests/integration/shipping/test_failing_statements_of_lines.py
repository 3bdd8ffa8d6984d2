"""Whatever statement fails in a sidecar, on whatever line: nothing planted leaves the pod, and no line is lost.

As in `test_failing_statements`: everything can be broken by the line that names it, so that one collector meets all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.application.standard import Reason
from audit_operator.shipping.collector.ottl import text
from audit_operator.shipping.collector.proving import REDACT
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import OwnPattern
from tests.integration.shipping.sidecar import Sidecar
from tests.integration.shipping.test_failing_statements import NAMED, NONE, NUMBER, WRITE, all_breakable
from tests.shipping.application.lines import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.integration.shipping.collector import Record

SECRET, OWN, PERSON, ADDRESS = "c0rrect-h0rse", "ACME-1234", "dora", "a.person@example.com"
PROFILES = RedactionDemand(frozenset(RedactionProfile), (OwnPattern("x", "ACME-[0-9]+", "x"),))
DEMANDS = {
    "profiles": PROFILES,
    "pseudonyms": RedactionDemand(PROFILES.profiles, PROFILES.patterns, frozenset({PseudonymizedField.USERNAME})),
}
GOOD = (
    line(user=PERSON, password=SECRET),
    line(user=PERSON, action=f"DB_PASSWORD={SECRET} {OWN}", note=f"by {PERSON} and others"),
    line(user=PERSON, id=OWN, contact=ADDRESS),
    line(user=PERSON)[:-1] + f',"password":"{SECRET}","password":""}}',
    line(user=PERSON, note="nothing"),
)
BAD = (
    f"DB_PASSWORD={SECRET} by {PERSON}",
    f"{OWN} by {PERSON}, {ADDRESS}",
    rf'{{"\u0070assword":"{SECRET}"',
    line(user=..., password=SECRET, note=PERSON),
    line(user=PERSON, password=SECRET)[:-1],
    line(user=PERSON, password=SECRET, note="x" * 4096),
)
LINES = (*GOOD, *BAD)


@dataclass
class Breakable(Sidecar):
    """One of which the configuration can be broken."""

    redaction: RedactionDemand = PROFILES
    longest_line: int = 4096
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.config = super().configuration()
        self.config["receivers"]["file_log"]["operators"] = list(NAMED)
        redact, write = self.config["processors"][REDACT], self.config["processors"][WRITE]
        kept, keeps = write["log_statements"][-1]["statements"], "keep_keys(log.attributes, ["
        kept[:] = [each.replace(keeps, f"{keeps}{text(NUMBER)}, ") for each in kept]
        self.steps = tuple(all_breakable(redact["steps"], "step"))
        self.withholding = tuple(all_breakable(redact["otherwise"], "otherwise"))
        self.writing = tuple(all_breakable(write["log_statements"], "write"))

    def configuration(self) -> dict[str, Any]:
        return self.config

    def faults(self) -> Iterator[tuple[str, str]]:
        """One thing; or the condition of the first step, and something of what should keep the line back."""
        yield from ((each, NONE) for each in (*self.steps, *self.writing))
        yield from ((self.steps[0], each) for each in (*self.withholding, *self.writing))

    def run(self, lines: Iterable[tuple[str, str, str]]) -> list[Record]:
        """What comes of lines, each behind the names of what fails first and second."""
        written = [f"={number} {' '.join(each)}\n" for number, each in enumerate(lines)]
        with self:
            self.write("a.log", "".join(written).encode())
            found = self.await_records(len(written))
        return sorted(found, key=lambda each: int(each.attributes[NUMBER]))


def shown(record: Record) -> str:
    return f"{record.body} {json.dumps(dict(record.attributes), ensure_ascii=False)}"


def said(record: Record) -> dict[str, Any]:
    return {"body": record.body, **record.attributes, NUMBER: ""}


@pytest.mark.parametrize("demand", DEMANDS)
def test_nothing_planted_leaves_the_pod_whatever_fails_and_no_line_is_lost(demand, tmp_path):
    # Who it was stays where no pseudonym is asked for.
    planted = (SECRET, OWN, ADDRESS, *([PERSON] if demand == "pseudonyms" else []))
    sidecar = Breakable(tmp_path, redaction=DEMANDS[demand])
    runs = [(*fault, each) for fault in ((NONE, NONE), *sidecar.faults()) for each in LINES]
    pairs = list(zip(runs, sidecar.run(runs), strict=True))
    assert [(run, value) for run, record in pairs for value in planted if value in shown(record)] == []
    whole = {each: record for (_, _, each), record in pairs[: len(LINES)]}
    touched = 0
    for (first, second, each), record in pairs:
        if second == NONE and first in sidecar.steps and said(record) != said(whole[each]):
            touched += 1
            assert record.body == f"[REDACTED: {len(each)} bytes]"
            assert record.attributes["quarantine"] in {Reason.NOT_REDACTED, whole[each].attributes.get("quarantine")}
    assert touched > len(sidecar.steps)


@pytest.mark.parametrize("demand", DEMANDS)
def test_a_line_on_which_a_statement_fails_is_withheld_and_said_to_be(demand, tmp_path):
    sidecar = Breakable(tmp_path, redaction=DEMANDS[demand])
    second = [NONE, *sidecar.withholding]
    runs = [(sidecar.steps[0], each, whole) for each in second for whole in GOOD]
    for (_, _, whole), record in zip(runs, sidecar.run(runs), strict=True):
        assert record.body == f"[REDACTED: {len(whole)} bytes]"
        assert record.attributes["quarantine"] == Reason.NOT_REDACTED
        assert record.attributes["withheld"] == len(whole)
        assert "username" not in record.attributes
