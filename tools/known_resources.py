"""Writes down which resources an API server serves: the data behind `audit_operator.policy.known_resources`.

Run against a kube-apiserver without custom resources that was started with ``--runtime-config=api/all=true`` and
``--feature-gates=AllAlpha=true,AllBeta=true``, so that it serves all that it can:

    kubectl proxy --port 8001 &
    python tools/known_resources.py http://127.0.0.1:8001 > operator/audit_operator/policy/known_resources/served.json
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections import defaultdict
from typing import Any


def read(base: str, path: str) -> Any:
    """One discovery document."""
    with urllib.request.urlopen(base + path) as answer:  # noqa: S310 - the address is the caller's own
        return json.load(answer)


def served(base: str) -> dict[str, dict[str, Any]]:
    """Resources by API group and name, all versions of a group together."""
    versions = [("", "/api/v1")]
    for group in read(base, "/apis")["groups"]:
        versions += [(group["name"], f"/apis/{each['groupVersion']}") for each in group["versions"]]
    groups: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for group, path in versions:
        # Parents come first by name, so that a subresource always finds its own.
        for found in sorted(read(base, path)["resources"], key=lambda each: each["name"]):
            name, _, subresource = found["name"].partition("/")
            resource = groups[group].setdefault(name, {"kind": found["kind"], "namespaced": found["namespaced"]})
            if subresource:
                subresources = resource.setdefault("subresources", {})
                subresources[subresource] = sorted({*subresources.get(subresource, ()), *found["verbs"]})
                continue
            resource["verbs"] = sorted({*resource.get("verbs", ()), *found["verbs"]})
            if found.get("shortNames"):
                resource["shortNames"] = sorted(found["shortNames"])
    return groups


def main() -> None:
    """Write one resource per line, so that a new release shows as a readable difference."""
    base = sys.argv[1].rstrip("/")
    origin = (
        f"discovery of kube-apiserver {read(base, '/version')['gitVersion']}, every API version and feature enabled"
    )
    groups = []
    for group, resources in sorted(served(base).items()):
        lines = [f"      {json.dumps(name)}: {json.dumps(each)}" for name, each in sorted(resources.items())]
        groups.append(f"    {json.dumps(group)}: {{\n" + ",\n".join(lines) + "\n    }")
    print(f'{{\n  "origin": {json.dumps(origin)},\n  "groups": {{\n' + ",\n".join(groups) + "\n  }\n}")


if __name__ == "__main__":
    main()
