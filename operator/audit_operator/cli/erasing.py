"""Where an erasure finds the keys of pseudonyms, and where it is recorded: in the cluster, or in files."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from audit_operator.cli.from_cluster import kubeconfig_file
from audit_operator.cli.usage import UsageError
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.files import write_atomically
from audit_operator.controlplane.shipper.board import HeldKeyring

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator
    from pathlib import Path

    from audit_operator.cluster.rest import RestClient
    from audit_operator.controller.shipper_board import ClusterShipperBoard
    from audit_operator.retention.erasure import ErasureRecord

COMPONENT = "erasure"
RECORD_FILE = "record.json"
_MANAGER = "audit-operator-erase"


class Places(Protocol):
    """All raise BoardUnavailable."""

    async def keyring(self) -> HeldKeyring | None:
        """The keys; None if there are none."""
        ...

    async def keep_keyring(self, content: bytes, revision: str) -> None:
        """Keep others in place of those of this revision, and of no others."""
        ...

    async def register(self, record: ErasureRecord) -> str:
        """Keep a record that nobody changes; returns where."""
        ...


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A Secret, and a ConfigMap for each record that nobody can change; both in the operator's namespace."""

    plane: str
    namespace: str
    client: RestClient
    board: ClusterShipperBoard

    async def keyring(self) -> HeldKeyring | None:
        return await self.board.keyring(self.plane)

    async def keep_keyring(self, content: bytes, revision: str) -> None:
        await self.board.keep_keyring(self.plane, content, revision)

    async def register(self, record: ErasureRecord) -> str:
        from audit_operator.cluster.resources import CONFIG_MAP  # noqa: PLC0415 - see `opened`
        from audit_operator.controller.posting import asked, named  # noqa: PLC0415

        body = named(CONFIG_MAP, _file_name(record), self.namespace, COMPONENT)
        await asked(self.client.create(CONFIG_MAP, {**body, "immutable": True, "data": {RECORD_FILE: record.text()}}))
        return f"ConfigMap {self.namespace}/{_file_name(record)}"


@dataclass(frozen=True, slots=True)
class _Files:
    """A keyring, and a folder with a file for each record."""

    keys: Path
    folder: Path

    async def keyring(self) -> HeldKeyring | None:
        try:
            content = self.keys.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BoardUnavailable(f"{self.keys}: {error.strerror}") from error
        return HeldKeyring(_revision(content), content)

    async def keep_keyring(self, content: bytes, revision: str) -> None:
        held = await self.keyring()
        if held is None or held.revision != revision:
            raise BoardUnavailable(f"{self.keys} has changed meanwhile")
        try:
            write_atomically(self.keys, content)
        except OSError as error:
            raise BoardUnavailable(f"{self.keys}: {error.strerror}") from error

    async def register(self, record: ErasureRecord) -> str:
        path = self.folder / f"{_file_name(record)}.json"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(record.text())
        except OSError as error:
            raise BoardUnavailable(f"{path}: {error.strerror}") from error
        return str(path)


@asynccontextmanager
async def opened(options: argparse.Namespace, plane: str) -> AsyncIterator[Places]:
    """The places that the options name."""
    if options.keyring is not None:
        yield _Files(options.keyring, options.register)
        return
    # Imported here: the clients take a quarter of a second that other commands should not pay.
    from audit_operator.cluster.connection import ConnectionConfigError, connect  # noqa: PLC0415
    from audit_operator.cluster.rest import RestClient  # noqa: PLC0415
    from audit_operator.controller.shipper_board import ClusterShipperBoard  # noqa: PLC0415

    try:
        connection = await connect(kubeconfig_file(options), options.context)
    except ConnectionConfigError as error:
        raise UsageError(str(error)) from error
    try:
        client = RestClient(connection.session())
        board = ClusterShipperBoard(client, options.operator_namespace, _MANAGER)
        yield _Cluster(plane, options.operator_namespace, client, board)
    finally:
        await connection.aclose()


def _file_name(record: ErasureRecord) -> str:
    return f"audit-erasure-{record.id}-{record.phase.lower()}"


def _revision(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
