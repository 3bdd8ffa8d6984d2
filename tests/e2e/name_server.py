"""Names of Services: pages name a store as people do, and the node of the tests has no CoreDNS.

This file is also the program of its pod, and the standard library alone there.
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME, NAMESPACE = "kube-dns", "kube-system"
"""As CoreDNS's Service is called: a cluster that has it needs nothing of this."""
ADDRESS = "10.96.0.10"
"""Where kubeadm tells pods to ask."""
_PORT = 5353
_A = b"\x00\x01"
_ANSWER, _NO_SUCH_NAME = 0x8580, 0x8583


def objects(image: str, services: Mapping[str, str]) -> list[dict[str, Any]]:
    """What makes it run in an image that has Python. `services` maps NAME.NAMESPACE to an IPv4 address."""
    metadata = {"name": NAME, "namespace": NAMESPACE}
    labels = {"app": NAME}
    container = {
        "name": "names",
        "image": image,
        "command": ["/usr/bin/python3.11", "-I", "/program/name_server.py", *map("=".join, services.items())],
        "volumeMounts": [{"name": "program", "mountPath": "/program"}],
    }
    volumes = [{"name": "program", "configMap": {"name": NAME}}]
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes}
    ports = [{"port": 53, "targetPort": _PORT, "protocol": "UDP"}]
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"name_server.py": Path(__file__).read_text(encoding="utf-8")},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"clusterIP": ADDRESS, "selector": labels, "ports": ports},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]


def answer(question: bytes, services: Mapping[str, str]) -> bytes:
    """The answer to one question: the address of a Service, for who asks for IPv4, and that there is no other name."""
    labels, end = [], 12
    while question[end]:
        labels.append(question[end + 1 : end + 1 + question[end]].decode().lower())
        end += 1 + question[end]
    address = services.get(".".join(labels).removesuffix(".svc.cluster.local"))
    record = b""
    if address and question[end + 1 : end + 3] == _A:
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(address)
    head = struct.pack("!HHHHH", _ANSWER if address else _NO_SUCH_NAME, 1, bool(record), 0, 0)
    return question[:2] + head + question[12 : end + 5] + record


def main() -> None:
    """Answer until the pod ends."""
    services = dict(each.split("=", 1) for each in sys.argv[1:])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", _PORT))
        while True:
            question, client = server.recvfrom(4096)
            server.sendto(answer(question, services), client)


if __name__ == "__main__":
    main()
