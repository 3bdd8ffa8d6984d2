"""What matters of a pod for its sidecars: little enough to keep it of every pod in a large namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.shipping.injection.names import COMMAND, INJECT, LOGS_FOLDER, PREFIX, REVISIONS, places_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Document = Mapping[str, Any]

MIRROR = "kubernetes.io/config.mirror"
_FILLED_BY_THE_API_SERVER = ("secret", "configMap", "projected", "downwardAPI")


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of a pod."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Carried:
    """A container of a pod that bears a sidecar's name.

    Attributes:
        name: its name.
        image: its image.
        revision: of the template it was made from; empty where the pod does not say.
        volumes: volumes of the pod whose log files it reads.
        is_sidecar: whether it is an init container that goes on running.
        is_whole: whether its command and the places of its own volumes are those of a sidecar, whatever its image.
    """

    name: str
    image: str
    revision: str
    volumes: frozenset[str]
    is_sidecar: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    Attributes:
        created: when, RFC 3339.
        labels: its labels.
        opted_out: whether it asks not to be injected.
        can_run: whether a Linux container can be added to it at all.
        has_resources: whether it has resources as a whole, of which each of its containers takes a part (KEP-2837).
        volumes: names of the volumes that can hold log files, in order.
        reserved: names of its volumes that begin as those of sidecars do.
        carried: its containers that bear names of sidecars.
        owner: its controller.
        address: its own in the cluster's network; empty where it has none, or that of its node.
        alive: whether it has neither ended nor is about to be deleted.
    """

    namespace: str
    name: str
    uid: str
    created: str
    labels: Mapping[str, str]
    opted_out: bool
    can_run: bool
    has_resources: bool
    volumes: tuple[str, ...]
    reserved: frozenset[str]
    carried: tuple[Carried, ...]
    owner: Owner | None
    alive: bool
    address: str = ""


def pod_of(document: Document, namespace: str = "") -> Pod:
    """Read a pod; `namespace` is that of the request where the document does not say (while it is being created)."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    volumes = [each["name"] for each in spec.get("volumes") or ()]
    return Pod(
        namespace=metadata.get("namespace") or namespace,
        name=metadata.get("name") or metadata.get("generateName") or "",
        uid=metadata.get("uid", ""),
        created=metadata.get("creationTimestamp") or "",
        labels=dict(labels),
        opted_out="false" in (labels.get(INJECT), annotations.get(INJECT)),
        can_run=_is_for_linux(spec) and MIRROR not in annotations,
        has_resources=spec.get("resources") is not None,
        volumes=tuple(_collectable(spec)),
        reserved=frozenset(each for each in volumes if each.startswith(PREFIX)),
        carried=tuple(_carried(spec, annotations)),
        owner=_owner(metadata),
        alive=not metadata.get("deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed"),
        address=_address(spec, status),
    )


def _address(spec: Document, status: Document) -> str:
    own: str = status.get("podIP") or ""
    return "" if spec.get("hostNetwork") or own == status.get("hostIP") else own


def _is_for_linux(spec: Document) -> bool:
    """As far as `os` and the node selector say; an affinity that leads to Windows alone is not looked at."""
    names = (spec.get("os") or {}).get("name"), (spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    return all(each in (None, "linux") for each in names)


def containers(spec: Document) -> Iterator[Document]:
    """Containers and init containers."""
    yield from spec["containers"]
    yield from spec.get("initContainers") or ()


def _collectable(spec: Document) -> Iterator[str]:
    """Neither what the API server fills, nor block devices, nor what other sidecars keep."""
    devices = {device["name"] for each in containers(spec) for device in each.get("volumeDevices") or ()}
    for volume in spec.get("volumes") or ():
        name = volume["name"]
        if not (name in devices or name.startswith(PREFIX) or any(key in volume for key in _FILLED_BY_THE_API_SERVER)):
            yield name


def _carried(spec: Document, annotations: Mapping[str, str]) -> Iterator[Carried]:
    for each in containers(spec):
        name = each["name"]
        if name.startswith(PREFIX):
            policy, mounts = name.removeprefix(PREFIX), each.get("volumeMounts") or ()
            yield Carried(
                name=name,
                image=each.get("image", ""),
                revision=annotations.get(REVISIONS + policy, ""),
                volumes=frozenset(
                    mount["name"] for mount in mounts if mount["mountPath"] == f"{LOGS_FOLDER}/{mount['name']}"
                ),
                is_sidecar=each.get("restartPolicy") == "Always",
                is_whole=tuple(each.get("command") or ()) == COMMAND
                and places_of(policy).items() <= {(mount["name"], mount["mountPath"]) for mount in mounts},
            )


def _owner(metadata: Document) -> Owner | None:
    for each in metadata.get("ownerReferences") or ():
        if each.get("controller"):
            return Owner(each["kind"], each["name"], each["uid"])
    return None
