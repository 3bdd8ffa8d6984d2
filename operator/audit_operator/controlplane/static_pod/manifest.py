"""The static pod manifest of a kube-apiserver: what it says, and how its audit part is changed and nothing else.

The audit part is `OUR_FLAGS`, whoever has set them, and two volumes with their mounts, known by their names. Every
other byte stays as it is, comments and line ends included. After each edit the result is read anew, and it is proved
that nothing but the audit part differs.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from posixpath import dirname, normpath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from pydantic import ValidationError

from audit_operator.controlplane.static_pod import pod as pods
from audit_operator.controlplane.static_pod.audit_flags import (
    AUDIT_PREFIX,
    OUR_FLAGS,
    AuditConfiguration,
    GivenFlag,
    given_flags,
)
from audit_operator.controlplane.static_pod.block_yaml import (
    BlockSequence,
    BlockText,
    Edit,
    Item,
    UneditableError,
    scalar,
)
from audit_operator.policy.document import ProblemKind, parse_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from audit_operator.controlplane.static_pod.pod import Container, Pod, Volume, VolumeMount

POLICIES_VOLUME = "audit-operator-policies"
LOG_VOLUME = "audit-operator-log"
OUR_VOLUMES = (POLICIES_VOLUME, LOG_VOLUME)

_PROGRAM = "kube-apiserver"
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "busybox"})
_DEFAULT_PORT = "6443"
_DEFAULT_ADDRESS = "0.0.0.0"  # noqa: S104  # kube-apiserver's default, which is only read here
_DEFAULT_GRACE = 30
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # read, not bound


@dataclass(frozen=True, slots=True)
class ManifestProblem:
    """Why a manifest cannot be used. `line` counts from 1; 0 where unknown."""

    message: str
    line: int = 0

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class ManifestError(ValueError):
    """A manifest cannot be changed as asked; nothing was done.

    Attributes:
        problem: why.
    """

    def __init__(self, problem: ManifestProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says about its API server.

    Attributes:
        container: name of the container that runs it.
        image: of that container.
        flags: all flags and their values; of a repeated one, the value that counts. Names have no underscores.
        audit_flags: those that begin with ``--audit-``.
        secure_port: where it answers.
        bind_address: at which address.
        volumes: of the Pod.
        mounts: of the container.
        readiness_url: what the kubelet asks, as ``https://10.0.0.1:6443/readyz``; empty if it does not ask.
        liveness_url: the same for liveness.
        termination_grace_period: seconds that it has to stop.
    """

    container: str
    image: str
    flags: Mapping[str, str]
    secure_port: int
    bind_address: str
    volumes: tuple[Volume, ...]
    mounts: tuple[VolumeMount, ...]
    readiness_url: str
    liveness_url: str
    termination_grace_period: int

    @classmethod
    def parse(cls, text: str) -> Manifest | ManifestProblem:
        """Read a manifest that we are able to edit; or why it is none."""
        try:
            return _read(text).manifest
        except ManifestError as error:
            return error.problem

    @property
    def audit_flags(self) -> Mapping[str, str]:
        """Audit flags and their values, whoever has set them."""
        return MappingProxyType({name: value for name, value in self.flags.items() if name.startswith(AUDIT_PREFIX)})

    @property
    def loopback_address(self) -> str:
        """The address at which this node reaches it."""
        return _LOOPBACK.get(self.bind_address, self.bind_address)


def enrolled(text: str, configuration: AuditConfiguration, policies_host_folder: str) -> str:
    """Make a manifest say a configuration; the same text if it does so already.

    Flags that are there are given another value in their place; the others follow the last flag. The policies' folder
    is mounted under its own path, and so is the log's, unless a writable mount of somebody else holds it already.

    Raises:
        ManifestError: `Manifest.parse` has a problem with it, or something else is mounted where we need the place.
    """
    before = _read(text)
    result = _edited(before, _enrolment(before, configuration, policies_host_folder))
    after = _prove_untouched(before, result)
    if _enrolment(after, configuration, policies_host_folder):
        raise RuntimeError("the manifest does not say what was written into it")
    return result


