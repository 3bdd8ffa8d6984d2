"""Where seals are kept: written once, and never again under the same name.

A chain has a folder of its own. Seals are named by their number, so that of two sealers at work at once one is refused;
lists by their digest, so that one which was left behind without its seal harms nobody.
"""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from audit_operator.sinks.access import failure
from audit_operator.sinks.store import Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from audit_operator.integrity.seal import Scope

_SEAL = re.compile(r"([0-9]{12})\.json")


class SealArchive(Protocol):
    """The folder of one chain. No call raises for what the store, a disk or a user does."""

    async def numbers(self) -> tuple[int, ...] | Failure:
        """Of the seals that are there, in order."""

    async def read(self, name: str) -> bytes | Failure | None:
        """One object; None where there is none."""

    async def add(self, name: str, content: bytes) -> bool | Failure:
        """Keep an object; False where there is one of that name already."""


def seal_name(number: int) -> str:
    """Name of a seal."""
    return f"{number:012d}.json"


def list_name(digest: str) -> str:
    """Name of the list with this digest."""
    return f"{digest}.jsonl.gz"


def folder_of(scope: Scope) -> str:
    """Folder of a chain, in any archive; the parts are labelled, since a value may be ``..``."""
    values = {"sink": scope.sink, "cluster": scope.cluster, "namespace": scope.namespace}
    return "/".join(f"{name}={quote(value, safe='')}" for name, value in values.items() if value)


def numbers_in(names: Iterable[str]) -> tuple[int, ...]:
    """Numbers of the seals among objects of these names, in order."""
    return tuple(sorted(int(found[1]) for each in names if (found := _SEAL.fullmatch(each))))


@dataclass(frozen=True, slots=True)
class FolderArchive:
    """A folder on this machine; what makes it immutable is up to whoever mounts it."""

    folder: Path

    async def numbers(self) -> tuple[int, ...] | Failure:
        """See `SealArchive`."""
        try:
            return numbers_in(await asyncio.to_thread(lambda: [each.name for each in self.folder.iterdir()]))
        except FileNotFoundError:
            return ()
        except OSError as error:
            return _unusable(error)

    async def read(self, name: str) -> bytes | Failure | None:
        """See `SealArchive`."""
        try:
            return await asyncio.to_thread((self.folder / name).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            return _unusable(error)

    async def add(self, name: str, content: bytes) -> bool | Failure:
        """See `SealArchive`."""
        try:
            await asyncio.to_thread(self._add, name, content)
        except FileExistsError:
            return False
        except OSError as error:
            return _unusable(error)
        return True

    def _add(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f".{uuid.uuid4()}"
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # A link, and not a rename: that would replace what is there.
            (self.folder / name).hardlink_to(beside)
        finally:
            beside.unlink(missing_ok=True)


def _unusable(error: OSError) -> Failure:
    return failure(Reason.ARCHIVE_UNUSABLE, f"the folder of the seals cannot be used: {error.strerror}")
