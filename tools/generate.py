#!/usr/bin/env python3
"""Write the Go modules in this folder, from which the binaries of Kubernetes and its surroundings are built.

README.md says why.

    tools/generate.py kubernetes v1.37.2 tools/k8s
    tools/generate.py kubernetes v1.35.4 tools/k8s-1.35 --only kube-apiserver
    tools/generate.py etcd v3.6.16 tools/etcd
    tools/generate.py containerd v2.4.2 tools/containerd
    tools/generate.py helm v4.3.1 tools/helm
    tools/generate.py helm-3 v3.22.0 tools/helm-3
    tools/generate.py victorialogs v1.52.1 tools/victorialogs

Only module files and the modules that the commands import are downloaded, by the Go toolchain.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGING = "./staging/"


@dataclass(frozen=True)
class Project:
    """What is built from one upstream module.

    Attributes:
        module: the upstream module.
        commands: import paths of the commands that are wanted.
    """

    module: str
    commands: tuple[str, ...]


PROJECTS = {
    "kubernetes": Project(
        "k8s.io/kubernetes",
        tuple(
            f"k8s.io/kubernetes/cmd/{command}"
            for command in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-proxy",
                "kube-scheduler",
                "kubeadm",
                "kubectl",
                "kubelet",
            )
        ),
    ),
    "etcd": Project("go.etcd.io/etcd/server/v3", ("go.etcd.io/etcd/server/v3",)),
    "containerd": Project(
        "github.com/containerd/containerd/v2",
        tuple(
            f"github.com/containerd/containerd/v2/cmd/{command}"
            for command in ("containerd", "containerd-shim-runc-v2", "ctr")
        ),
    ),
    "helm": Project("helm.sh/helm/v4", ("helm.sh/helm/v4/cmd/helm",)),
    "helm-3": Project("helm.sh/helm/v3", ("helm.sh/helm/v3/cmd/helm",)),
    "victorialogs": Project(
        "github.com/VictoriaMetrics/VictoriaLogs", ("github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs",)
    ),
}


def go(*args: str, cwd: Path) -> str:
    """Run the Go toolchain and return what it prints."""
    env = {**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=mod"}
    return subprocess.run(["go", *args], cwd=cwd, env=env, check=True, text=True, stdout=subprocess.PIPE).stdout  # noqa: S603, S607  # the developer's own Go


def upstream_requirements(module: str, version: str) -> dict[str, Any]:
    """The upstream go.mod as JSON; fetches that file only, not the sources."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "go.mod").write_text("module scratch\n\ngo 1.21\n")
        info = json.loads(go("list", "-m", "-json", f"{module}@{version}", cwd=scratch))
        document: dict[str, Any] = json.loads(go("mod", "edit", "-json", info["GoMod"], cwd=scratch))
        return document


def is_sibling(replacement: dict[str, Any]) -> bool:
    """Whether a `replace` names a folder of the same repository: such modules are published under the same version."""
    return str(replacement["New"]["Path"]).startswith(".")


def go_mod(name: str, project: Project, version: str, upstream: dict[str, Any]) -> str:
    """The wrapper's go.mod: upstream's own versions, and published modules where upstream uses its own folders."""
    replacements = upstream.get("Replace") or []
    siblings = sorted(each["Old"]["Path"] for each in replacements if is_sibling(each))
    # Kubernetes publishes its staging modules as v0.Y.Z for v1.Y.Z; everyone else uses one version for all.
    sibling_version = "v0." + version.split(".", 1)[1] if project.module == "k8s.io/kubernetes" else version
    lines = [f"module audit-operator.dev/tools/{name}", "", f"go {upstream['Go']}", ""]
    lines += [f"godebug {each['Key']}={each['Value']}" for each in upstream.get("Godebug") or []]
    lines += ["", "require (", f"\t{project.module} {version}"]
    for each in upstream["Require"]:
        wanted = sibling_version if each["Path"] in siblings else each["Version"]
        lines.append(f"\t{each['Path']} {wanted}" + (" // indirect" if each.get("Indirect") else ""))
    lines += [")", "", "replace ("]
    if project.module == "k8s.io/kubernetes":
        lines += [f"\t{path} => {path} {sibling_version}" for path in siblings]
    for each in replacements:
        if not is_sibling(each):
            lines.append(
                "\t"
                + " ".join(filter(None, [each["Old"]["Path"], each["Old"].get("Version")]))
                + " => "
                + " ".join(filter(None, [each["New"]["Path"], each["New"].get("Version")]))
            )
    return "\n".join([*lines, ")", ""])


def main() -> None:
    """Write go.mod, go.sum, tools.go and VERSION."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", choices=PROJECTS)
    parser.add_argument("version", help="v1.37.2")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", metavar="COMMAND", help="one of the project's commands, without the others' sources")
    arguments = parser.parse_args()
    project = PROJECTS[arguments.project]
    commands = tuple(each for each in project.commands if arguments.only in {None, each.rpartition("/")[2]})
    if not commands:
        parser.error(f"{arguments.project} has no command {arguments.only}")
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    upstream = upstream_requirements(project.module, arguments.version)
    (folder / "go.mod").write_text(go_mod(folder.name, project, arguments.version, upstream))
    (folder / "go.sum").unlink(missing_ok=True)
    imports = "".join(f'\t_ "{command}"\n' for command in commands)
    (folder / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n")
    (folder / "VERSION").write_text(arguments.version + "\n")
    # Not `go mod tidy`, which also fetches what the dependencies' tests need.
    go("mod", "edit", "-fmt", cwd=folder)
    go("list", "-deps", *commands, cwd=folder)


if __name__ == "__main__":
    main()
