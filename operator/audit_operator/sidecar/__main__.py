"""Run by the injected container."""

from audit_operator.sidecar.places import Places
from audit_operator.sidecar.supervisor import Supervisor

raise SystemExit(Supervisor(Places.from_environment()).run())
