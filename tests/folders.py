"""Folders that cannot be listed, also where tests run as root."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can list the folder any more."""
    scandir, listdir = os.scandir, os.listdir

    def refuse(path: object) -> None:
        if Path(str(path)) == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def scan(path: str = ".") -> object:
        refuse(path)
        return scandir(path)

    def listed(path: str = ".") -> list[str]:
        refuse(path)
        return listdir(path)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "listdir", listed)
