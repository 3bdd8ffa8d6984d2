"""Reading the static pod manifest of a kube-apiserver: what it says, and where in the text each part stands.

What it says is read as the kubelet reads it. A manifest whose flags do not stand one by one in the text, as behind a
shell, is refused: nobody could change one of them and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from pydantic import ValidationError

from audit_operator.controlplane.static_pod import pod as pods
from audit_operator.controlplane.static_pod.audit_flags import AUDIT_PREFIX, OUR_FLAGS, SWITCHES, GivenFlag, given_flags
from audit_operator.controlplane.static_pod.block_yaml import BlockSequence, BlockText, Item, UneditableError
from audit_operator.policy.document import ProblemKind, format_path, parse_document, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from audit_operator.controlplane.static_pod.pod import Container, Pod

_PROGRAM = "kube-apiserver"
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "busybox"})
_PORT_FLAG = "--secure-port"
_ADDRESS_FLAG = "--bind-address"
_DEFAULT_PORT = "6443"
_DEFAULT_ADDRESS = "0.0.0.0"  # noqa: S104  # kube-apiserver's default, which is only read here
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

    def __init__(self, message: str, line: int = 0) -> None:
        self.problem = ManifestProblem(message, line)
        super().__init__(str(self.problem))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says about its API server.

    Attributes:
        flags: all flags and their values; of a repeated one, the value that counts. Names have no underscores.
        secure_port: where it answers.
        bind_address: at which address.
    """

    flags: Mapping[str, str]
    secure_port: int
    bind_address: str

    @classmethod
    def parse(cls, text: str) -> Manifest | ManifestProblem:
        """Read a manifest that we are able to edit; or why it is none."""
        try:
            return read(text).manifest
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


class Argument(NamedTuple):
    """An argument of kube-apiserver: `sequence.items[place]`, where `key` is command or args."""

    key: str
    place: int
    value: str
    sequence: BlockSequence

    @property
    def item(self) -> Item:
        """Where it stands."""
        return self.sequence.items[self.place]


@dataclass(frozen=True, slots=True)
class Reading:
    """A manifest, and where everything stands.

    Attributes:
        block: the text.
        value: the Pod as plain data.
        pod: what of it matters.
        place: which of the containers runs kube-apiserver.
        spec_node: the Pod's spec in the text.
        container_node: that container in the text.
        volumes: `spec.volumes` in the text; None if there is no such key.
        mounts: `volumeMounts` of that container; None if there is no such key.
        arguments: what kube-apiserver is given, in order.
        flags: the same as flags; their positions count in `arguments`.
        manifest: what all that means.
    """

    block: BlockText
    value: dict[str, Any]
    pod: Pod
    place: int
    spec_node: yaml.MappingNode
    container_node: yaml.MappingNode
    volumes: BlockSequence | None
    mounts: BlockSequence | None
    arguments: tuple[Argument, ...]
    flags: tuple[GivenFlag, ...]
    manifest: Manifest

    @property
    def container(self) -> Container:
        """The container that runs kube-apiserver."""
        return self.pod.spec.containers[self.place]

    def arguments_of(self, flag: GivenFlag) -> tuple[Argument, ...]:
        """The one or two arguments that make up a flag."""
        return self.arguments[flag.first : flag.end]

    def words_of(self, flag: GivenFlag) -> tuple[str, ...]:
        """A flag as it is given."""
        return tuple(argument.value for argument in self.arguments_of(flag))

    @property
    def ours(self) -> tuple[GivenFlag, ...]:
        """Those of `OUR_FLAGS`, each as often as it is given."""
        return tuple(flag for flag in self.flags if flag.name in OUR_FLAGS)

    @property
    def used_elsewhere(self) -> frozenset[str]:
        """Names of volumes that other containers mount."""
        spec = self.pod.spec
        others = [*spec.init_containers, *spec.containers[: self.place], *spec.containers[self.place + 1 :]]
        return frozenset(mount.name for each in others for mount in each.volume_mounts)


def read(text: str) -> Reading:
    """Read a manifest that can be edited.

    Raises:
        ManifestError: it is none.
    """
    value, pod = _pod(text)
    try:
        return _located(BlockText.of(text), value, pod)
    except UneditableError as error:
        raise ManifestError(error.message, error.line) from None


