"""An agent that dies once, as of a power cut, right after its journal says that it enters the phase DIE_ENTERING.

It runs in the image, in place of `audit-operator agent`; /tmp survives the container's restart.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from audit_operator.cli.main import main
from audit_operator.controlplane.static_pod.change import JOURNAL
from audit_operator.controlplane.static_pod.host import NodeHost

died = Path("/tmp/died")  # noqa: S108  # the pod's own
write = NodeHost.write


def write_and_die(self, name, content):
    write(self, name, content)
    phase = os.environ.get("DIE_ENTERING", "")
    if name == JOURNAL and phase and f'"phase":"{phase}"'.encode() in content and not died.exists():
        died.touch()
        os._exit(9)


NodeHost.write = write_and_die
sys.exit(main(["agent"]))
