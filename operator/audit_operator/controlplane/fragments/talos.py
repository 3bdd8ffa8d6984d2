"""Talos: a patch of the machine configuration of control-plane nodes.

https://docs.siderolabs.com/talos/v1.15/reference/configuration/v1alpha1/config : `cluster.apiServer.auditPolicy` is the
policy itself, `extraArgs` are flags. A patch replaces the policy as a whole rather than merging its rules (`merge:
"replace"` in pkg/machinery/config/types/v1alpha1/v1alpha1_types.go), else the default rule, Metadata for everything,
would come first and hide ours.

https://docs.siderolabs.com/talos/v1.14/reference/configuration/kubernetes/kubeauditpolicyconfig : since 1.14 the policy
may stand in a document of its own instead; Talos refuses to have both (pkg/machinery/config/types/k8s/audit_policy.go).

Talos sets `--audit-policy-file` and `--audit-log-path` itself, and the API server, which is not root there, can write
to /var/log/audit/kube alone (internal/app/machined/pkg/controllers/k8s/control_plane_static_pod.go). So neither is set
here, and the path of `spec.log` is not followed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from audit_operator.controlplane.fragments.layout import flags, head, literal, quoted
from audit_operator.controlplane.static_pod.audit_flags import LOG_PATH, POLICY_FILE

if TYPE_CHECKING:
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

_TALOS_SETS = frozenset({POLICY_FILE.removeprefix("--"), LOG_PATH.removeprefix("--")})


def render(policy: DesiredPolicy, log: LogSettings) -> str:
    """The fragment, with the policy in it."""
    others = {name: value for name, value in flags(policy, log, "").items() if name not in _TALOS_SETS}
    return (
        head(
            policy,
            "Talos: patch of the machine configuration of control-plane nodes.",
            "1. On one control-plane node after the other: `talosctl -n <node> patch machineconfig --patch "
            "@talos.yaml`, then wait until its API server is ready.",
            "A configuration that has a document of kind KubeAuditPolicyConfig (Talos 1.14 and later) takes the policy "
            "there, under `configuration`; Talos refuses both at once.",
            "Talos chooses the log file itself: /var/log/audit/kube/kube-apiserver.log",
        )
        + "cluster:\n"
        "  apiServer:\n"
        "    extraArgs:\n"
        + "".join(f"      {name}: {quoted(value)}\n" for name, value in others.items())
        + "    auditPolicy:\n"
        + literal(without_aliases(policy.text), "      ")
    )


def without_aliases(text: str) -> str:
    """The same policy with every list written out: a machine configuration passes through more than one YAML parser.

    Knows how `policy/render.py` writes lists: each is anchored, or referred to, at the end of a line of its own.
    """
    lists: dict[str, str] = {}

    def written_out(found: re.Match[str]) -> str:
        sign, name, names = found.groups()
        if sign == "&":
            lists[name] = names
        return f"  namespaces: {lists[name]}"

    return re.sub(r"^  namespaces: ([&*])(ns\d+) ?(.*)$", written_out, text, flags=re.MULTILINE)
