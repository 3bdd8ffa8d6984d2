"""Application logs in the real collector: the verdict is that of `audit-operator logs check`, and nothing is lost."""

from __future__ import annotations

import time

import pytest
from hypothesis import Phase, given, settings

from audit_operator.api.application_logs import TimeFormat
from audit_operator.shipping.application.standard import WHITE_SPACE, Standard
from tests.integration.shipping.sidecar import Sidecar
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
