"""Whether an API server's own files last until shippers have read them, and as long as frameworks ask.

These files are a buffer, and no store: the API server deletes them by number and age, whoever has read them.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from audit_operator.api.compliance import Framework
from audit_operator.api.control_plane import Driver, Log
from audit_operator.api.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.observations import ShipperObservation
    from audit_operator.plan.planning import Plan
    from audit_operator.plan.snapshot import Snapshot

TOO_FEW = "log-files-too-few"
LESS_THAN_A_DAY = "log-files-less-than-a-day"
BELOW_CIS = "log-files-below-cis"

_FEWEST = 2
_LEAST = 200
"""Megabytes of rotated files, where nobody has seen how much is written. A busy API server fills 100 MB in minutes."""
_MEGABYTE = 2**20
"""Source: lumberjack, with which API servers rotate: megabyte = 1024 * 1024."""
_MOST_FILES = 1000
"""As `Log.max_backup` may be."""
_CIS = {"max_age": ("maxAge", 30), "max_backup": ("maxBackup", 10), "max_size": ("maxSize", 100)}
"""Source: CIS Kubernetes Benchmark 1.2.17 to 1.2.19, as kube-bench has them (cfg/cis-1.11/master.yaml)."""


def log_file_findings(plane: AuditControlPlane, snapshot: Snapshot, planned: Plan) -> Iterator[Finding]:
    """For a control plane whose API servers write files as it says."""
    if plane.spec.driver not in (Driver.STATIC_POD, Driver.CONFIG_MAP):
        return
    log, name = plane.spec.log or Log(), plane.metadata.name
    ours = [each for each in snapshot.policies() if planned.assigned.get(each.ref) == name]
    kept = log.max_backup * log.max_size
    if any(each.spec.sink_refs for each in ours) and (log.max_backup < _FEWEST or kept < _LEAST):
        said = (
            f"API servers keep {log.max_backup} rotated files of {log.max_size} MB each: what shippers have not read "
            "while a store was away, or while they were, is deleted soon"
        )
        mend = f"keep at least {_FEWEST} files, and {_LEAST} MB; better, what API servers write in a day"
        yield Finding(TOO_FEW, Severity.WARNING, said, mend, path="spec.log.maxBackup")
    for field, (spelled, least) in _CIS.items():
        if any(_follows_cis(each) for each in ours) and getattr(log, field) < least:
            said = f"{spelled} is {getattr(log, field)}, and the CIS Kubernetes Benchmark asks for {least}"
            yield Finding(BELOW_CIS, Severity.WARNING, said, f"set it to {least}", path=f"spec.log.{spelled}")


def lasting_findings(plane: AuditControlPlane, shippers: Iterable[ShipperObservation]) -> Iterator[Finding]:
    """Where files do not last for a day, by what shippers have seen of how they grow.

    A store may be away for a day, and shippers' queues be full: until then, only these files have the events. Their age
    is no matter: the shortest that can be set is a day from when a file was rotated.
    """
    if plane.spec.driver not in (Driver.STATIC_POD, Driver.CONFIG_MAP):
        return
    log = plane.spec.log or Log()
    busiest = max(shippers, key=lambda each: (each.daily, each.node), default=None)
    if busiest is None or busiest.daily <= log.max_backup * log.max_size * _MEGABYTE:
        return
    files = ceil(busiest.daily / (log.max_size * _MEGABYTE))
    size = ceil(busiest.daily / (_MOST_FILES * _MEGABYTE))
    mend = (
        f"set spec.log.maxBackup to {files} or more"
        if files <= _MOST_FILES
        else f"set spec.log.maxBackup to {_MOST_FILES}, and spec.log.maxSize to {size} or more"
    )
    said = (
        f"{log.max_backup} rotated files of {log.max_size} MB each last for less than a day: on {busiest.node}, "
        f"{busiest.daily / 10**9:g} GB or more were written in 24 hours; of a store that is away for that long, and "
        "shippers whose queues are full, events would be lost"
    )
    mend += f"; that takes {ceil(busiest.daily / 10**9)} GB of disk on each node of the control plane"
    yield Finding(LESS_THAN_A_DAY, Severity.WARNING, said, mend, path="spec.log.maxBackup")


def _follows_cis(policy: AuditPolicy | ClusterAuditPolicy) -> bool:
    return policy.spec.compliance is not None and Framework.CIS in policy.spec.compliance.frameworks
