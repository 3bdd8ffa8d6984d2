"""Decision tables: the level of any request in a fixed number of look-ups, however many namespaces there are.

A first-match list is turned into an automaton that reads, one after the other, the user, those of his groups that make
a difference, the verb, the resource and the name. A state is what is left of the list, so that lists, and namespaces,
share states from where they agree. Only steps that lead elsewhere than "anything else" does are written down. Each
entry names the states before all later steps, as if nothing that is mentioned came any more, so that a step without an
entry needs no look-up of its own: what was found last counts.

Which groups to look for, a state says itself. So nothing that one tenant's policy mentions costs the events of others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from audit_operator.api.audit import Level, Stage
from audit_operator.policy.predicate import ANY_GROUP, ResourceTarget, UrlTarget
from audit_operator.shipping.enforcement import residual

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from audit_operator.policy.decision_list import DecisionList, Outcome
    from audit_operator.policy.model import Request
    from audit_operator.policy.predicate import Entry
    from audit_operator.shipping.enforcement.classes import Classes

MOST_STATES = 500
"""Of one list. Beyond it, its events stay as the API server has recorded them. Published policies need 10 to 80."""

MOST_ENTRIES = 2000
"""Of one list; published policies need 10 to 700."""

MOST_GROUPS = 8
"""That one state may ask for: whoever is in some of them is in one of so many sets."""

OTHER = "*"
"""Stands in a key for what no list mentions; no group, resource or subresource is called so."""

NO_ENTRIES = "-"
"""A state in which nothing that could come next makes a difference."""

URL_KEY = "url|"
"""The first key for a non-resource request."""

_NAMESPACE = "namespace|"
_STAMP = 8

GROUPS = "groups"
"""The groups that a state asks for, always as many; None stands for none: a group's name may be empty."""

REDACTION = "redaction"
ROUTE = "route"
FOLDERS = "folders"
DETECTIONS = "detections"
POLICIES = "policies"
LEVEL = "level"
MANAGED_FIELDS = "managedFields"
"""What else an entry may name: the treatment of a class; a level, and that managed fields are omitted, at the end."""

URLS = ("(non-resource requests)",)


Value = str | tuple[str | None, ...]
States = Mapping[str, Value]
"""What an entry says: the state before each step that is to come, by the step; and the fields above."""


def namespace_key(namespace: str) -> str:
    """The first key for a resource request; its namespace is empty if it has none."""
    return f"{_NAMESPACE}{namespace}"


def folders_key(name: str) -> str:
    """The entry that says by sink in which folder events lie; the exporter looks it up, and nobody else does."""
    return f"{FOLDERS}|{name}"


def detection_mark(condition: str) -> str:
    """How DETECTIONS names a condition, among others."""
    return f",{condition},"


def user_symbol(name: str) -> str:
    """The symbol of a user; without the sign, a name could be what a shipper makes of none."""
    return f"={name}"


def exact_path(path: str) -> str:
    """The symbol of a path that some list spells out."""
    return f"={path}"


def path_prefix(prefix: str) -> str:
    """The symbol of paths whose longest beginning in some list is this one."""
    return f"^{prefix}"


class Step(StrEnum):
    """What the automaton reads, in this order. Under these names an entry holds the state before each step."""

    CLASS = "class"
    """Nothing: the class that a namespace belongs to leads to its first state."""
    USER = "user"
    GROUP = "group"
    """Which of the state's groups the user is in, as `membership` writes it."""
    VERB = "verb"
    RESOURCE = "resource"
    NAME = "name"
    OUTCOME = "outcome"
    """The stage of the event; the state is an outcome."""


_STEPS = frozenset(Step)


class Form(NamedTuple):
    """A way to name a resource in a key: what it does not name is left open."""

    group: bool
    resource: bool
    subresource: bool

    def symbol(self, group: str, resource: str, subresource: str) -> str:
        """A resource as this form names it."""
        parts = zip(self, (group, resource, subresource), strict=True)
        return "/".join(part if named else OTHER for named, part in parts)


FORMS = (
    Form(group=False, resource=False, subresource=True),
    Form(group=False, resource=True, subresource=False),
    Form(group=False, resource=True, subresource=True),
    Form(group=True, resource=False, subresource=False),
    Form(group=True, resource=False, subresource=True),
    Form(group=True, resource=True, subresource=False),
    Form(group=True, resource=True, subresource=True),
)
"""From the vaguest to the most exact, the order in which they are looked up."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What must be looked for. It changes far less often than the entries do.

    Attributes:
        prefixes: what paths of non-resource requests may begin with, shorter ones first.
        forms: the forms of resources that have entries.
        names: whether names of objects make a difference.
        groups: how many groups a state asks for, at the most.
    """

    prefixes: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ()
    names: bool = False
    groups: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """What decides about every event.

    Attributes:
        shape: what must be looked for.
        entries: by key. `namespace_key` and `URL_KEY` come first; then ``CLASS|``, ``STATE|SYMBOL`` for each step, and
            ``OUTCOME|STAGE`` at the end.
        unenforced: namespaces, or URLS, whose list is too large, so that their events stay as they are.
    """

    shape: Shape
    entries: Mapping[str, States]
    unenforced: tuple[tuple[str, ...], ...] = ()


