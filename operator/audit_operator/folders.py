"""Folders that a user names. What cannot be listed is an error here: pathlib passes it over, as if it were empty."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn


def files_under(path: str | Path) -> list[Path] | None:
    """All regular files in a folder and those below it, in the order of their names; None of what is no folder.

    Links to files are followed, and links to folders are not.

    Raises:
        OSError: a folder cannot be listed, or something in it not be looked at; `filename` says what.
    """
    if not Path(path).is_dir():
        return None
    found = [Path(folder, name) for folder, _, names in os.walk(path, onerror=_raise) for name in names]
    return sorted(each for each in found if each.is_file())


def _raise(error: OSError) -> NoReturn:
    raise error
