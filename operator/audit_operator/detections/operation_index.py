"""Which operations a condition can be about, without asking it of each one.

Of every attribute of operations that conditions compare (verb, resource, subresource, group, namespace) it is known
which operations have which value. So a condition is asked of some hundred values, and not of each operation; what it
leaves open becomes two sets: the operations for which it can be true, and those for which it can be false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.coverage.operations import Operations
from audit_operator.detections.condition import Constant, Every, Negation, Some, Test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from audit_operator.coverage.operations import Operation
    from audit_operator.detections.condition import Condition, Path
    from audit_operator.detections.work import Work

_Masks = tuple[int, int]
"""Operations for which something can be true, and those for which it can be false; one bit each."""


class OperationIndex:
    """Operations by what conditions ask of them."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = Operations(operations)
        self._everything = self.operations.where(lambda _: True)
        self._by_value: Mapping[Path, Mapping[str, int]] = {
            ("verb",): self._values(lambda each: each.verb),
            ("objectRef", "resource"): self._values(lambda each: each.resource),
            ("objectRef", "subresource"): self._values(lambda each: each.subresource),
            ("objectRef", "apiGroup"): self._values(lambda each: each.api_group),
        }

    def about(self, condition: Condition, namespace: str, work: Work) -> Iterator[Operation]:
        """The operations for which a condition can be true; with a namespace, of those in a namespace."""
        mask, _ = self._masks(condition, work)
        return self.operations.members(mask & self.operations.in_namespace if namespace else mask)

    def _values(self, of: Callable[[Operation], str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self.operations:
            found[of(each)] = found.get(of(each), 0) | self.operations.mask([each])
        return found

    def _masks(self, condition: Condition, work: Work) -> _Masks:
        match condition:
            case Constant(truth):
                return self._everything * (truth is True), self._everything * (truth is False)
            case Negation(part):
                can, cannot = self._masks(part, work)
                return cannot, can
            case Every(parts) | Some(parts):
                return self._together(parts, work, every=isinstance(condition, Every))
            case _:
                return self._of_test(condition, work)

    def _together(self, parts: tuple[Condition, ...], work: Work, *, every: bool) -> _Masks:
        joined, any_of = self._everything, 0
        for part in parts:
            masks = self._masks(part, work)
            narrowed, widened = masks if every else masks[::-1]
            joined &= narrowed
            any_of |= widened
        return (joined, any_of) if every else (any_of, joined)

    def _of_test(self, test: Test, work: Work) -> _Masks:
        values = self._by_value.get(test.field.path)
        if values is None:
            return self._everything, self._everything
        can, cannot = 0, 0
        for value, operations in values.items():
            work.spend(test.cost)
            truth = test.holds((value,) if value else ())
            can |= operations * (truth is True)
            cannot |= operations * (truth is False)
        return can, cannot