def read_back(text: str, policies_host_folder: str) -> AuditConfiguration | None:
    """The configuration that a manifest says; None if any part of ours is missing, or is not as we would write it."""
    try:
        reading = _read(text)
        configuration = AuditConfiguration.from_flags(reading.manifest.flags)
        if configuration is None or _enrolment(reading, configuration, policies_host_folder):
            return None
    except ManifestError:
        return None
    return configuration


def with_audit_part_of(text: str, source_text: str) -> str:
    """Give a manifest the audit part of another one, or none if that has none.

    If the two differ in nothing else, the result is `source_text`, byte for byte. Otherwise each flag follows the one
    that it followed there.

    Raises:
        ManifestError: `Manifest.parse` has a problem with one of them.
    """
    before, source = _read(text), _read(source_text)
    if _skeleton(before) == _skeleton(source):
        return source_text
    result = _edited(before, _transplant(before, source))
    after = _prove_untouched(before, result)
    if _said_by_flags(after) != _said_by_flags(source):
        raise RuntimeError("the manifest does not have the flags that were written into it")
    return result


def host_path_of(text: str, path_in_container: str) -> str | None:
    """Where a path that the API server sees lies on the node; None if it lies on no folder of the node.

    Raises:
        ManifestError: `Manifest.parse` has a problem with it.
    """
    manifest = _read(text).manifest
    return pods.on_host(manifest.volumes, manifest.mounts, path_in_container)


# Reading


