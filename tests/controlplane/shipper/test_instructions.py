"""What a node reads is what the operator wrote, or nothing."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from audit_operator.api.observations import (
    ExporterFigures,
    ExporterObservation,
    Flow,
    ShipperFigures,
    ShipperObservation,
)
from audit_operator.controlplane.shipper.instructions import ShippedFiles, ShipperInstructions, UnknownInstructions
from audit_operator.controlplane.shipper.report import LARGEST, ShipperReport
from tests.controlplane.shipper.memory_board import files

SECRET = {"auditsink.payments.own/0a1b/tls.key": b"\x00\xff not text", "auditsink.payments.own/0a1b/ca.crt": b"x"}


def instructions(**more):
    return ShipperInstructions(plane="main", files=ShippedFiles.of(files(credentials=SECRET, **more)))


def encoded(**changes):
    document = json.loads(instructions().model_dump_json())
    return gzip.compress(json.dumps({**document, **changes}).encode())


def test_a_node_gets_what_was_planned():
    said = instructions(pseudonymous=("", "payments"), canary="lines")
    read = ShipperInstructions.decoded(said.encoded())
    assert read == said
    assert read.files.for_collector("ab") == files(
        credentials=SECRET, pseudonymous=("", "payments"), pseudonym_keys="ab", canary="lines"
    )
    assert instructions(pseudonymous=("", "payments"), canary="lines").encoded() == said.encoded()


def test_the_credentials_that_a_node_holds_are_known_by_sink_and_by_whose_they_are():
    identities = {"auditsink.payments.own": "one", "clusterauditsink.archive": "two"}
    read = ShipperInstructions.decoded(
        ShipperInstructions(
            plane="main",
            files=ShippedFiles.of(files(credentials={**SECRET, "access-key": b"k"}, identities=identities)),
        ).encoded()
    ).files.held()
    own, archive = read["auditsink.payments.own"], read["clusterauditsink.archive"]
    assert (own.identity, archive.identity) == ("one", "two")
    assert own.credentials.files == {"tls.key": b"\x00\xff not text", "ca.crt": b"x"}
    assert archive.credentials.files == {"access-key": b"k"}
    assert instructions().files.held() == {}  # of a release that did not say whose they are


def test_that_nothing_is_to_be_shipped_can_be_said():
    nothing = ShipperInstructions(plane="main")
    assert ShipperInstructions.decoded(nothing.encoded()).files is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text",
        instructions().encoded()[:-5],
        encoded(version=2),
        encoded(files={"config": "x"}),
        gzip.compress(b"[]"),
    ],
    ids=["empty", "plain", "cut off", "newer", "incomplete", "a list"],
)
def test_what_is_not_understood_is_no_instruction(content):
    with pytest.raises(UnknownInstructions):
        ShipperInstructions.decoded(content)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "x/../y", "sink/0a/../x", "sink/zz/ca.crt", ""])
def test_no_file_lies_elsewhere(path):
    content = json.loads(instructions().model_dump_json())
    content["files"]["credentials"] = {path: "eA=="}
    with pytest.raises(UnknownInstructions):
        ShipperInstructions.decoded(gzip.compress(json.dumps(content).encode()))


def test_secrets_show_in_no_text():
    said = instructions(config="hunter2", pseudonym_keys="hunter3")
    assert "hunter" not in repr(said)
    assert "not text" not in repr(said)
    assert "not text" not in repr(files(credentials=SECRET))
    with pytest.raises(UnknownInstructions) as raised:
        ShipperInstructions.decoded(encoded(files={"config": ["hunter2"]}))
    assert "hunter2" not in str(raised.value)


def seen(ways):
    exporters = tuple(
        ExporterObservation(f"otlp_http/auditsink.n{number}.sink", Flow.FLOWING, ExporterFigures(sent=10**9 + number))
        for number in range(ways)
    )
    return ShipperObservation("cp-1", "0" * 64, healthy=True, exporters=exporters, figures=ShipperFigures(received=7))


def test_a_report_is_read_as_it_was_written():
    report = ShipperReport(plane="main", wanted="0" * 64, seen=seen(3))
    read = ShipperReport.model_validate_json(report.encoded())
    assert read == report
    assert read.seen.exporters[2].figures.sent == 10**9 + 2
    assert read.seen.figures.received == 7


def test_a_report_about_many_sinks_fits_and_still_says_what_flows():
    text = ShipperReport(plane="main", wanted="0" * 64, seen=seen(2000)).encoded()
    assert len(text) <= LARGEST
    assert len(ShipperReport.model_validate_json(text).seen.exporters) == 2000


def test_a_report_about_more_sinks_than_fit_keeps_the_worst_and_says_that_others_are_missing():
    everything = seen(6000)
    bad = (
        ExporterObservation("otlp_http/auditsink.z.waiting", Flow.BACKLOG),
        ExporterObservation("otlp_http/auditsink.z.lossy", Flow.LOSSY),
    )
    everything = replace(everything, exporters=(*everything.exporters, *bad), last_error="trouble")
    text = ShipperReport(plane="main", wanted="0" * 64, seen=everything).encoded()
    assert LARGEST - 200 < len(text.encode()) <= LARGEST
    read = ShipperReport.model_validate_json(text).seen
    assert {each.flow(bad[0].exporter) for each in (everything, read)} == {Flow.BACKLOG}
    assert read.flow(bad[1].exporter) is Flow.LOSSY
    assert read.last_error == f"trouble; there is no room in its report for {6002 - len(read.exporters)} of its sinks"
    assert (read.healthy, read.figures.received) == (True, 7)


def test_a_report_is_measured_in_bytes():
    said = "é" * (LARGEST - 10_000)
    text = ShipperReport(plane="main", seen=replace(seen(1000), last_error=said[: LARGEST // 2 - 1000])).encoded()
    assert len(text.encode()) <= LARGEST
