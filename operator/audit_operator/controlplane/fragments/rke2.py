"""RKE2: a drop-in of the server's configuration.

https://docs.rke2.io/reference/server_config : `audit-policy-file` and `kube-apiserver-arg`.
https://docs.rke2.io/install/configuration : files in config.yaml.d are read after config.yaml, and a `+` behind a key
appends to a list where the list would otherwise be replaced.

pkg/executor/staticpod/staticpod.go of rancher/rke2: `audit-policy-file` brings retention flags of its own, ours come
after them and win; the folder of `audit-log-path` is mounted. Where the policy file is missing, RKE2 writes one that
records nothing (`WriteDefaultPolicyFile`: a single rule with level None), and starts with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.controlplane.fragments.layout import (
    arguments,
    drop_in,
    flags,
    head,
    policy_path,
    put_policy,
    quoted,
)

if TYPE_CHECKING:
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

POLICIES = "/etc/rancher/rke2/audit"


def render(policy: DesiredPolicy, log: LogSettings) -> str:
    """The fragment: it names the policy's file, which has to be put there first."""
    others = flags(policy, log, POLICIES)
    file = others.pop("audit-policy-file")
    return (
        head(
            policy,
            "RKE2: drop-in of the server's configuration.",
            put_policy(policy_path(policy, POLICIES))
            + ". Before anything else: RKE2 starts with a policy that records nothing where the file is missing.",
            *drop_in("rke2", "rke2-server", log),
        )
        + f"audit-policy-file: {quoted(file)}\n"
        "kube-apiserver-arg+:\n" + arguments(others, "")
    )