class _Argument(NamedTuple):
    """An argument of kube-apiserver: `sequence.items[place]`, where `key` is command or args."""

    key: str
    place: int
    value: str
    sequence: BlockSequence

    @property
    def item(self) -> Item:
        return self.sequence.items[self.place]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A manifest, and where everything stands."""

    block: BlockText
    value: dict[str, Any]
    pod: Pod
    place: int
    arguments: tuple[_Argument, ...]
    flags: tuple[GivenFlag, ...]
    manifest: Manifest

    @property
    def container(self) -> Container:
        return self.pod.spec.containers[self.place]

    @property
    def spec_node(self) -> yaml.MappingNode:
        return _mapping_at(self.block.root, "spec")

    @property
    def container_node(self) -> yaml.MappingNode:
        return _container_node(self.block.root, self.place)

    def arguments_of(self, flag: GivenFlag) -> tuple[_Argument, ...]:
        return self.arguments[flag.first : flag.end]

    def words_of(self, flag: GivenFlag) -> tuple[str, ...]:
        return tuple(argument.value for argument in self.arguments_of(flag))

    @property
    def ours(self) -> tuple[GivenFlag, ...]:
        return tuple(flag for flag in self.flags if flag.name in OUR_FLAGS)

    @property
    def used_elsewhere(self) -> frozenset[str]:
        """Volumes that other containers mount."""
        spec = self.pod.spec
        others = [*spec.init_containers, *spec.containers[: self.place], *spec.containers[self.place + 1 :]]
        return frozenset(mount.name for each in others for mount in each.volume_mounts)


def _read(text: str) -> _Reading:
    """Raises ManifestError."""
    value, pod = _pod(text)
    try:
        block = BlockText.of(text)
        place = _place(pod)
        container = pod.spec.containers[place]
        arguments = _arguments(block, _container_node(block.root, place), container)
        for mapping, key in (
            (_mapping_at(block.root, "spec"), "volumes"),
            (_container_node(block.root, place), "volumeMounts"),
        ):
            block.sequence(mapping, key)
    except UneditableError as error:
        raise ManifestError(ManifestProblem(error.message, error.line)) from None
    flags = tuple(given_flags([argument.value for argument in arguments]))
    if not flags:
        raise _problem(f"container {container.name} has no flags")
    for flag in flags:
        _refuse_unclear(flag, arguments[flag.first])
    manifest = _manifest(pod, container, {flag.name: flag.value for flag in flags})
    return _Reading(block, value, pod, place, arguments, flags, manifest)


def _pod(text: str) -> tuple[dict[str, Any], Pod]:
    """As the kubelet reads it (`tryDecodeSinglePod` in pkg/kubelet/config/common.go), which is as go-yaml does."""
    document = parse_document(text)
    for problem in document.problems:
        if problem.kind is not ProblemKind.FURTHER_DOCUMENT:
            raise _problem(problem.message, problem.line)
    if document.is_json:
        raise _problem("JSON cannot be edited; write the manifest as YAML in block style", 1)
    try:
        pod = pods.Pod.model_validate(document.value)
    except ValidationError as error:
        fault = error.errors()[0]
        path = ".".join(map(str, fault["loc"]))
        raise _problem(f"not a Pod: {path}: {fault['msg']}", document.line(fault["loc"])) from None
    value = document.value
    return (value if isinstance(value, dict) else {}), pod


def _place(pod: Pod) -> int:
    """Which container it is."""
    containers = pod.spec.containers
    named = [index for index, each in enumerate(containers) if each.name == _PROGRAM]
    running = [index for index, each in enumerate(containers) if any(map(_is_program, (*each.command, *each.args)))]
    found = named or running
    if len(found) != 1:
        raise UneditableError(f"{len(found)} containers run kube-apiserver, and there must be one")
    return found[0]


def _arguments(block: BlockText, node: yaml.MappingNode, container: Container) -> tuple[_Argument, ...]:
    """Everything after the program's name, which wrappers such as kOps' go-runner may stand before."""
    skipped = _words_before_arguments(container)
    found: list[_Argument] = []
    for key, values in (("command", container.command), ("args", container.args)):
        if len(values) > skipped:
            sequence = block.sequence(node, key)
            if sequence is not None:
                found += (
                    _Argument(key, index, value, sequence) for index, value in enumerate(values) if index >= skipped
                )
        skipped = max(0, skipped - len(values))
    return tuple(found)


def _words_before_arguments(container: Container) -> int:
    words = (*container.command, *container.args)
    if container.command and container.command[0].rpartition("/")[2] in _SHELLS:
        raise UneditableError(f"container {container.name} starts kube-apiserver through a shell; start it directly")
    if (program := next((index for index, word in enumerate(words) if _is_program(word)), None)) is not None:
        return program + 1
    if not container.command and words and words[0].startswith("--"):
        return 0  # the image's entry point is the program
    raise UneditableError(f"container {container.name} does not start kube-apiserver")


def _is_program(word: str) -> bool:
    return not word.startswith("-") and word.rpartition("/")[2] == _PROGRAM


def _refuse_unclear(flag: GivenFlag, argument: _Argument) -> None:
    line = argument.item.first + 1
    if flag.name == "--":
        raise _problem("flags end at an argument --", line)
    if flag.name.startswith(AUDIT_PREFIX) and "$(" in flag.value:
        raise _problem(f"the value of {flag.name} is made from an environment variable", line)


def _manifest(pod: Pod, container: Container, flags: dict[str, str]) -> Manifest:
    port = flags.get("--secure-port", _DEFAULT_PORT)
    if not port.isdecimal():
        raise _problem(f"--secure-port {port} is not a number")
    grace = pod.spec.termination_grace_period_seconds
    return Manifest(
        container=container.name,
        image=container.image,
        flags=MappingProxyType(flags),
        secure_port=int(port),
        bind_address=flags.get("--bind-address", _DEFAULT_ADDRESS),
        volumes=pod.spec.volumes,
        mounts=container.volume_mounts,
        readiness_url=container.url(container.readiness_probe),
        liveness_url=container.url(container.liveness_probe),
        termination_grace_period=_DEFAULT_GRACE if grace is None else grace,
    )


def _problem(message: str, line: int = 0) -> ManifestError:
    return ManifestError(ManifestProblem(message, line))


def _mapping_at(mapping: yaml.MappingNode, key: str) -> yaml.MappingNode:
    node = next((value for name, value in mapping.value if name.value == key), mapping)
    return _block_mapping(node, key)


def _container_node(root: yaml.MappingNode, place: int) -> yaml.MappingNode:
    spec = _mapping_at(root, "spec")
    containers = next(value for name, value in spec.value if name.value == "containers")
    return _block_mapping(containers.value[place], "the container")


def _block_mapping(node: yaml.Node, what: str) -> yaml.MappingNode:
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise UneditableError(f"{what} is not a mapping in block style", node.start_mark.line + 1)
    return node


# Planning edits


class _Wanted(NamedTuple):
    """An item as data, and its lines as they would stand at column 0."""

    value: dict[str, Any]
    lines: tuple[str, ...]


def _edited(reading: _Reading, edits: Iterable[Edit]) -> str:
    return reading.block.edited(edits)


def _enrolment(reading: _Reading, configuration: AuditConfiguration, folder: str) -> list[Edit]:
    """What is to be edited until a manifest says a configuration; nothing if it does."""
    log_folder = dirname(configuration.log.path)
    own_log = _needs_own_mount(reading, configuration.log.path)
    _refuse_mounts_at(reading, folder)
    volumes = {
        POLICIES_VOLUME: _volume(POLICIES_VOLUME, folder),
        LOG_VOLUME: _volume(LOG_VOLUME, log_folder) if own_log else None,
    }
    mounts = {
        POLICIES_VOLUME: _mount(POLICIES_VOLUME, folder, read_only=True),
        LOG_VOLUME: _mount(LOG_VOLUME, log_folder, read_only=False) if own_log else None,
    }
    return [
        *_flag_edits(reading, configuration.flags(folder)),
        *_mount_edits(reading, mounts),
        *_volume_edits(reading, volumes),
    ]


def _needs_own_mount(reading: _Reading, log_path: str) -> bool:
    """Whether nobody else has mounted the log's folder, writable and under its own path."""
    folder = dirname(log_path)
    foreign = [mount for mount in reading.container.volume_mounts if mount.name not in OUR_VOLUMES]
    if any(normpath(mount.mount_path) == log_path for mount in foreign):
        raise _problem(f"{log_path} is mounted as a single file, which cannot be rotated")
    cover = pods.covering(foreign, folder)
    if cover is None:
        return True
    if not cover.read_only and pods.on_host(reading.pod.spec.volumes, foreign, folder) == folder:
        return False
    if normpath(cover.mount_path) == folder:
        raise _problem(f"volume {cover.name} is mounted at {folder}, but not writable from the same folder of the node")
    return True


