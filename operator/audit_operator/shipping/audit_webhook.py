"""What an API server must be told so that its audit webhook backend posts to the gateway."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

FLAGS = (
    "--audit-webhook-mode=batch",
    "--audit-webhook-batch-buffer-size=50000",
    "--audit-webhook-batch-max-size=400",
    "--audit-webhook-batch-max-wait=1s",
    "--audit-webhook-batch-throttle-enable=false",
    "--audit-webhook-truncate-enabled",
    "--audit-webhook-truncate-max-event-size=4194304",
    "--audit-webhook-truncate-max-batch-size=33554432",
)
"""Besides the name of the file. docs/gateway.md says why each one.

Without truncation, kube-apiserver drops a whole list for one event in it that it cannot encode, and whoever sends a
patch that is no JSON makes such an event.
"""


@dataclass(frozen=True, slots=True)
class Client:
    """In PEM: how an API server proves itself to the gateway. The key is a secret."""

    certificate: bytes
    key: bytes


def kubeconfig(server: str, ca: bytes, client: Client | None, server_name: str = "") -> str:
    """The file for --audit-webhook-config-file, in YAML.

    Args:
        server: address of the gateway, with its path.
        ca: authority of the gateway's certificate, in PEM.
        client: None where the gateway asks for no certificate.
        server_name: that the certificate is for, where it is not the host's.
    """
    cluster = {
        "server": server,
        "certificate-authority-data": _data(ca),
        **({"tls-server-name": server_name} if server_name else {}),
    }
    user = (
        {"client-certificate-data": _data(client.certificate), "client-key-data": _data(client.key)} if client else {}
    )
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gateway", "cluster": cluster}],
        "users": [{"name": "api-server", "user": user}],
        "contexts": [{"name": "gateway", "context": {"cluster": "gateway", "user": "api-server"}}],
        "current-context": "gateway",
    }
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in document.items())


def _data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
