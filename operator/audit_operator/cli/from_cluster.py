"""Facts read from a cluster, with the flags and the kubeconfig that kubectl uses."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_operator.cli.inputs import Facts, facts_of
from audit_operator.cli.usage import UsageError

if TYPE_CHECKING:
    import argparse


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add ``--kubeconfig`` and ``--context``."""
    parser.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="kubeconfig (default: $KUBECONFIG, else ~/.kube/config), where no file is given",
    )
    parser.add_argument(
        "--context", metavar="NAME", default="", help="context in the kubeconfig (default: its current one)"
    )


def kubeconfig_file(options: argparse.Namespace) -> Path:
    """The kubeconfig that kubectl would take first."""
    return Path(options.kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")


def read_cluster(options: argparse.Namespace) -> Facts:
    """Our kinds and the namespaces of a cluster.

    Raises:
        UsageError: the cluster cannot be read.
    """
    # Imported here: the client takes a quarter of a second that commands over files should not pay.
    from audit_operator.cluster.connection import ConnectionConfigError  # noqa: PLC0415
    from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError  # noqa: PLC0415

    try:
        return facts_of(asyncio.run(_read(kubeconfig_file(options), options.context)))
    except ConnectionConfigError as error:
        message = f"{error}; name files with -f, or a cluster with --kubeconfig"
        raise UsageError(message) from error
    except (ApiError, ApiUnreachableError, InconsistentListError) as error:
        message = f"cannot read the cluster: {error}"
        raise UsageError(message) from error


async def _read(file: Path, context: str) -> list[dict[str, Any]]:
    from audit_operator.cluster.connection import connect  # noqa: PLC0415 - see read_cluster
    from audit_operator.cluster.resources import NAMESPACE, OWN_KINDS, Resource  # noqa: PLC0415
    from audit_operator.cluster.rest import RestClient  # noqa: PLC0415

    connection = await connect(file, context)
    try:
        client = RestClient(connection.session())

        async def every(resource: Resource) -> list[dict[str, Any]]:
            listing = await client.list(
                resource, lambda each: {"kind": resource.kind, **each, "apiVersion": resource.api_version}
            )
            return list(listing.items)

        lists = await asyncio.gather(*map(every, (*OWN_KINDS, NAMESPACE)))
        return [item for each in lists for item in each]
    finally:
        await connection.aclose()
