"""How fragments are written: comments, quoted values, and the policy's own bytes, indented."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from textwrap import indent, wrap
from typing import TYPE_CHECKING

from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration, policy_file_name
from audit_operator.controlplane.static_pod.instructions import policy_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.static_pod.audit_flags import LogSettings

_WIDTH = 118


def head(policy: DesiredPolicy, title: str, *paragraphs: str) -> str:
    """The comment on top of a fragment: what it is, the policy's digest, and what to do with it."""
    lines = [title, f"Policy digest (SHA-256): {policy.digest}"]
    for each in paragraphs:
        first, *others = wrap(each, _WIDTH, break_long_words=False, break_on_hyphens=False)
        lines += [first, *(f"   {line}" for line in others)]
    return "".join(f"# {line}\n" for line in lines)


def put_policy(path: str) -> str:
    """The step that every platform needs which does not take the policy inline."""
    return (
        "1. Write the policy, byte for byte (key policy.yaml of this ConfigMap; printed by `audit-operator compile`), "
        f"as root and with mode 0600, on every control-plane node to {path}"
    )


def drop_in(name: str, service: str, log: LogSettings) -> tuple[str, str]:
    """The steps after the policy's file for k3s and RKE2, whose servers read their configuration alike."""
    return (
        (
            f"2. There, too: `mkdir -p -m 700 {log_folder(log)}`, and write this to "
            f"/etc/rancher/{name}/config.yaml.d/90-audit.yaml. Files that come later in the alphabet must use "
            "`kube-apiserver-arg+`, with the plus sign, as well."
        ),
        f"3. On one server after the other: `systemctl restart {service}`, then wait until its API server is ready.",
    )


def policy_path(policy: DesiredPolicy, folder: str) -> str:
    """Where the policy is put, on a node or in the API server's container."""
    return f"{folder}/{policy_file_name(policy.digest)}"


def object_name(policy: DesiredPolicy) -> str:
    """The name of an object that holds the policy."""
    return policy_name(policy.digest)


def log_folder(log: LogSettings) -> str:
    """The folder of the log file: it is mounted rather than the file, because rotation renames the file."""
    return str(PurePosixPath(log.path).parent)


def flags(policy: DesiredPolicy, log: LogSettings, folder: str) -> dict[str, str]:
    """The API server's audit flags, without dashes in front."""
    configuration = AuditConfiguration(policy.digest, log)
    return {name.removeprefix("--"): value for name, value in configuration.flags(folder).items()}


def arguments(values: Mapping[str, str], margin: str) -> str:
    """``- name=value`` for each flag."""
    return "".join(f"{margin}- {quoted(f'{name}={value}')}\n" for name, value in values.items())


def named_arguments(values: Mapping[str, str], margin: str) -> str:
    """``- name: …`` and ``value: …`` for each flag."""
    return "".join(f"{margin}- name: {name}\n{margin}  value: {quoted(value)}\n" for name, value in values.items())


def literal(text: str, margin: str) -> str:
    """A text as the content of a YAML block scalar (``|``)."""
    return indent(text, margin)


def quoted(value: str) -> str:
    """A string for YAML, whatever it looks like."""
    return json.dumps(value)


def api_server_volumes(log: LogSettings, policies: str, margin: str) -> str:
    """`extraVolumes` of kubeadm's API server: the policies to read, the logs to write."""
    mounts = (
        ("audit-policy", policies, "true", "Directory"),
        ("audit-log", log_folder(log), "false", "DirectoryOrCreate"),
    )
    return "".join(
        f"{margin}- name: {name}\n"
        f"{margin}  hostPath: {path}\n"
        f"{margin}  mountPath: {path}\n"
        f"{margin}  readOnly: {read_only}\n"
        f"{margin}  pathType: {type_}\n"
        for name, path, read_only, type_ in mounts
    )
