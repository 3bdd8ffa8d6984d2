"""Render the chart into manifests for those who do not use Helm.

    python -m tools.manifests --write manifests    # `make manifests`
    python -m tools.manifests --check manifests    # fails where a file differs; part of `make check`

install.yaml is the operator in a namespace that enforces restricted pod security; node-agent.yaml is what
nodeAgent.enabled adds to that, or changes in it, and shipper.yaml what shipper.enabled does: each with the other or
without. Helm is the one that the tests use, built if need be.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.node.binaries import helm

CHART = Path(__file__).parents[1] / "charts" / "audit-operator"
NAME = "audit-operator"
_HEADER = "# Rendered from charts/audit-operator by `make manifests`. Do not edit.\n"
_NAMESPACE = f"""---
apiVersion: v1
kind: Namespace
metadata:
  name: {NAME}
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: latest
"""
_HELMS_OWN = re.compile(r"^ +(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)


def render() -> dict[str, str]:
    """File name to text; always the same bytes."""
    plain = _documents()
    added = {
        name: [each for each in _documents(f"{value}.enabled=true") if each not in plain]
        for name, value in (("agent", "nodeAgent"), ("shipper", "shipper"))
    }
    said = "# After install.yaml; charts/audit-operator/values.yaml says what the {} may touch, and why it is root.\n"
    return {
        "install.yaml": _HEADER + _NAMESPACE + "".join(plain),
        "node-agent.yaml": _HEADER + said.format("agent") + "".join(added["agent"]),
        "shipper.yaml": _HEADER + said.format("shipper") + "".join(added["shipper"]),
    }


def _documents(*values: str) -> list[str]:
    """What the chart renders, by documents that begin with `---`, without what only Helm would use."""
    command = [helm(), "template", NAME, CHART, "--namespace", NAME, "--no-hooks", "--set", "crds.keep=false"]
    for value in values:
        command += ["--set", value]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - Helm
    documents = re.split(r"^(?=---\n)", _HELMS_OWN.sub("", done.stdout), flags=re.MULTILINE)
    # Helm ends the last one otherwise than the others, and it would not be found again among more.
    return [each.strip() + "\n" for each in documents if each.strip()]


def main() -> int:
    """Write or compare the files; the exit status is 1 where a file differs."""
    parser = argparse.ArgumentParser(prog="python -m tools.manifests", description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER", help="write the files into a folder")
    action.add_argument("--check", type=Path, metavar="FOLDER", help="fail if a file in a folder differs")
    options = parser.parse_args()
    rendered = render()
    if options.write:
        for name, text in rendered.items():
            (options.write / name).write_text(text, encoding="utf-8")
        return 0
    files = {name: options.check / name for name in rendered}
    stale = [file for name, file in files.items() if not file.exists() or file.read_text("utf-8") != rendered[name]]
    for file in stale:
        print(f"{file} differs from the chart: run `make manifests`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
