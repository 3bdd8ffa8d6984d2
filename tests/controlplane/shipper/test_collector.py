"""A collector's process, where it cannot be asked how it is."""

from __future__ import annotations

import json
import socket
import time

from audit_operator.controlplane import os_process
from audit_operator.controlplane.shipper.collector import Collector

PROGRAM = """#!/bin/sh
trap 'echo HUP >> {told}' HUP
trap 'echo TERM >> {told}; exit 0' TERM
while :; do sleep 0.05; done
"""


def test_a_collector_that_does_not_say_how_it_is_gets_no_orderly_end_which_could_lose_what_it_holds(tmp_path):
    """As one near its memory limit, or on a node without any time for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, told, binary = silent.getsockname()[1], tmp_path / "told", tmp_path / "otelcol"
        collector = Collector(tmp_path / "collector")
        collector.prepare()
        (collector.folder / "ports.json").write_text(json.dumps([port] * 4))
        binary.write_text(PROGRAM.format(told=told))
        binary.chmod(0o755)
        collector.configure("x: 1\n")
        first = collector.start(binary)
        while os_process.age(first) < 1.0:
            time.sleep(0.1)
        collector.reload()
        assert collector.process() not in (first, None)
        collector.stop()
        assert collector.process() is None
        assert not told.exists()
