"""What `helm test` runs in the operator's image: the kinds are served, and a replica is ready.

    ready.py SERVICE PLURAL...

Addresses come from the environment that the kubelet makes of Services: no name is looked up.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
API = "/apis/audit-operator.dev/v1alpha1"


def address(service: str) -> str:
    """Host and port of a Service."""
    prefix = service.upper().replace("-", "_")
    host, port = os.environ[f"{prefix}_SERVICE_HOST"], os.environ[f"{prefix}_SERVICE_PORT"]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def served_kinds() -> set[str]:
    """Plural names of the kinds that the API server serves."""
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(
        f"https://{address('kubernetes')}{API}", headers={"Authorization": f"Bearer {token}"}
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:  # noqa: S310 - https
        return {each["name"] for each in json.load(answer)["resources"]}


def main(service: str, *plurals: str) -> int:
    """Exit status 0 if all is well."""
    try:
        missing = set(plurals) - served_kinds()
        if missing:
            print(f"not served: {', '.join(sorted(missing))}")
            return 1
        print(f"served: {', '.join(sorted(plurals))}")
        with urllib.request.urlopen(f"http://{address(service)}/readyz", timeout=10) as answer:
            print(answer.read().decode(), end="")
    except (OSError, KeyError) as error:
        print(f"not ready: {error!r}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