def membership(asked: Iterable[str | None], groups: Collection[str]) -> str:
    """The symbol for a user who is in some of the groups asked for."""
    return ",".join("true" if group is not None and group in groups else "false" for group in asked)


def build(classes: Classes) -> Table:
    """The table for all classes of namespaces, and for non-resource requests."""
    every = (*classes.classes, classes.non_resource)
    most_groups = max(len(_groups(each.cells or ())) for each in every)
    builder = _Builder(_prefixes(classes.non_resource.cells or ()), min(most_groups, MOST_GROUPS))
    unenforced = []
    begun: dict[DecisionList | None, tuple[str, States | None]] = {}
    for each in every:
        # Classes that differ in their treatment alone begin alike: there may be one for each namespace.
        if each.cells not in begun:
            begun[each.cells] = f"c{len(begun)}", builder.begin(each.cells)
        number, states = begun[each.cells]
        if states is None:
            unenforced.append(each.namespaces or URLS)
        builder.entries[f"{number}|"] = states or {}
        keys = map(namespace_key, each.namespaces) if each.namespaces else [URL_KEY]
        # In the first entry: these must be known also of an event for which a new table is read in between.
        folders = {FOLDERS: each.treatment.folders} if each.treatment.folders else {}
        counted = {DETECTIONS: "".join(map(detection_mark, each.treatment.detections))}
        first = {
            Step.CLASS: number,
            REDACTION: each.treatment.redaction,
            ROUTE: each.treatment.route,
            **folders,
            **(counted if each.treatment.detections else {}),
            **({POLICIES: each.treatment.policies} if each.treatment.policies else {}),
        }
        builder.entries.update((key, first) for key in keys)
    return builder.table(tuple(unenforced))


class _TooManyStates(Exception):  # noqa: N818  # a condition that is dealt with
    """One list would fill the table."""


