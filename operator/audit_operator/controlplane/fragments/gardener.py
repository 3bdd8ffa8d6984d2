"""Gardener: a ConfigMap beside the Shoot, and the part of the Shoot that refers to it.

https://gardener.cloud/docs/gardener/shoot_auditpolicy/ (docs/usage/security/shoot_auditpolicy.md): the policy stands
under the key `policy` of a ConfigMap in the Shoot's namespace, is validated when the Shoot refers to it, and a change
of the ConfigMap alone waits for the next reconciliation. The name holds the digest, so that a new policy changes the
Shoot and is rolled out at once.

A Shoot has no fields for the log: where records go is the landscape's decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.controlplane.fragments.layout import head, literal, object_name

if TYPE_CHECKING:
    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings


def render(policy: DesiredPolicy, _log: LogSettings) -> str:
    """The fragment, with the policy in it: a ConfigMap, and a patch of the Shoot."""
    name = object_name(policy)
    return (
        head(
            policy,
            "Gardener: a ConfigMap for the garden cluster, and part of the Shoot.",
            "1. In the garden cluster, create the first document in the Shoot's namespace: `kubectl create -n "
            "<namespace> -f <file>`",
            "2. Then merge the second into the Shoot: `kubectl patch shoot -n <namespace> <name> --patch-file <file>`",
            "Where records go, and how long they are kept, is decided by whoever runs the landscape; spec.log does not "
            "apply.",
        )
        + "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        f"  name: {name}\n"
        "data:\n"
        "  policy: |\n" + literal(policy.text, "    ") + "---\n"
        "spec:\n"
        "  kubernetes:\n"
        "    kubeAPIServer:\n"
        "      auditConfig:\n"
        "        auditPolicy:\n"
        "          configMapRef:\n"
        f"            name: {name}\n"
    )
