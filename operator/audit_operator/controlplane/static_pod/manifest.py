"""The static pod manifest of a kube-apiserver: what it says, and how its audit part is changed and nothing else.

The audit part is `OUR_FLAGS`, whoever has set them, and two volumes with their mounts, known by their names. Every
other byte stays as it is, comments and line ends included. After each edit the result is read anew, and it is proved
that nothing but the audit part differs.
"""

from __future__ import annotations

from copy import deepcopy
from posixpath import dirname, normpath
from typing import TYPE_CHECKING, Any, NamedTuple

from audit_operator.controlplane.static_pod import pod as pods
from audit_operator.controlplane.static_pod.audit_flags import OUR_FLAGS, AuditConfiguration
from audit_operator.controlplane.static_pod.block_yaml import BlockSequence, Edit, Item, scalar
from audit_operator.controlplane.static_pod.manifest_reading import (
    Argument,
    Manifest,
    ManifestError,
    ManifestProblem,
    Reading,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import yaml

    from audit_operator.controlplane.static_pod.audit_flags import GivenFlag

__all__ = [
    "LOG_VOLUME",
    "OUR_VOLUMES",
    "POLICIES_VOLUME",
    "Manifest",
    "ManifestError",
    "ManifestProblem",
    "enrolled",
    "read_back",
    "with_audit_part_of",
]

POLICIES_VOLUME = "audit-operator-policies"
LOG_VOLUME = "audit-operator-log"
OUR_VOLUMES = (POLICIES_VOLUME, LOG_VOLUME)


def enrolled(text: str, configuration: AuditConfiguration, policies_host_folder: str) -> str:
    """Make a manifest say a configuration; the same text if it does so already.

    Flags that are there are given another value in their place; the others follow the last flag. The policies' folder
    is mounted under its own path, and so is the log's, unless a writable mount of somebody else holds it already.

    Raises:
        ManifestError: `Manifest.parse` has a problem with it, or something else is mounted where we need the place.
    """
    before = read(text)
    result = before.block.edited(_enrolment(before, configuration, policies_host_folder))
    after = _prove_untouched(before, result)
    if _enrolment(after, configuration, policies_host_folder):
        raise RuntimeError("the manifest does not say what was written into it")
    return result


def read_back(text: str, policies_host_folder: str) -> AuditConfiguration | None:
    """The configuration that a manifest says; None if any part of ours is missing, or is not as we would write it."""
    try:
        reading = read(text)
        configuration = AuditConfiguration.from_flags(reading.manifest.flags)
        if configuration is None or _enrolment(reading, configuration, policies_host_folder):
            return None
    except ManifestError:
        return None
    return configuration


def with_audit_part_of(text: str, source_text: str) -> str:
    """Give a manifest the audit part of another one, or none if that has none.

    If the two differ in nothing else, the result is `source_text`, byte for byte. Otherwise each flag takes the place
    of its namesake, or follows the flag that it followed there. A volume that other containers have come to mount
    stays: without it the Pod would be invalid.

    Raises:
        ManifestError: `Manifest.parse` has a problem with one of them.
    """
    before, source = read(text), read(source_text)
    if _skeleton(before) == _skeleton(source):
        return source_text
    result = before.block.edited(_transplant(before, source))
    after = _prove_untouched(before, result)
    if _said_by_flags(after) != _said_by_flags(source):
        raise RuntimeError("the manifest does not have the flags that were written into it")
    return result


# Planning edits


class _Wanted(NamedTuple):
    """An item as data, and its lines as they would stand at column 0."""

    value: dict[str, Any]
    lines: tuple[str, ...]


def _enrolment(reading: Reading, configuration: AuditConfiguration, folder: str) -> list[Edit]:
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


def _needs_own_mount(reading: Reading, log_path: str) -> bool:
    """Whether nobody else has mounted the log's folder, writable and under its own path."""
    folder = dirname(log_path)
    foreign = [mount for mount in reading.container.volume_mounts if mount.name not in OUR_VOLUMES]
    if any(normpath(mount.mount_path) == log_path for mount in foreign):
        raise ManifestError(f"{log_path} is mounted as a single file, which cannot be rotated")
    cover = pods.covering(foreign, folder)
    if cover is None:
        return True
    if not cover.read_only and pods.on_host(reading.pod.spec.volumes, foreign, folder) == folder:
        return False
    if normpath(cover.mount_path) == folder:
        raise ManifestError(
            f"volume {cover.name} is mounted at {folder}, but not writable from the same folder of the node"
        )
    return True


def _refuse_mounts_at(reading: Reading, folder: str) -> None:
    for mount in reading.container.volume_mounts:
        if mount.name != POLICIES_VOLUME and pods.is_below(mount.mount_path, folder):
            raise ManifestError(f"volume {mount.name} is mounted at {mount.mount_path}, where policies have to be")


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


def _flag_edits(reading: Reading, wanted: Mapping[str, str]) -> list[Edit]:
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


def _flag_removals(reading: Reading, flags: Iterable[GivenFlag], filled: set[str]) -> list[Edit]:
    return _argument_removals(reading, [each for flag in flags for each in reading.arguments_of(flag)], filled)


def _argument_removals(reading: Reading, removed: Sequence[Argument], filled: set[str]) -> list[Edit]:
    """Take arguments out; `filled` are the keys whose sequences get new ones."""
    edits: list[Edit] = []
    for key in ("command", "args"):
        there = [argument for argument in removed if argument.key == key]
        if there:
            sequence = there[0].sequence
            emptied = len(there) == len(sequence.items) and key not in filled
            edits += reading.block.without(sequence, [argument.item for argument in there], emptied=emptied)
    return edits


def _volume_edits(reading: Reading, wanted: Mapping[str, _Wanted | None]) -> list[Edit]:
    kept = {name: each for name, each in wanted.items() if each or name not in reading.used_elsewhere}
    if reading.volumes is None:
        return _new_list(reading, reading.spec_node, "volumes", "containers", kept)
    return _list_edits(reading, reading.volumes, _volumes(reading), kept)


def _mount_edits(reading: Reading, wanted: Mapping[str, _Wanted | None]) -> list[Edit]:
    if reading.mounts is None:
        return _new_list(reading, reading.container_node, "volumeMounts", reading.arguments[-1].key, wanted)
    return _list_edits(reading, reading.mounts, _mounts(reading), wanted)


def _volumes(reading: Reading) -> list[dict[str, Any]]:
    """Volumes of the Pod as plain data."""
    return reading.value["spec"].get("volumes") or []


def _mounts(reading: Reading) -> list[dict[str, Any]]:
    """Mounts of the container as plain data."""
    return reading.value["spec"]["containers"][reading.place].get("volumeMounts") or []


def _list_edits(
    reading: Reading, sequence: BlockSequence, there: list[dict[str, Any]], wanted: Mapping[str, _Wanted | None]
) -> list[Edit]:
    """Make the items with these names what is wanted, or take them out; new ones follow the last."""
    removed: list[Item] = []
    edits: list[Edit] = []
    new: list[str] = []
    for name, each in wanted.items():
        found = [item for item, value in zip(sequence.items, there, strict=True) if value["name"] == name]
        removed += found[1:] if each else found
        lines = _indented(each.lines, sequence.column) if each else []
        if not found:
            new += lines
        elif each and there[sequence.items.index(found[0])] != each.value:
            edits.append(Edit(found[0].first, found[0].end, tuple(lines)))
    if new:
        edits.append(Edit(sequence.items[-1].end, sequence.items[-1].end, tuple(new)))
    emptied = len(removed) == len(sequence.items) and not new
    return [*edits, *reading.block.without(sequence, removed, emptied=emptied)]


def _new_list(
    reading: Reading, parent: yaml.MappingNode, key: str, neighbour: str, wanted: Mapping[str, _Wanted | None]
) -> list[Edit]:
    """A list with what is wanted, behind another key, indented as the flags are; nothing for nothing."""
    like = reading.arguments[-1].sequence
    column = parent.start_mark.column
    items = [_indented(each.lines, column + like.column - like.key_column) for each in wanted.values() if each]
    if not items:
        return []
    at = reading.block.end_of(parent, neighbour)
    return [Edit(at, at, (" " * column + f"{key}:", *(line for lines in items for line in lines)))]


def _indented(lines: Iterable[str], column: int) -> list[str]:
    return [" " * column + line if line else line for line in lines]


def _dedented(lines: Iterable[str], column: int) -> list[str]:
    return [line[column:] if not line[:column].strip() else line.lstrip(" ") for line in lines]


# The audit part of another manifest


def _transplant(target: Reading, source: Reading) -> list[Edit]:
    if len(target.ours) == len(target.flags) and not source.ours:
        raise ManifestError("kube-apiserver would be left without any flag")
    mounts = _found(source, source.mounts, _mounts(source))
    if not any(mounts.values()) and _only_ours(target) and target.container_node.value[0][0].value == "volumeMounts":
        raise ManifestError("volumeMounts, the first key of its container, would be left without any item")
    return [
        *_transplanted_flags(target, source),
        *_mount_edits(target, mounts),
        *_volume_edits(target, _found(source, source.volumes, _volumes(source))),
    ]


def _only_ours(reading: Reading) -> bool:
    return all(mount.name in OUR_VOLUMES for mount in reading.container.volume_mounts)


def _found(source: Reading, sequence: BlockSequence | None, there: list[dict[str, Any]]) -> dict[str, _Wanted | None]:
    """What of ours is in a list, by name."""
    found: dict[str, _Wanted | None] = dict.fromkeys(OUR_VOLUMES)
    if sequence is not None:
        for item, value in zip(sequence.items, there, strict=True):
            if value["name"] in OUR_VOLUMES:
                found[value["name"]] = _Wanted(value, tuple(_dedented(source.block.written(item), sequence.column)))
    return found


def _transplanted_flags(target: Reading, source: Reading) -> list[Edit]:
    """A flag takes the place of its namesake, or follows the flag that it followed; repeated ones stay together."""
    there = {flag.name: flag for flag in target.ours}
    edits: list[Edit] = []
    filled: set[str] = set()
    replaced: list[Argument] = []
    for name in dict.fromkeys(flag.name for flag in source.ours):
        if namesake := there.get(name):
            place = target.arguments_of(namesake)[0]
            first, end = place.item.first, place.item.end
            replaced.append(place)
        else:
            anchor = _anchor(target, source, name)
            place = target.arguments_of(anchor or target.flags[0])[-1 if anchor else 0]
            first = end = place.item.end if anchor else place.item.first
            filled.add(place.key)
        edits.append(Edit(first, end, _flag_lines(source, name, place.sequence.column)))
    removed = [each for flag in target.ours for each in target.arguments_of(flag) if each not in replaced]
    return [*edits, *_argument_removals(target, removed, filled)]


def _anchor(target: Reading, source: Reading, name: str) -> GivenFlag | None:
    """The flag of the target that is nearest before the one of this name in the source; None if there is none."""
    there = {flag.name: flag for flag in target.flags if flag.name not in OUR_FLAGS}
    same = {target.words_of(flag): flag for flag in there.values()}
    last = max(index for index, flag in enumerate(source.flags) if flag.name == name)
    for flag in reversed(source.flags[:last]):
        if anchor := same.get(source.words_of(flag)) or there.get(flag.name):
            return anchor
    return None


def _flag_lines(source: Reading, name: str, column: int) -> tuple[str, ...]:
    """All occurrences of a flag, as they are written, with their dashes in this column."""
    arguments = [each for flag in source.flags if flag.name == name for each in source.arguments_of(flag)]
    lines = (_dedented(source.block.written(each.item), each.sequence.column) for each in arguments)
    return tuple(_indented((line for each in lines for line in each), column))


# Proofs


def _skeleton(reading: Reading) -> str:
    """The text without its audit part."""
    edits = _flag_removals(reading, reading.ours, set())
    for sequence, there in ((reading.mounts, _mounts(reading)), (reading.volumes, _volumes(reading))):
        if sequence is not None:
            edits += _list_edits(reading, sequence, there, dict.fromkeys(OUR_VOLUMES))
    return reading.block.edited(edits)


def _foreign(reading: Reading) -> dict[str, Any]:
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


def _said_by_flags(reading: Reading) -> list[tuple[str, str]]:
    return sorted(((flag.name, flag.value) for flag in reading.ours), key=lambda each: each[0])


def _prove_untouched(before: Reading, result: str) -> Reading:
    """Read what was written. Raises RuntimeError if anything of others' has changed: that is a bug of this module."""
    try:
        after = read(result)
    except ManifestError as error:
        raise RuntimeError(f"the manifest cannot be read after an edit: {error}") from error
    if _foreign(before) != _foreign(after) or _skeleton(before) != _skeleton(after):
        raise RuntimeError("an edit of the manifest has changed more than its audit part")
    return after
