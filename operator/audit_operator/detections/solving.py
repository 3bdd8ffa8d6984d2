"""Finds values of fields such that a condition holds, or shows that there are none.

The condition is made into alternatives, each a list of tests that must hold or must not; for each field a value is
looked for that satisfies them. What is looked through without a result is an impossibility only where the values that
remain can be listed, or where a test asks for one value alone. Else nothing is known, and that is what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.detections.condition import Constant, Every, Negation, Reading, Test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from audit_operator.detections.condition import Condition, Path
    from audit_operator.detections.domain import Domain
    from audit_operator.detections.work import Work

MAX_ALTERNATIVES = 2_000
"""Most alternatives of a condition that are looked at."""

Literal = tuple[Test, bool]
"""A test, and whether it must hold."""

Values = dict[tuple[str, ...], list[Any]]
"""By field what it holds; an empty list is a field that is absent."""


@dataclass(slots=True)
class Answer:
    """What was found.

    Attributes:
        values: such that the condition holds; None if none were found.
        doubts: why it is not known whether there are any; if there are neither values nor doubts, there are none.
    """

    values: Values | None = None
    doubts: list[str] = field(default_factory=list)


def solve(condition: Condition, domain: Callable[[Path], Domain], work: Work) -> Answer:
    """Values of the fields of a condition such that it holds.

    Raises:
        WorkEndedError: it takes too long to find them.
    """
    search = _Search(domain, work)
    answer = Answer()
    for number, values in enumerate(search.alternatives([(condition, True)], {}, {})):
        if number == MAX_ALTERNATIVES:
            answer.doubts.append("the condition has too many alternatives to look at")
            break
        doubts = [search.doubts[path] for path, found in values.items() if found and path in search.doubts]
        if not doubts:
            return Answer(values)
        answer.doubts += doubts
    answer.doubts += search.unresolved
    answer.doubts = list(dict.fromkeys(answer.doubts))
    return answer


class _Search:
    def __init__(self, domain: Callable[[Path], Domain], work: Work) -> None:
        self._domain = domain
        self._work = work
        self._domains: dict[Path, Domain] = {}
        self.doubts: dict[Path, str] = {}
        self.unresolved: list[str] = []

    def alternatives(
        self, todo: list[tuple[Condition, bool]], literals: Mapping[Path, tuple[Literal, ...]], values: Values
    ) -> Iterator[Values]:
        """Every way to give all of `todo` the truth that is wanted of it."""
        if not todo:
            yield values
            return
        (condition, wanted), *rest = todo
        match condition:
            case Constant(truth):
                if truth is wanted:
                    yield from self.alternatives(rest, literals, values)
            case Negation(part):
                yield from self.alternatives([(part, not wanted), *rest], literals, values)
            case Test():
                path = condition.field.path
                gathered = (*literals.get(path, ()), (condition, wanted))
                found = self._values(path, gathered)
                if found is not None:
                    yield from self.alternatives(rest, {**literals, path: gathered}, {**values, path: found})
            case _:
                if isinstance(condition, Every) is wanted:
                    yield from self.alternatives(
                        [*((each, wanted) for each in condition.parts), *rest], literals, values
                    )
                else:
                    for each in condition.parts:
                        yield from self.alternatives([(each, wanted), *rest], literals, values)

    def _values(self, path: Path, literals: tuple[Literal, ...]) -> list[Any] | None:
        if path not in self._domains:
            self._domains[path] = self._domain(path)
            if self._domains[path].doubt:
                self.doubts[path] = self._domains[path].doubt
        domain = self._domains[path]
        self._work.spend(_cost(domain, literals))
        present = _present(domain, literals)
        if present:
            return present
        if domain.optional and all(test.holds(()) is wanted for test, wanted in literals):
            return []
        if not _is_refuted(domain, literals):
            places = ", ".join(dict.fromkeys(test.place for test, _ in literals if test.place)) or ".".join(path)
            self.unresolved.append(f"no value was found for {places}")
        return None


def _cost(domain: Domain, literals: tuple[Literal, ...]) -> int:
    """Steps that it takes to look for values: each candidate is compared with each pattern, and of lists, twice."""
    candidates = 3 + 2 * sum(len(test.patterns) for test, wanted in literals if wanted)
    compared = candidates * sum(test.cost for test, _ in literals)
    return compared * (1 + len(literals)) if domain.many else compared


def _present(domain: Domain, literals: tuple[Literal, ...]) -> list[Any] | None:
    """Values that the field can have at once, such that all the literals are as wanted."""
    usable = [each for each in _candidates(domain, literals) if domain.accepts(each)]
    if not domain.many:
        return next(([each] for each in usable if _all_hold(literals, [each])), None)
    tolerable = [each for each in usable if all(_tolerates(literal, each) for literal in literals)]
    chosen: list[Any] = []
    for literal in literals:
        if not _all_hold([literal], chosen):
            chosen += next(([each] for each in tolerable if _all_hold([literal], [*chosen, each])), [])
    chosen = chosen or tolerable[:1]
    return chosen if chosen and _all_hold(literals, chosen) else None


def _tolerates(literal: Literal, value: Any) -> bool:
    """Whether a value among others does not by itself make a literal wrong."""
    test, wanted = literal
    if test.every == wanted:
        return test.holds(test.field.read(value)) is wanted
    return True


def _all_hold(literals: Iterable[Literal], values: list[Any]) -> bool:
    return all(
        test.holds(tuple(text for value in values for text in test.field.read(value))) is wanted
        for test, wanted in literals
    )


def _candidates(domain: Domain, literals: tuple[Literal, ...]) -> Iterator[Any]:
    if domain.choices is not None:
        yield from domain.choices
        return
    tests = [test for test, wanted in literals if wanted]
    firsts = [next(each.patterns[0].examples(), "") for each in tests if each.patterns]
    if len(firsts) > 1:
        yield from domain.form(tests[0].field, " ".join(firsts))
    yield from domain.defaults
    for test in tests:
        for pattern in test.patterns:
            for example in pattern.examples():
                yield from domain.form(test.field, example)


def _is_refuted(domain: Domain, literals: tuple[Literal, ...]) -> bool:
    """Whether there is no such value at all, and not only none that was thought of."""
    if domain.choices is not None or any(not wanted and not test.patterns for test, wanted in literals):
        return True
    pinned = [test for test, wanted in literals if wanted and test.patterns and _pins(test)]
    if not domain.closed or not pinned:
        return False
    if not domain.many:
        return True
    # Other tests may be satisfied by values beside it.
    usable = [each for each in _candidates(domain, literals) if domain.accepts(each)]
    tolerable = [each for each in usable if all(_tolerates(literal, each) for literal in literals)]
    return any(not any(_all_hold([(test, True)], [each]) for each in tolerable) for test in pinned)


def _pins(test: Test) -> bool:
    return test.field.reading is Reading.PLAIN and all(each.pins for each in test.patterns)
