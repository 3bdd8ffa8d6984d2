"""What of a Pod matters here: what its containers run, and which of the host's folders they see.

Field names are those of core/v1. Everything else that a Pod can say is left out.
"""

from __future__ import annotations

from posixpath import join, normpath, relpath
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Iterable

_T = TypeVar("_T")

# To Kubernetes, a list that is null is one that is empty.
_List = Annotated[tuple[_T, ...], BeforeValidator(lambda value: () if value is None else value)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class HostPath(_Part):
    """A file or folder of the node."""

    path: str
    type: str | None = None


class Volume(_Part):
    """A volume; `host_path` is None for one of another kind."""

    name: str
    host_path: HostPath | None = None


class VolumeMount(_Part):
    """Where a container sees a volume."""

    name: str
    mount_path: str
    read_only: bool = False
    sub_path: str = ""
    sub_path_expr: str = ""


class Container(_Part):
    """A container."""

    name: str
    command: _List[str] = ()
    args: _List[str] = ()
    volume_mounts: _List[VolumeMount] = ()


class PodSpec(_Part):
    """What runs, and what it is given."""

    containers: _List[Container]
    init_containers: _List[Container] = ()
    volumes: _List[Volume] = ()


class Pod(_Part):
    """A Pod."""

    kind: Literal["Pod"]
    spec: PodSpec


def covering(mounts: Iterable[VolumeMount], path: str) -> VolumeMount | None:
    """The mount in which a path of the container lies: the deepest of those that hold it."""
    holding = (each for each in mounts if is_below(path, each.mount_path))
    return max(holding, key=lambda each: len(normpath(each.mount_path)), default=None)


def on_host(volumes: Iterable[Volume], mounts: Iterable[VolumeMount], path: str) -> str | None:
    """Where a path of the container lies on the node; None if it lies on no volume of the node, or nobody can say."""
    mount = covering(mounts, path)
    if mount is None or mount.sub_path_expr:
        return None
    host_path = next((each.host_path for each in volumes if each.name == mount.name), None)
    if host_path is None:
        return None
    return normpath(join(host_path.path, mount.sub_path, relpath(path, mount.mount_path)))


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder, or lies in it."""
    return (normpath(path) + "/").startswith(normpath(folder).rstrip("/") + "/")
