"""`python -m tests.e2e.node`: a node for developers, that stays until it is ended.

up      start it, or say where it is; prints the kubeconfig and the command that runs others on the node
exec    run a command on it
load    import an image archive
restart reboot it
down    end it
binaries  build all that it needs, without starting anything
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.e2e.node import nodebox
from tests.e2e.node.binaries import helm, node_binaries
from tests.e2e.node.debian import unpacked_packages
from tests.e2e.node.kubeadm import API_SERVER_GRACE


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.e2e.node", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="dev", help="of the node, where several are wanted")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("down", "restart", "binaries"):
        commands.add_parser(name)
    up = commands.add_parser("up")
    up.add_argument(
        "--grace", type=int, default=API_SERVER_GRACE, help="terminationGracePeriodSeconds of kube-apiserver"
    )
    commands.add_parser("exec").add_argument("argv", nargs=argparse.REMAINDER)
    commands.add_parser("load").add_argument("archive", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "binaries":
        node_binaries()
        helm()
        unpacked_packages()
        return 0
    node = nodebox.attach(arguments.name)
    if arguments.command == "up":
        if node is None or not node.box.alive():
            node = nodebox.start(arguments.name, keep=True, api_server_grace=arguments.grace)
        module = f"{sys.executable} -m tests.e2e.node --name {arguments.name}"
        print(f"export KUBECONFIG={node.kubeconfig}\n# on the node: {module} exec COMMAND\n# end it: {module} down")
        return 0
    if node is None:
        print(f"there is no node {arguments.name}; start it with up", file=sys.stderr)
        return 1
    match arguments.command:
        case "down":
            node.close()
        case "restart":
            node.restart_node()
        case "load":
            node.load_image(arguments.archive)
        case "exec":
            argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
            return node.run_on_node(argv, stdout=None).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
