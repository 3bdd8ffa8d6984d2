"""The audit flags that we know are those that the real kube-apiserver has."""

from __future__ import annotations

import re
import subprocess

import pytest

from audit_operator.controlplane.static_pod.audit_flags import OUR_FLAGS, SWITCHES


@pytest.fixture(scope="module")
def audit_flags(assets):
    """Name and type of each; switches have none."""
    command = [assets.kube_apiserver, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # the binary under test
    return dict(re.findall(r"^ +(--audit-[a-z-]+) ?(\w*)", shown, re.MULTILINE))


def test_it_has_every_flag_that_we_set(audit_flags):
    assert set(OUR_FLAGS) <= audit_flags.keys()


def test_flags_that_need_no_value_are_those_that_we_take_for_switches(audit_flags):
    assert {name for name, kind in audit_flags.items() if not kind} == SWITCHES
