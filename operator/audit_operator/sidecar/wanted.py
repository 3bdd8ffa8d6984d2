"""What the operator wants of this sidecar, as a ConfigMap and a Secret bring it, each in its own time."""

from __future__ import annotations

import json
import os
import re
from binascii import a2b_base64
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

TYPE_CHECKING = False  # as typing has it; to import that costs half a megabyte
if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_FILE, SECRET_FILE, FIGURES_FILE = "config.yaml", "sidecar.json", "figures.json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration, and what belongs to it.

    Attributes:
        config: text of the collector's configuration; empty if there is none yet.
        files: credentials by their path below the folder of credentials.
        environment: further variables for the collector.
    """

    config: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def read(config: Path, secret: Path) -> Wanted:
    """What is there now. A Secret that cannot be read counts as one that is not there."""
    content: dict[str, dict[str, str]] = {}
    with suppress(ValueError, AttributeError):
        content = dict(json.loads(_text(secret / SECRET_FILE) or "{}"))
    files = {path: a2b_base64(text) for path, text in content.get("files", {}).items() if _is_below(path)}
    return Wanted(_text(config / CONFIG_FILE), files, content.get("environment", {}))


def asked(config: Path) -> str:
    """What the operator says of asking for figures; empty if it says nothing."""
    return _text(config / FIGURES_FILE)


def missing(config: str, folder: Path) -> tuple[str, ...]:
    """Credentials that a configuration names and that are not laid out yet."""
    named = set(re.findall(re.escape(str(folder)) + r"/[A-Za-z0-9._/-]+", config))
    return tuple(sorted(each for each in named if not Path(each).exists()))


def lay_out(files: Mapping[str, bytes], folder: Path) -> None:
    """Write credentials where configurations name them; whoever reads one sees all of it or nothing."""
    for path, content in files.items():
        target = folder / path
        if target.exists() and target.read_bytes() == content:
            continue
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(target, content)


def clear_out(config: str, folder: Path) -> None:
    """Delete credentials that the configuration in use does not name."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and str(path) not in config:
            path.unlink(missing_ok=True)
        elif path.is_dir() and not any(path.iterdir()):
            with suppress(OSError):
                path.rmdir()


def write(path: Path, content: bytes) -> None:
    """Replace a file in one step."""
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _is_below(path: str) -> bool:
    parts = Path(path).parts
    return bool(parts) and not Path(path).is_absolute() and ".." not in parts
