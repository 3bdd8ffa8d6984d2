"""Ends the processes of a local control plane when its owner ends, however that happens.

`python -m audit_operator.controlplane.reaper FOLDER` runs beside every local control plane. Its standard input is a
pipe whose other end only the owner holds: when that is closed, by `stop` or because the owner was killed, the
processes are ended and the folder is removed. The parent-death signal of Linux would not do: an operator may have
restarted the API server, whose parent is then somebody else, and must outlive that.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from pathlib import Path

from audit_operator.controlplane.api_server import ApiServer
from audit_operator.controlplane.etcd import Etcd
from audit_operator.controlplane.shipper.collector import FOLDER as COLLECTOR_FOLDER
from audit_operator.controlplane.shipper.collector import Collector


def main() -> None:
    """Wait for the owner's end, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", action="store_true", help="leave the folder where it is")
    arguments = parser.parse_args()
    for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interrupt, signal.SIG_IGN)  # sent to whole process groups; there is work to be done after them
    sys.stdin.buffer.read()
    ApiServer(arguments.folder).retire()
    Collector(arguments.folder / COLLECTOR_FOLDER).retire()
    Etcd(arguments.folder).stop()
    if not arguments.keep:
        shutil.rmtree(arguments.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