def _refuse_mounts_at(reading: _Reading, folder: str) -> None:
    for mount in reading.container.volume_mounts:
        if mount.name != POLICIES_VOLUME and pods.is_below(mount.mount_path, folder):
            raise _problem(f"volume {mount.name} is mounted at {mount.mount_path}, where policies have to be")


def _volume(name: str, folder: str) -> _Wanted:
    return _Wanted(
        {"name": name, "hostPath": {"path": folder, "type": "DirectoryOrCreate"}},
        ("- hostPath:", f"    path: {scalar(folder)}", "    type: DirectoryOrCreate", f"  name: {name}"),
    )


def _mount(name: str, folder: str, *, read_only: bool) -> _Wanted:
    value = {"name": name, "mountPath": folder}
    lines = (f"- mountPath: {scalar(folder)}", f"  name: {name}")
    if not read_only:
        return _Wanted(value, lines)
    return _Wanted({**value, "readOnly": True}, (*lines, "  readOnly: true"))


def _flag_edits(reading: _Reading, wanted: Mapping[str, str]) -> list[Edit]:
    """One occurrence of each flag stays in its place, the one that counts; missing ones follow the last flag."""
    given = {flag.name: flag for flag in reading.ours}
    repeated = [flag for flag in reading.ours if flag is not given[flag.name]]
    edits = []
    for name, value in wanted.items():
        flag = given.get(name)
        if flag is not None and flag.value != value:
            argument = reading.arguments_of(flag)[-1]
            text = value if flag.end - flag.first > 1 else f"{name}={value}"
            edits.append(reading.block.with_scalar(argument.item, text))
    last = reading.arguments_of(reading.flags[-1])[-1]
    missing = [f"{name}={value}" for name, value in wanted.items() if name not in given]
    if missing:
        edits.append(Edit(last.item.end, last.item.end, reading.block.like(last.item, missing)))
    return [*edits, *_flag_removals(reading, repeated, {last.key} if missing else set())]