@dataclass(slots=True)
class _Builder:
    prefixes: tuple[str, ...]
    groups: int
    entries: dict[str, States] = field(default_factory=dict)
    _states: dict[tuple[Step, DecisionList], States] = field(default_factory=dict)
    _outcomes: dict[Outcome, str] = field(default_factory=dict)
    _forms: set[Form] = field(default_factory=set)
    _names: bool = False
    _most: tuple[int, int] = (0, 0)

    def table(self, unenforced: tuple[tuple[str, ...], ...]) -> Table:
        forms = tuple(form for form in FORMS if form in self._forms)
        return Table(Shape(self.prefixes, forms, self._names, self.groups), _stamped(self.entries), unenforced)

    def begin(self, cells: DecisionList | None) -> States | None:
        """The states of a list before anything is read; None if it is too large, and then it leaves nothing behind."""
        if cells is None:
            return None
        before = len(self.entries), len(self._states), len(self._outcomes)
        self._most = len(self._states) + MOST_STATES, len(self.entries) + MOST_ENTRIES
        try:
            return self._from(Step.USER, cells)
        except _TooManyStates:
            _cut(self.entries, before[0])
            _cut(self._states, before[1])
            _cut(self._outcomes, before[2])
            return None

    def _from(self, step: Step, cells: DecisionList) -> States:
        """The states before this step and all later ones, if nothing that is mentioned comes."""
        if step is Step.OUTCOME:
            return {Step.OUTCOME: self._outcome(cells[0].outcome)}
        known = self._states.get((step, cells))
        if known is None:
            if len(self._states) >= self._most[0]:
                raise _TooManyStates
            number = str(len(self._states))
            self._states[step, cells] = {}  # takes the number; the steps from here never lead back here
            following, remaining = _otherwise(step, cells)
            otherwise = self._from(following, remaining)
            steps = self._steps(step, cells, otherwise)
            if len(self.entries) + len(steps) > self._most[1]:
                raise _TooManyStates
            self.entries.update((f"{number}|{symbol}", states) for symbol, states in steps.items())
            asked = {GROUPS: self._padded(_groups(cells))} if step is Step.GROUP and steps else {}
            known = self._states[step, cells] = {step: number if steps else NO_ENTRIES, **asked, **otherwise}
        return known

    def _steps(self, step: Step, cells: DecisionList, otherwise: States) -> dict[str, States]:
        """The symbols that lead elsewhere than anything else does, with the states after them."""
        match step:
            case Step.USER:
                users = sorted({name for cell in cells for name in cell.predicate.users or ()})
                after = {user_symbol(name): self._from(Step.GROUP, residual.given_user(cells, name)) for name in users}
            case Step.GROUP:
                after = self._group_steps(cells)
            case Step.VERB:
                verbs = sorted({verb for cell in cells for verb in cell.predicate.verbs or ()})
                after = {verb: self._from(Step.RESOURCE, residual.given_verb(cells, verb)) for verb in verbs}
            case Step.RESOURCE if _is_about_urls(cells):
                return self._path_steps(cells, otherwise)
            case Step.RESOURCE:
                return self._resource_steps(cells, otherwise)
            case _:
                names = sorted({name for cell in cells for name in residual.names_of(cell) or ()})
                after = {name: self._from(Step.OUTCOME, residual.given_name(cells, name)) for name in names}
                self._names |= bool(names)
        return {symbol: states for symbol, states in after.items() if not _same(states, otherwise)}

    def _group_steps(self, cells: DecisionList) -> dict[str, States]:
        asked = _groups(cells)
        if len(asked) > MOST_GROUPS:
            raise _TooManyStates
        return {
            membership(self._padded(asked), some): self._from(Step.VERB, residual.given_groups(cells, frozenset(some)))
            for number in range(1, len(asked) + 1)
            for some in combinations(asked, number)
        }

    def _padded(self, groups: tuple[str, ...]) -> tuple[str | None, ...]:
        return (*groups, *(None for _ in range(self.groups - len(groups))))

    def _resource_steps(self, cells: DecisionList, otherwise: States) -> dict[str, States]:
        entries = [
            entry for cell in cells if isinstance(cell.predicate.target, ResourceTarget)
            for entry in cell.predicate.target.entries or ()
        ]  # fmt: skip
        written: dict[str, States] = {}
        for form, resource in sorted(set(_resources(entries)), key=_vague_first):
            states = self._from(Step.NAME, residual.given_resource(cells, *resource))
            symbol = form.symbol(*(part or "" for part in resource))
            found = otherwise
            for vaguer in FORMS:
                found = written.get(vaguer.symbol(*(OTHER if part is None else part for part in resource)), found)
            if not _same(states, found):
                written[symbol] = states
                self._forms.add(form)
        return written

    def _path_steps(self, cells: DecisionList, otherwise: States) -> dict[str, States]:
        patterns = _paths(cells)
        written: dict[str, States] = {}
        for prefix in self.prefixes if patterns else ():
            # No list spells out a path with a NUL in it.
            states = self._from(Step.NAME, residual.given_path(cells, f"{prefix}\0"))
            if not _same(states, otherwise):
                written[path_prefix(prefix)] = states
        for path in sorted(pattern for pattern in patterns if not pattern.endswith("*")):
            states = self._from(Step.NAME, residual.given_path(cells, path))
            longest = next((each for each in reversed(self.prefixes) if path.startswith(each)), None)
            found = otherwise if longest is None else written.get(path_prefix(longest), otherwise)
            if not _same(states, found):
                written[exact_path(path)] = states
        return written

    def _outcome(self, outcome: Outcome) -> str:
        known = self._outcomes.get(outcome)
        if known is None:
            known = self._outcomes[outcome] = f"o{len(self._outcomes)}"
            for stage in Stage:
                omitted = outcome.level is Level.NONE or stage in outcome.omit_stages
                level = Level.NONE if omitted else outcome.level
                fields = {MANAGED_FIELDS: "omit"} if outcome.omit_managed_fields and not omitted else {}
                self.entries[f"{known}|{stage}"] = {LEVEL: str(level), **fields}
        return known


def _stamped(entries: Mapping[str, States]) -> dict[str, States]:
    """The same entries with states that no other table knows.

    A shipper may read a new table between two look-ups for one event. It then finds nothing any more, and no outcome,
    and leaves the event as it is, where a state of the other table with the same number might have dropped it.
    """
    stamp = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()[:_STAMP]

    def key(plain: str) -> str:
        return plain if plain.startswith((_NAMESPACE, URL_KEY)) else f"{stamp}{plain}"

    def value(field: str, plain: Value) -> Value:
        return f"{stamp}{plain}" if field in _STEPS and plain != NO_ENTRIES else plain

    return {key(plain): {name: value(name, each) for name, each in states.items()} for plain, states in entries.items()}


