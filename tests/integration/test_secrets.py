"""Secrets are read from a real API server: what it encodes, what it refuses, and what it is never asked."""

from __future__ import annotations

import pytest

from audit_operator.cluster.connection import connect
from audit_operator.cluster.rest import RestClient
from audit_operator.cluster.secrets import SecretMemory, SecretReader, SecretUnreadable


@pytest.fixture
async def reader_as(control_plane):
    connections = []

    async def make(user="admin"):
        connection = await connect(control_plane.kubeconfig(user))
        connections.append(connection)
        return SecretReader(RestClient(connection.session(), attempts=1), SecretMemory(found=0.0, refused=0.0))

    yield make
    for each in connections:
        await each.aclose()


async def test_a_real_secret_is_read_as_it_was_written(control_plane, namespace, reader_as):
    control_plane.kubectl("create", "secret", "generic", "store", "-n", namespace, "--from-literal=token=aé${x}")
    reader = await reader_as()
    assert dict(await reader.read(namespace, "store")) == {"token": "aé${x}".encode()}
    control_plane.kubectl("delete", "secret", "store", "-n", namespace)
    missing = await reader.read(namespace, "store")
    assert missing == SecretUnreadable(
        f"Secret {namespace}/store does not exist", f"create Secret store in namespace {namespace}, or name another one"
    )


async def test_a_secret_that_the_operator_may_not_read_is_refused_with_the_mend(namespace, reader_as):
    reader = await reader_as("alice")
    refused = await reader.read(namespace, "store")
    assert refused.message == f"the operator may not read Secret {namespace}/store"
    assert f"add {namespace} to the chart's value shipper.secretNamespaces" in refused.mend


async def test_the_right_to_get_secrets_of_one_namespace_is_enough(control_plane, namespace, reader_as):
    control_plane.kubectl("create", "role", "reader", "-n", namespace, "--verb=get", "--resource=secrets")
    control_plane.kubectl("create", "rolebinding", "reader", "-n", namespace, "--role=reader", "--user=alice")
    control_plane.kubectl("create", "secret", "generic", "store", "-n", namespace, "--from-literal=token=x")
    reader = await reader_as("alice")
    assert dict(await reader.read(namespace, "store")) == {"token": b"x"}
    assert isinstance(await reader.read("kube-system", "store"), SecretUnreadable)
