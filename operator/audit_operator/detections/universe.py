"""Which requests are asked about: everything that Kubernetes serves, and whatever rule and policy name.

For a policy all names that none of its rules lists are alike, and so are all users and namespaces; one of each stands
for them. Of those that it lists, and of those that fit a pattern of the detection rule, each is asked about that
anything tells apart: a hundred names in one list of one rule are one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, islice, product
from typing import TYPE_CHECKING

from audit_operator.api.audit import Level
from audit_operator.coverage.callers import named_callers
from audit_operator.coverage.operations import Operation
from audit_operator.detections.condition import tests_of
from audit_operator.detections.operation_index import OperationIndex
from audit_operator.detections.work import Work
from audit_operator.policy.attributes import NoRequestError, request_from_http
from audit_operator.policy.known_resources import OBJECT_VERBS, known_resources
from audit_operator.policy.model import Rule, User

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from audit_operator.detections.condition import Condition, Path, Test, Truth
    from audit_operator.detections.recording import Recording
    from audit_operator.policy.model import Request

_ACROSS = frozenset({"list", "watch"})
_PATHS = ("/api", "/apis", "/version", "/healthz", "/livez", "/readyz", "/metrics", "/openapi/v2", "/openapi/v3")
_METHODS = ("get", "post", "put", "patch", "delete", "head")
_RESOURCE, _GROUP, _NAMESPACE = ("objectRef", "resource"), ("objectRef", "apiGroup"), ("objectRef", "namespace")
_NAME, _USER, _GROUPS = ("objectRef", "name"), ("user", "username"), ("user", "groups")
_URI = ("requestURI",)
_SAMPLES = (
    "somebody",
    "system:serviceaccount:sample:sample",
    "system:serviceaccount:kube-system:sample",
    "system:node:sample",
    "system:kube-controller-manager",
    "system:anonymous",
    "system:bootstrap:sample",
)
MAX_SITUATIONS = 4_000
"""Most combinations of users, namespaces and names that one operation is asked about."""
_MOST_GROUPS = 8


@dataclass(frozen=True, slots=True)
class Universe:
    """What is asked about one rule.

    Attributes:
        operations: what is done.
        users, namespaces, names: by whom, where, and to what. User None is a failed authentication.
        truncated: whether more are named than are asked about.
    """

    operations: tuple[Operation, ...]
    users: tuple[User | None, ...]
    namespaces: tuple[str, ...]
    names: tuple[str, ...]
    truncated: bool

    @classmethod
    def of(cls, condition: Condition, recording: Recording, namespace: str = "", work: Work | None = None) -> Universe:
        """Everything worth asking about a rule; with a namespace, about requests in that one alone.

        Of users, namespaces and names that neither a rule nor a test of the condition tells apart, one stands for all.

        Raises:
            WorkEndedError: there is too much of it.
        """
        work = work or Work()
        hints, traits, rules = _Hints(condition), _Traits(condition, recording.rules, work), recording.rules
        users = (*traits.distinct_users(_users(hints, rules)), None)
        named = {each for rule in rules for each in rule.namespaces}
        there = (namespace,) if namespace else ("sample", *hints.namespaces, *sorted(named))
        namespaces = traits.distinct_namespaces(each for each in there if each)
        objects = {name for rule in rules for entry in rule.resources for name in entry.resource_names}
        names = traits.distinct_names(each for each in ("sample", *hints.names, *sorted(objects)) if each)
        operations = [*_index().about(condition, namespace, work)]
        further = (*hints.operations(), *(() if namespace else _policy_paths(rules)))
        operations += [each for each in further if not namespace or each.in_namespace]
        truncated = len(users) * len(namespaces) * len(names) > MAX_SITUATIONS
        return cls(tuple(dict.fromkeys(operations)), users, namespaces, names, truncated)

    def situations(self, operation: Operation) -> Iterator[tuple[User | None, str, str]]:
        """User, namespace and name of every request of an operation, up to `MAX_SITUATIONS`."""
        namespaces = self.namespaces if operation.in_namespace else ("",)
        names = self.names if operation.is_named and not operation.is_on_namespace else ("",)
        for namespace, name, user in islice(product(namespaces, names, self.users), MAX_SITUATIONS):
            yield user, namespace, name


class _Traits:
    """What rules and tests make of users, namespaces and names: the traits by which anything tells them apart."""

    def __init__(self, condition: Condition, rules: tuple[Rule, ...], work: Work) -> None:
        self._work = work
        self._tests: defaultdict[Path, list[Test]] = defaultdict(list)
        for test in tests_of(condition):
            self._tests[test.field.path].append(test)
        clauses = dict.fromkeys((rule.users, rule.user_groups) for rule in rules)
        self._users = _Mentions([users for users, _ in clauses])
        self._groups = _Mentions([groups for _, groups in clauses])
        self._namespaces = _Mentions([rule.namespaces for rule in rules])
        self._names = _Mentions([each for rule in rules for entry in rule.resources if (each := entry.resource_names)])

    def distinct_users(self, users: Iterable[User]) -> tuple[User, ...]:
        """One of each sort, the first."""
        found: dict[Hashable, User] = {}
        for user in dict.fromkeys(users):
            groups = self._groups.of(user.groups)
            told = (self._told(_USER, (user.name,)), self._told(_GROUPS, user.groups))
            found.setdefault((self._users.of((user.name,)) & groups, *told), user)
        return tuple(found.values())

    def distinct_namespaces(self, namespaces: Iterable[str]) -> tuple[str, ...]:
        """One of each sort, the first. A namespace is an object, too: requests for it are in it."""
        found: dict[Hashable, str] = {}
        for each in dict.fromkeys(namespaces):
            traits = (self._namespaces.of((each,)), self._told(_NAMESPACE, (each,)), *self._of_name(each))
            found.setdefault(traits, each)
        return tuple(found.values())

    def distinct_names(self, names: Iterable[str]) -> tuple[str, ...]:
        """One of each sort, the first."""
        found: dict[Hashable, str] = {}
        for each in dict.fromkeys(names):
            found.setdefault(self._of_name(each), each)
        return tuple(found.values())

    def _of_name(self, name: str) -> tuple[Hashable, ...]:
        in_url = name if self._tests.get(_URI) else ""
        return self._names.of((name,)), self._told(_NAME, (name,)), in_url

    def _told(self, path: Path, values: tuple[str, ...]) -> tuple[Truth, ...]:
        tests = self._tests.get(path, ())
        self._work.spend(2 + sum(each.cost for each in tests) * len(values))
        return tuple(each.holds(values) for each in tests)


class _Mentions:
    """Lists of names, and in which of them a name stands; a list that is empty names everything."""

    def __init__(self, lists: Iterable[tuple[str, ...]]) -> None:
        self._everybody, self._lists = 0, dict[str, int]()
        for position, names in enumerate(lists):
            if not names:
                self._everybody |= 1 << position
            for name in names:
                self._lists[name] = self._lists.get(name, 0) | 1 << position

    def of(self, names: Iterable[str]) -> int:
        """The lists in which one of the names stands, one bit each."""
        found = self._everybody
        for name in names:
            found |= self._lists.get(name, 0)
        return found


class _Hints:
    """What stands in the tests of a condition, by field."""

    def __init__(self, condition: Condition) -> None:
        self._tests = list(tests_of(condition))
        uris = [each for each in self._texts(_URI) if each.startswith("/")]
        self._requests = [found for uri in uris if (found := _parsed(uri))]
        self.paths = [each.path for each in self._requests if not each.resource_request]
        self.users = self._texts(_USER)
        self.groups = self._texts(_GROUPS)
        resources = [each for each in self._requests if each.resource_request]
        self.namespaces = [*self._texts(_NAMESPACE), *(each.namespace for each in resources)]
        self.names = [*self._texts(_NAME), *(each.name for each in resources)]

    def _texts(self, path: Path) -> list[str]:
        tests = [each for each in self._tests if each.field.path == path]
        return list(dict.fromkeys(text for test in tests for pattern in test.patterns for text in pattern.examples()))

    def operations(self) -> Iterator[Operation]:
        """On resources that Kubernetes does not serve, and on paths."""
        for path in self.paths:
            yield from (Operation(method, path=path) for method in _METHODS)
        served = {each.name for each in known_resources().served}
        for resource in self._texts(_RESOURCE):
            if resource not in served and resource.isalpha():
                for group in self._texts(_GROUP) or ["example.com"]:
                    yield from _on(group, resource, "", OBJECT_VERBS, namespaced=True)
                    yield from _on(group, resource, "", OBJECT_VERBS, namespaced=False)


def _parsed(uri: str) -> Request | None:
    try:
        return request_from_http("GET", *uri.partition("?")[::2])
    except NoRequestError:
        return None


def _users(hints: _Hints, rules: tuple[Rule, ...]) -> Iterator[User]:
    together = [(), *((each,) for each in hints.groups), *combinations(hints.groups[:_MOST_GROUPS], 2)]
    for name, groups in product((*_SAMPLES, *hints.users), [*together, tuple(hints.groups)]):
        yield from _named(name, groups)
    own = sorted({group for rule in rules for group in rule.user_groups})
    for name, group in product(("somebody", *hints.users), own):
        yield from _named(name, (group,))
    for rule in rules:
        yield from (each.user for each in named_callers(rule) if each.user)


def _named(name: str, groups: tuple[str, ...]) -> Iterator[User]:
    if name:
        yield from (each.user for each in named_callers(Rule(Level.NONE, (name,), groups)) if each.user)


def _policy_paths(rules: tuple[Rule, ...]) -> Iterator[Operation]:
    for path in sorted({url.rstrip("*") for rule in rules for url in rule.non_resource_urls}):
        if path.startswith("/"):
            yield Operation("get", path=path)


@lru_cache(maxsize=1)
def _index() -> OperationIndex:
    return OperationIndex(_served())


@lru_cache(maxsize=1)
def _served() -> tuple[Operation, ...]:
    found: list[Operation] = []
    for each in known_resources().served:
        found += _on(each.group, each.name, "", each.verbs, namespaced=each.namespaced)
        for subresource, verbs in each.subresources.items():
            found += _on(each.group, each.name, subresource, verbs, namespaced=each.namespaced)
    found += [Operation(method, path=path) for path in _PATHS for method in ("get", "post")]
    return tuple(found)


def _on(group: str, resource: str, subresource: str, verbs: Iterable[str], *, namespaced: bool) -> Iterator[Operation]:
    for verb in sorted(verbs):
        operation = Operation(verb, group, resource, subresource, in_namespace=namespaced)
        on_namespace = Operation(verb, group, resource, subresource, in_namespace=True)
        if on_namespace.is_on_namespace and on_namespace.is_named:
            yield on_namespace
            continue
        yield operation
        if namespaced and verb in _ACROSS and not subresource:
            yield Operation(verb, group, resource, is_across_namespaces=True)