def _located(block: BlockText, value: dict[str, Any], pod: Pod) -> Reading:
    place = _place(pod)
    container = pod.spec.containers[place]
    spec_node = _block_mapping(_at(block.root, "spec"), "spec")
    container_node = _block_mapping(_at(spec_node, "containers").value[place], "the container of kube-apiserver")
    arguments = _arguments(block, container_node, container)
    flags = tuple(given_flags([argument.value for argument in arguments]))
    if not flags:
        raise ManifestError(f"container {container.name} gives kube-apiserver no flags")
    _refuse_unclear(arguments, flags)
    return Reading(
        block=block,
        value=value,
        pod=pod,
        place=place,
        spec_node=spec_node,
        container_node=container_node,
        volumes=block.sequence(spec_node, "volumes"),
        mounts=block.sequence(container_node, "volumeMounts"),
        arguments=arguments,
        flags=flags,
        manifest=_manifest({flag.name: flag.value for flag in flags}),
    )


def _pod(text: str) -> tuple[dict[str, Any], Pod]:
    """As the kubelet reads it (`tryDecodeSinglePod` in pkg/kubelet/config/common.go), which is as go-yaml does."""
    document = parse_document(text)
    for problem in document.problems:
        if problem.kind is not ProblemKind.FURTHER_DOCUMENT:
            raise ManifestError(problem.message, problem.line)
    if document.is_json:
        raise ManifestError("JSON cannot be edited; write the manifest as YAML in block style", 1)
    try:
        pod = pods.Pod.model_validate(document.value)
    except ValidationError as error:
        fault = error.errors()[0]
        said = ": ".join(filter(None, ("not a Pod", format_path(fault["loc"]), fault["msg"])))
        raise ManifestError(said, document.line(fault["loc"])) from None
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


def _arguments(block: BlockText, node: yaml.MappingNode, container: Container) -> tuple[Argument, ...]:
    """Everything after the program's name, which wrappers such as kOps' go-runner may stand before."""
    skipped = _words_before_arguments(container)
    found: list[Argument] = []
    for key, values in (("command", container.command), ("args", container.args)):
        if len(values) > skipped:
            sequence = block.sequence(node, key)
            if sequence is not None:
                found += (
                    Argument(key, index, value, sequence) for index, value in enumerate(values) if index >= skipped
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


def _refuse_unclear(arguments: Sequence[Argument], flags: Iterable[GivenFlag]) -> None:
    read_as_flags: set[int] = set()
    for flag in flags:
        line = arguments[flag.first].item.first + 1
        if flag.name == "--":
            raise ManifestError("flags end at an argument --", line)
        if "$(" in flag.value and (flag.name.startswith(AUDIT_PREFIX) or flag.name == _ADDRESS_FLAG):
            raise ManifestError(f"the value of {flag.name} is made from an environment variable", line)
        alone = flag.end - flag.first == 1 and "=" not in arguments[flag.first].value
        if alone and flag.name.startswith(AUDIT_PREFIX) and flag.name not in SWITCHES:
            raise ManifestError(f"{flag.name} has no value", line)
        read_as_flags.update(range(flag.first, flag.end))
    for index, argument in enumerate(arguments):
        short = argument.value.startswith("-") or (index > 0 and arguments[index - 1].value.startswith("-v"))
        if index not in read_as_flags and argument.value and not short:
            raise ManifestError(f"argument {shorten(argument.value)} belongs to no flag", argument.item.first + 1)


def _manifest(flags: dict[str, str]) -> Manifest:
    port = flags.get(_PORT_FLAG, _DEFAULT_PORT)
    if not port.isdecimal():
        raise ManifestError(f"{_PORT_FLAG} {port} is not a number")
    return Manifest(
        flags=MappingProxyType(flags),
        secure_port=int(port),
        bind_address=flags.get(_ADDRESS_FLAG, _DEFAULT_ADDRESS),
    )


def _at(mapping: yaml.MappingNode, key: str) -> yaml.Node:
    """The value of a key, which is known to be there."""
    node: yaml.Node = next(value for name, value in mapping.value if name.value == key)
    return node


def _block_mapping(node: yaml.Node, what: str) -> yaml.MappingNode:
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise UneditableError(f"{what} is not a mapping in block style", node.start_mark.line + 1)
    return node
