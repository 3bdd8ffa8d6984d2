"""Rules of Falco's plugin k8saudit: macros, lists, and conditions on ``ka.*`` and ``jevt.value[...]``.

Written after the documentation of Falco's rules and of the fields of that plugin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audit_operator.detections.boolean import BooleanParser
from audit_operator.detections.condition import FALSE, TRUE, Condition, Every, Field, Negation, Reading, Test
from audit_operator.detections.falco_fields import field_called
from audit_operator.detections.pattern import Comparison, Pattern
from audit_operator.detections.rule import DetectionRule, NotUnderstoodError, Pack
from audit_operator.detections.tokens import END, Tokens
from audit_operator.detections.yaml_rules import documents

_KINDS = {
    "skip": r"\s+",
    "quoted": r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'',
    "sign": r"==|!=|<=|>=|[=<>(),]",
    "word": r"[^\s()=!<>,\"']+",
}
_KEYWORDS = frozenset({"and", "or", "not", "exists", "in", "intersects"})
_COMPARISONS = {
    "=": (Comparison.EQUALS, False),
    "==": (Comparison.EQUALS, False),
    "<": (Comparison.BELOW, False),
    "<=": (Comparison.AT_MOST, False),
    ">": (Comparison.ABOVE, False),
    ">=": (Comparison.AT_LEAST, False),
    "contains": (Comparison.CONTAINS, False),
    "icontains": (Comparison.CONTAINS, True),
    "startswith": (Comparison.STARTS, False),
    "endswith": (Comparison.ENDS, False),
    "regex": (Comparison.REGEX, False),
}
_RULE_KEYS = frozenset(
    {
        *("rule", "desc", "condition", "output", "priority", "source", "tags", "enabled", "append", "override"),
        *("warn_evttypes", "skip-if-unknown-filter", "exceptions"),
    }
)
_SOURCE = "k8s_audit"
_MOST_NESTED = 30


@dataclass(slots=True)
class _Pack:
    lists: dict[str, list[Any]] = field(default_factory=dict)
    macros: dict[str, str] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)


def falco_rules(text: str, file: str) -> list[DetectionRule]:
    """The rules of a file that are about audit events; others are left out.

    Raises:
        NotUnderstoodError: the file is no file of rules.
    """
    pack = _Pack()
    for document in documents(text):
        if not isinstance(document, list):
            raise NotUnderstoodError("a file of rules of Falco is a list")
        for item in document:
            if isinstance(item, dict):
                _collect(item, pack)
    return [_rule(item, pack, file) for item in pack.rules.values()]


def _collect(item: dict[str, Any], pack: _Pack) -> None:
    if "list" in item:
        name = str(item["list"])
        before = pack.lists.get(name, []) if _appends(item, "items") else []
        pack.lists[name] = [*before, *(item.get("items") or [])]
    elif "macro" in item:
        name = str(item["macro"])
        there = pack.macros.get(name, "") if _appends(item, "condition") else ""
        pack.macros[name] = _joined(there, item.get("condition"))
    elif "rule" in item:
        _collect_rule(item, pack)


def _collect_rule(item: dict[str, Any], pack: _Pack) -> None:
    name = str(item["rule"])
    earlier = pack.rules.get(name)
    changes = item.get("append") or item.get("override") or "condition" not in item
    if earlier is not None and changes:
        there = str(earlier.get("condition", "")) if _appends(item, "condition") else ""
        condition = _joined(there, item.get("condition")) or earlier.get("condition")
        pack.rules[name] = {**earlier, **item, "condition": condition}
    elif item.get("source", "syscall") == _SOURCE:
        pack.rules[name] = item


def _appends(item: dict[str, Any], key: str) -> bool:
    """Whether what is there goes on to count, before what the item says."""
    override = item.get("override")
    return bool(item.get("append")) or (isinstance(override, dict) and override.get(key) == "append")


def _joined(before: str, condition: Any) -> str:
    return f"{before} {condition or ''}".strip()


def _rule(item: dict[str, Any], pack: _Pack, file: str) -> DetectionRule:
    name = str(item["rule"])
    disabled = item.get("enabled") is False
    try:
        condition = _condition(item, pack)
    except NotUnderstoodError as error:
        return DetectionRule(Pack.FALCO, name, file, None, problem=str(error), disabled=disabled)
    return DetectionRule(Pack.FALCO, name, file, condition, disabled=disabled)


def _condition(item: dict[str, Any], pack: _Pack) -> Condition:
    unknown = sorted(map(str, item.keys() - _RULE_KEYS))
    if unknown:
        raise NotUnderstoodError(f"the key {unknown[0]} of a rule is not known")
    if item.get("exceptions"):
        raise NotUnderstoodError("exceptions are not followed")
    return _Parser(str(item.get("condition", "")), pack).condition()


class _Parser(BooleanParser):
    def __init__(self, text: str, pack: _Pack, depth: int = 0) -> None:
        if depth > _MOST_NESTED:
            raise NotUnderstoodError("macros are nested too deep, or in a circle")
        super().__init__(Tokens(text, _KINDS, keywords=_KEYWORDS))
        self._pack = pack
        self._depth = depth

    def _joined(self) -> Condition:
        if self._tokens.ahead(1).kind in (")", "and", "or", END):
            return self._macro()
        return self._check()

    def _macro(self) -> Condition:
        problem = self._tokens.problem("no such macro")
        name = self._tokens.take("word").text
        if name not in self._pack.macros:
            raise problem
        return _Parser(self._pack.macros[name], self._pack, self._depth + 1).condition()

    def _check(self) -> Condition:
        tokens = self._tokens
        start = tokens.take("word")
        operator = tokens.take()
        if start.text == "jevt.rawtime":
            return self._time(operator.kind)
        found = field_called(start.text)
        if found is None:
            raise NotUnderstoodError(f"the field {start.text} is not known")
        if operator.kind == "exists":
            return Test(found, place=tokens.since(start))
        if operator.kind in ("in", "intersects"):
            patterns = tuple(Pattern(Comparison.EQUALS, each) for each in self._items())
            # A list with no items has no value in it, where a test without patterns would ask for any.
            every = operator.kind == "in"
            return Test(found, patterns, every=every, place=tokens.since(start)) if patterns else FALSE
        if operator.text == "!=":
            value = self._value()
            place = tokens.since(start)
            return Every((Test(found, place=place), Negation(Test(found, _equal(value), place=place))))
        if operator.text not in _COMPARISONS:
            raise NotUnderstoodError(f"the operator {operator.text} is not known")
        comparison, ignore_case = _COMPARISONS[operator.text]
        value = self._value()
        return self._compared(found, Pattern(comparison, value, ignore_case), tokens.since(start))

    def _compared(self, found: Field, pattern: Pattern, place: str) -> Condition:
        if found.reading is Reading.JSON_TEXT and pattern.comparison is not Comparison.CONTAINS:
            raise NotUnderstoodError(f"not understood: {place}")
        return Test(found, (pattern,), place=place)

    def _time(self, operator: str) -> Condition:
        """The time of an event is there, and not 0: this is how rules of Falco say always, and never."""
        if operator == "exists":
            return TRUE
        if operator == "=" and self._tokens.take("word").text == "0":
            return FALSE
        raise NotUnderstoodError("the time of an event is not judged")

    def _value(self) -> str:
        token = self._tokens.take("word", "quoted", "in", "exists")
        return _unquoted(token.text) if token.kind == "quoted" else token.text

    def _items(self) -> list[str]:
        tokens = self._tokens
        tokens.take("(")
        found: list[str] = []
        while not tokens.took(")"):
            token = tokens.take("word", "quoted")
            found += [_unquoted(token.text)] if token.kind == "quoted" else self._expanded(token.text, 0)
            if tokens.next.kind != ")":
                tokens.take(",")
        return found

    def _expanded(self, item: str, depth: int) -> list[str]:
        if item not in self._pack.lists:
            return [item]
        if depth > _MOST_NESTED:
            raise NotUnderstoodError(f"the list {item} is nested too deep, or in a circle")
        return [each for inner in self._pack.lists[item] for each in self._expanded(str(inner), depth + 1)]


def _equal(value: str) -> tuple[Pattern]:
    return (Pattern(Comparison.EQUALS, value),)


def _unquoted(text: str) -> str:
    return text[1:-1].replace('\\"', '"')