def _flag_removals(reading: _Reading, removed: Iterable[GivenFlag], filled: set[str]) -> list[Edit]:
    """Remove flags; `filled` are the keys whose sequences get new ones."""
    edits: list[Edit] = []
    arguments = [argument for flag in removed for argument in reading.arguments_of(flag)]
    for key in ("command", "args"):
        there = [argument for argument in arguments if argument.key == key]
        if there:
            sequence = there[0].sequence
            emptied = len(there) == len(sequence.items) and key not in filled
            edits += _without(reading, sequence, [argument.item for argument in there], emptied=emptied)
    return edits


def _without(reading: _Reading, sequence: BlockSequence, removed: Sequence[Item], *, emptied: bool) -> list[Edit]:
    try:
        return reading.block.without(sequence, removed, emptied=emptied)
    except UneditableError as error:
        raise _problem(error.message, error.line) from None


def _volume_edits(reading: _Reading, wanted: Mapping[str, _Wanted | None]) -> list[Edit]:
    kept = {name: each for name, each in wanted.items() if each or name not in reading.used_elsewhere}
    return _named_edits(reading, reading.spec_node, "volumes", "containers", kept)


def _mount_edits(reading: _Reading, wanted: Mapping[str, _Wanted | None]) -> list[Edit]:
    return _named_edits(reading, reading.container_node, "volumeMounts", reading.arguments[-1].key, wanted)


def _named_edits(
    reading: _Reading, parent: yaml.MappingNode, key: str, neighbour: str, wanted: Mapping[str, _Wanted | None]
) -> list[Edit]:
    """Make items of a list what is wanted, or none; a list that is missing is put after its neighbour."""
    block = reading.block
    sequence = block.sequence(parent, key)
    if sequence is None:
        return _new_list(reading, parent, key, neighbour, [each for each in wanted.values() if each])
    there = _values_at(reading, key)
    removed: list[Item] = []
    edits: list[Edit] = []
    new: list[str] = []
    for name, item_wanted in wanted.items():
        found = [index for index, value in enumerate(there) if value.get("name") == name]
        removed += (sequence.items[index] for index in (found[1:] if item_wanted else found))
        if item_wanted is None:
            continue
        lines = _indented(item_wanted.lines, sequence.column)
        if not found:
            new += lines
        elif there[found[0]] != item_wanted.value:
            edits.append(Edit(sequence.items[found[0]].first, sequence.items[found[0]].end, tuple(lines)))
    if new:
        edits.append(Edit(sequence.items[-1].end, sequence.items[-1].end, tuple(new)))
    emptied = len(removed) == len(sequence.items) and not new
    return [*edits, *_without(reading, sequence, removed, emptied=emptied)]


def _new_list(
    reading: _Reading, parent: yaml.MappingNode, key: str, neighbour: str, wanted: Iterable[_Wanted]
) -> list[Edit]:
    like = reading.arguments[-1].sequence
    column = parent.start_mark.column
    lines = [line for each in wanted for line in _indented(each.lines, column + like.column - like.key_column)]
    if not lines:
        return []
    at = reading.block.end_of(parent, neighbour)
    return [Edit(at, at, (" " * column + f"{key}:", *lines))]


def _values_at(reading: _Reading, key: str) -> list[dict[str, Any]]:
    """Volumes of the Pod, or volumeMounts of the container, as data."""
    spec = reading.value["spec"]
    parent = spec if key == "volumes" else spec["containers"][reading.place]
    return parent.get(key) or []


def _indented(lines: Iterable[str], column: int) -> list[str]:
    return [" " * column + line if line else line for line in lines]


def _dedented(lines: Iterable[str], column: int) -> list[str]:
    return [line[column:] if not line[:column].strip() else line.lstrip(" ") for line in lines]


# The audit part of another manifest


