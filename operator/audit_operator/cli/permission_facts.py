"""What `permissions` judges: roles and bindings, namespaces and cluster-wide sinks, of a cluster or of files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from audit_operator.cli.from_cluster import kubeconfig_file
from audit_operator.cli.inputs import Facts, facts_of, objects_in, read_texts
from audit_operator.cli.usage import UsageError
from audit_operator.permissions.aggregation import aggregated
from audit_operator.permissions.rbac import Rbac, RbacError, rbac_of
from audit_operator.policy.document import ProblemKind, parse_document

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from audit_operator.cluster.resources import Resource
    from audit_operator.cluster.rest import RestClient


@dataclass(frozen=True, slots=True)
class PermissionFacts:
    """What is judged, and notes on what of it could not be read."""

    rbac: Rbac
    facts: Facts
    notes: tuple[str, ...] = ()


def permissions_in_files(paths: Iterable[str]) -> PermissionFacts:
    """From files. Aggregated ClusterRoles are filled, as their controller would.

    Raises:
        UsageError: a file cannot be read, or is not as the API server would take it.
    """
    objects = list(_objects(paths))
    try:
        return PermissionFacts(aggregated(rbac_of(objects)), facts_of(objects))
    except RbacError as error:
        raise UsageError(str(error)) from error


def permissions_of_cluster(options: argparse.Namespace) -> PermissionFacts:
    """From a cluster.

    Raises:
        UsageError: roles, bindings or namespaces cannot be read.
    """
    # Imported here: the client takes a quarter of a second that commands over files should not pay.
    from audit_operator.cluster.connection import ConnectionConfigError  # noqa: PLC0415
    from audit_operator.cluster.rest import ApiError, ApiUnreachableError, InconsistentListError  # noqa: PLC0415

    try:
        return asyncio.run(_read(options))
    except ConnectionConfigError as error:
        raise UsageError(f"{error}; name files with -f, or a cluster with --kubeconfig") from error
    except (ApiError, ApiUnreachableError, InconsistentListError, RbacError) as error:
        raise UsageError(f"cannot read the cluster: {error}") from error


async def _read(options: argparse.Namespace) -> PermissionFacts:
    from audit_operator.cluster.connection import connect  # noqa: PLC0415 - see permissions_of_cluster
    from audit_operator.cluster.rbac import read_rbac  # noqa: PLC0415
    from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, CLUSTER_AUDIT_SINK, NAMESPACE  # noqa: PLC0415
    from audit_operator.cluster.rest import ApiError, RestClient  # noqa: PLC0415

    connection = await connect(kubeconfig_file(options), options.context)
    try:
        client = RestClient(connection.session())
        rbac = await read_rbac(client)
        namespaces = await _listed(client, NAMESPACE)
        try:
            own = [*await _listed(client, CLUSTER_AUDIT_SINK), *await _listed(client, AUDIT_CONTROL_PLANE)]
            return PermissionFacts(rbac, facts_of([*namespaces, *own]))
        except ApiError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                raise
            return PermissionFacts(rbac, facts_of(namespaces), (_WITHOUT_SINKS,))
    finally:
        await connection.aclose()


_WITHOUT_SINKS = (
    "ClusterAuditSinks and AuditControlPlanes cannot be read, so that nothing is known of stores and who may reach "
    "them, and of those whom control planes expect"
)


async def _listed(client: RestClient, resource: Resource) -> list[dict[str, Any]]:
    listing = await client.list(
        resource, lambda each: {"kind": resource.kind, **each, "apiVersion": resource.api_version}
    )
    return list(listing.items)


def _objects(paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    for text in read_texts(paths):
        document = parse_document(text.content)
        for problem in document.problems:
            if problem.kind is not ProblemKind.FURTHER_DOCUMENT:
                raise UsageError(f"{text.file}:{text.line + problem.line}: {problem.message}")
        for _, item in objects_in(document.value):
            yield item
