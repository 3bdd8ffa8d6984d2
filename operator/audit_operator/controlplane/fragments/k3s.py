"""k3s: a drop-in of the server's configuration.

https://docs.k3s.io/security/hardening-guide : audit flags are given as `kube-apiserver-arg`; k3s makes neither the
policy nor the folder of the log, which is to have mode 700, and must be restarted.

https://docs.k3s.io/installation/configuration : files in config.yaml.d are read after config.yaml, and a `+` behind a
key appends to a list where the list would otherwise be replaced.
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
)

if TYPE_CHECKING:
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

POLICIES = "/var/lib/rancher/k3s/server/audit"


def render(policy: DesiredPolicy, log: LogSettings) -> str:
    """The fragment: it names the policy's file, which has to be put there first."""
    return (
        head(
            policy,
            "k3s: drop-in of the server's configuration.",
            put_policy(policy_path(policy, POLICIES)) + ". An API server without its policy file does not start.",
            *drop_in("k3s", "k3s", log),
        )
        + "kube-apiserver-arg+:\n"
        + arguments(flags(policy, log, POLICIES), "")
    )