def _otherwise(step: Step, cells: DecisionList) -> tuple[Step, DecisionList]:
    """The next step, and what is left of a list if this one reads nothing that is mentioned."""
    match step:
        case Step.USER:
            return Step.GROUP, residual.given_user(cells, None)
        case Step.GROUP:
            return Step.VERB, residual.given_groups(cells, frozenset())
        case Step.VERB:
            return Step.RESOURCE, residual.given_verb(cells, None)
        case Step.RESOURCE if _is_about_urls(cells):
            return Step.NAME, residual.given_path(cells, None)
        case Step.RESOURCE:
            return Step.NAME, residual.given_resource(cells, None, None, None)
        case _:
            return Step.OUTCOME, residual.given_name(cells, None)


def _same(states: States, otherwise: States) -> bool:
    """Whether a step leads where anything else does."""
    return states.items() <= otherwise.items()


def _is_about_urls(cells: DecisionList) -> bool:
    """Whether a list is about non-resource requests; they never share one with others."""
    return isinstance(cells[-1].predicate.target, UrlTarget)


def _cut(mapping: dict[Any, Any], length: int) -> None:
    """Forget what was added last."""
    while len(mapping) > length:
        mapping.popitem()


def _groups(cells: DecisionList) -> tuple[str, ...]:
    """The groups that a list asks for, in the order in which a state names them."""
    return tuple(sorted({group for cell in cells for clause in cell.predicate.groups for group in clause}))


def _paths(cells: DecisionList) -> set[str]:
    """Patterns of paths, but for the one that takes in every path."""
    targets = (cell.predicate.target for cell in cells)
    return {url for target in targets if isinstance(target, UrlTarget) for url in target.urls} - {"*"}


def _prefixes(cells: DecisionList) -> tuple[str, ...]:
    prefixes = {pattern.rstrip("*") for pattern in _paths(cells) if pattern.endswith("*")}
    return tuple(sorted(prefixes, key=lambda each: (len(each), each)))


Resource = tuple[str | None, str | None, str | None]
"""API group, resource, subresource; None for any that is not mentioned."""


def _resources(entries: list[Entry]) -> Iterator[tuple[Form, Resource]]:
    """All that entries can tell apart, each with the form of key that names it."""
    for group in sorted({entry.group for entry in entries}):
        spellings = {spelling for entry in entries if entry.group in {group, ANY_GROUP} for spelling in entry.spellings}
        named = None if group == ANY_GROUP else group
        pairs = {_parts(spelling) for spelling in spellings}
        anywhere = {subresource for resource, subresource in pairs if resource is None and subresource}
        for resource in {resource for resource, _ in pairs} | {None}:
            own = {subresource for each, subresource in pairs if each == resource}
            for subresource in own | anywhere | {"", None}:
                if resource is None and subresource == "":
                    continue  # decided like any other subresource
                form = Form(named is not None, resource is not None, subresource is not None)
                if any(form):
                    yield form, (named, resource, subresource)


def _parts(spelling: str) -> tuple[str | None, str | None]:
    """Resource and subresource of a spelling; None for any."""
    resource, _, subresource = spelling.partition("/")
    return (None if resource == "*" else resource), (None if subresource == "*" else subresource)


def _vague_first(named: tuple[Form, Resource]) -> tuple[int, tuple[str, ...]]:
    form, resource = named
    return FORMS.index(form), tuple("" if part is None else f"={part}" for part in resource)


def decide(table: Table, request: Request, stage: Stage) -> States:
    """What the table says of an event: ``level``, and ``managedFields: omit``; empty if it is to stay as it is.

    This is how a shipper walks the table, one look-up after the other.
    """
    found = dict(table.entries.get(namespace_key(request.namespace) if request.resource_request else URL_KEY, {}))

    def read(step: Step, symbol: str) -> None:
        found.update(table.entries.get(f"{found.get(step, NO_ENTRIES)}|{symbol}", {}))

    read(Step.CLASS, "")
    if request.user is not None:
        read(Step.USER, user_symbol(request.user.name))
        read(Step.GROUP, membership(found.get(GROUPS, ()), request.user.groups))
    read(Step.VERB, request.verb)
    for symbol in _targets(table.shape, request):
        read(Step.RESOURCE, symbol)
    if request.resource_request:
        read(Step.NAME, request.name)
    read(Step.OUTCOME, stage.value)
    return {field: value for field, value in found.items() if field in {LEVEL, MANAGED_FIELDS}}


def _targets(shape: Shape, request: Request) -> Iterator[str]:
    """What a request is about, in each of the ways in which entries may name it."""
    if request.resource_request:
        resource = request.api_group, request.resource, request.subresource
        yield from (form.symbol(*resource) for form in shape.forms)
        return
    longest = next((each for each in reversed(shape.prefixes) if request.path.startswith(each)), None)
    if longest is not None:
        yield path_prefix(longest)
    yield exact_path(request.path)
