"""What can be asked of an API server, whoever asks and wherever: a verb on a resource, or a method on a path.

Coverage asks thousands of policies about thousands of requests. Requests differ in who sends them, where, and in what
is asked; the last is the same for every policy. So each operation of a catalogue is one bit of an integer, and a rule
becomes the set of bits that it matches: a policy of 30 rules is then evaluated for all operations at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.policy.evaluate import url_matches
from audit_operator.policy.model import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.policy.model import GroupResources, Rule, User

CONNECT = frozenset({"attach", "exec", "portforward", "proxy"})
"""Subresources whose requests become a stream or another server's request: the event never has a body."""

_NAMED_VERBS = frozenset({"get", "update", "patch", "delete"})
_WHOLE_GROUP = "*"
_WRITING_VERBS = frozenset({"create", "update", "patch"})


@dataclass(frozen=True, slots=True)
class Operation:
    """A verb on a resource, or a method on a path.

    Attributes:
        in_namespace: whether the request has a namespace. A list of pods has one or has none (across all namespaces):
            two operations. So have requests that name a Namespace object: it is its own namespace
            (`pkg/endpoints/request/requestinfo.go`).
        is_across_namespaces: whether it is a list or watch of a namespaced resource without a namespace.
        path: of a non-resource request, else empty.
    """

    verb: str
    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    in_namespace: bool = False
    is_across_namespaces: bool = False
    path: str = ""

    @property
    def is_named(self) -> bool:
        """Whether the URL holds the name of an object. That of a create does not, unless it is for a subresource."""
        return bool(self.resource) and (self.verb in _NAMED_VERBS or (self.verb == "create" and bool(self.subresource)))

    @property
    def is_on_namespace(self) -> bool:
        """Whether the object is a Namespace, whose name is the namespace of the request."""
        return self.in_namespace and self.resource == "namespaces" and not self.api_group

    @property
    def has_request_body(self) -> bool:
        """Whether events from level Request hold an object that the user wrote. Options of a delete do not count."""
        return bool(self.resource) and self.subresource not in CONNECT and self.verb in _WRITING_VERBS

    @property
    def has_response_body(self) -> bool:
        """Whether events at level RequestResponse hold objects. Watches and logs are streamed and not recorded."""
        return bool(self.resource) and self.subresource not in CONNECT | {"log"} and self.verb != "watch"

    @property
    def target(self) -> str:
        """What it is done to: ``pods/exec``, ``deployments.apps``, ``/metrics``."""
        if self.path:
            return self.path
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{name}.{self.api_group}" if self.api_group else name

    def request(self, user: User | None, namespace: str, name: str) -> Request:
        """The request of a user, in a namespace, for an object of that name; what does not apply is left out."""
        if self.path:
            return Request(user, self.verb, resource_request=False, path=self.path)
        namespace = namespace if self.in_namespace else ""
        return Request(
            user,
            self.verb,
            resource_request=True,
            api_group=self.api_group,
            namespace=namespace,
            resource=self.resource,
            subresource=self.subresource,
            name=namespace if self.is_on_namespace else name if self.is_named else "",
        )


@dataclass(frozen=True, slots=True)
class RuleMask:
    """The operations that a rule matches, as far as they depend on neither user nor namespace.

    Attributes:
        always: whatever the name of the object is.
        by_name: only for requests with one of the names.
    """

    always: int
    by_name: tuple[tuple[frozenset[str], int], ...] = ()


class Operations:
    """A list of distinct operations; bit i of every mask stands for the i-th."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._all = tuple(dict.fromkeys(operations))
        self._bits = {operation: 1 << position for position, operation in enumerate(self._all)}
        self.in_namespace = self.where(lambda operation: operation.in_namespace)
        self.without_namespace = self.where(lambda operation: not operation.in_namespace)
        self.on_namespaces = self.where(lambda operation: operation.is_on_namespace)
        self.named = self.where(lambda operation: operation.is_named)
        self.with_request_body = self.where(lambda operation: operation.has_request_body)
        self.with_response_body = self.where(lambda operation: operation.has_response_body)
        self._resources = self.where(lambda operation: not operation.path)
        self._everything = self.where(lambda _: True)
        self._by_verb: dict[str, int] = {}
        self._by_spelling: dict[tuple[str, str], int] = {}
        for operation, bit in self._bits.items():
            self._by_verb[operation.verb] = self._by_verb.get(operation.verb, 0) | bit
            for key in _spellings(operation):
                self._by_spelling[key] = self._by_spelling.get(key, 0) | bit

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._all)

    def mask(self, operations: Iterable[Operation]) -> int:
        """The bits of some of the operations."""
        mask = 0
        for operation in operations:
            mask |= self._bits[operation]
        return mask

    def members(self, mask: int) -> Iterator[Operation]:
        """The operations of a mask, in the order of the list."""
        while mask:
            lowest = mask & -mask
            yield self._all[lowest.bit_length() - 1]
            mask ^= lowest

    def rule_mask(self, rule: Rule) -> RuleMask:
        """What a rule matches: `rule_matches` of the evaluator for all operations at once."""
        verbs = self._everything
        if rule.verbs:
            verbs = 0
            for verb in rule.verbs:
                verbs |= self._by_verb.get(verb, 0)
        if rule.resources:
            always, by_name = 0, []
            for entry in rule.resources:
                mask = self._entry_mask(entry) & verbs
                if entry.resources and entry.resource_names:
                    by_name.append((frozenset(entry.resource_names), mask))
                else:
                    always |= mask
            return RuleMask(always, tuple(by_name))
        if rule.namespaces:
            return RuleMask(self._resources & verbs)
        if rule.non_resource_urls:
            urls = 0
            for url in rule.non_resource_urls:
                urls |= self._url_mask(url)
            return RuleMask(urls & verbs)
        return RuleMask(verbs)

    def matching(self, mask: RuleMask, namespace: str, name: str) -> int:
        """The operations that a rule matches for an object of that name, or for the Namespace itself."""
        matching = mask.always
        for names, operations in mask.by_name:
            if name in names:
                matching |= operations & self.named & ~self.on_namespaces
            if namespace in names:
                matching |= operations & self.on_namespaces
            if "" in names:
                matching |= operations & ~self.named
        return matching

    def where(self, condition: Callable[[Operation], bool]) -> int:
        """The operations that satisfy a condition."""
        return self.mask(operation for operation in self._all if condition(operation))

    def _entry_mask(self, entry: GroupResources) -> int:
        mask = 0
        for spelling in entry.resources or (_WHOLE_GROUP,):
            mask |= self._by_spelling.get((entry.group, spelling), 0)
        return mask

    def _url_mask(self, url: str) -> int:
        return self.where(lambda operation: bool(operation.path) and url_matches(url, operation.path))


def _spellings(operation: Operation) -> Iterator[tuple[str, str]]:
    """Every group and string of `resources` that takes in an operation: `resource_matches`, the other way round."""
    if operation.path:
        return
    resource, subresource = operation.resource, operation.subresource
    for group in (operation.api_group, "*"):
        yield group, _WHOLE_GROUP
        yield group, f"{resource}/*"
        yield group, f"{resource}/{subresource}" if subresource else resource
        if subresource:
            yield group, f"*/{subresource}"