def _transplant(target: _Reading, source: _Reading) -> list[Edit]:
    volumes = {name: _item_of(source, source.spec_node, "volumes", name) for name in OUR_VOLUMES}
    mounts = {name: _item_of(source, source.container_node, "volumeMounts", name) for name in OUR_VOLUMES}
    return [*_transplanted_flags(target, source), *_mount_edits(target, mounts), *_volume_edits(target, volumes)]


def _item_of(source: _Reading, parent: yaml.MappingNode, key: str, name: str) -> _Wanted | None:
    sequence = source.block.sequence(parent, key)
    for index, value in enumerate(_values_at(source, key) if sequence else ()):
        if sequence and value.get("name") == name:
            lines = source.block.written(sequence.items[index])
            return _Wanted(value, tuple(_dedented(lines, sequence.column)))
    return None


def _transplanted_flags(target: _Reading, source: _Reading) -> list[Edit]:
    edits, filled = [], set()
    preceding: list[GivenFlag] = []
    for flag in source.flags:
        if flag.name not in OUR_FLAGS:
            preceding.insert(0, flag)
            continue
        anchor = _anchor(target, source, preceding)
        beside = target.arguments_of(anchor or target.flags[0])[-1 if anchor else 0]
        line = beside.item.end if anchor else beside.item.first
        edits.append(Edit(line, line, _flag_lines(source, flag, target, beside)))
        filled.add(beside.key)
    return [*edits, *_flag_removals(target, target.ours, filled)]


def _anchor(target: _Reading, source: _Reading, preceding: Sequence[GivenFlag]) -> GivenFlag | None:
    """The flag behind which one belongs that has these before it in its own manifest, the nearest first."""
    there = {flag.name: flag for flag in target.flags if flag.name not in OUR_FLAGS}
    same = {target.words_of(flag): flag for flag in there.values()}
    for flag in preceding:
        if anchor := same.get(source.words_of(flag)) or there.get(flag.name):
            return anchor
    return None


def _flag_lines(source: _Reading, flag: GivenFlag, target: _Reading, beside: _Argument) -> tuple[str, ...]:
    lines: list[str] = []
    for argument in source.arguments_of(flag):
        written = source.block.written(argument.item)
        if len(written) == 1:
            lines += _indented([written[0].lstrip(" ")], beside.sequence.column)
        else:
            lines += target.block.like(beside.item, [argument.value])
    return tuple(lines)


# Proofs


def _skeleton(reading: _Reading) -> str:
    """The text without its audit part."""
    none = dict.fromkeys(OUR_VOLUMES)
    edits = [
        *_flag_removals(reading, reading.ours, set()),
        *_named_edits(reading, reading.spec_node, "volumes", "", none),
        *_named_edits(reading, reading.container_node, "volumeMounts", "", none),
    ]
    return _edited(reading, edits)


def _foreign(reading: _Reading) -> dict[str, Any]:
    """What it says, without its audit part."""
    value = deepcopy(reading.value)
    spec = value["spec"]
    container = spec["containers"][reading.place]
    ours = {(each.key, each.place) for flag in reading.ours for each in reading.arguments_of(flag)}
    for key in ("command", "args"):
        container[key] = [each for index, each in enumerate(container.get(key) or ()) if (key, index) not in ours]
    for parent, key in ((spec, "volumes"), (container, "volumeMounts")):
        parent[key] = [each for each in parent.get(key) or () if each["name"] not in OUR_VOLUMES]
    return value


def _said_by_flags(reading: _Reading) -> list[tuple[str, str]]:
    return sorted(((flag.name, flag.value) for flag in reading.ours), key=lambda each: each[0])


def _prove_untouched(before: _Reading, result: str) -> _Reading:
    """Read what was written. Raises RuntimeError if anything of others' has changed: that is a bug of this module."""
    try:
        after = _read(result)
    except ManifestError as error:
        raise RuntimeError(f"the manifest cannot be read after an edit: {error}") from error
    if _foreign(before) != _foreign(after) or _skeleton(before) != _skeleton(after):
        raise RuntimeError("an edit of the manifest has changed more than its audit part")
    return after
