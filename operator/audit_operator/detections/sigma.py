"""Rules of Sigma for the audit log of Kubernetes.

Written after Sigma's specification 2.0: values are compared without regard to case, lists of values are alternatives,
and what is not known here, be it a modifier or an aggregation, makes a rule one that is not judged.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

from audit_operator.detections.boolean import BooleanParser
from audit_operator.detections.condition import Condition, Every, Field, Negation, Some, Test
from audit_operator.detections.event_fields import path_of
from audit_operator.detections.pattern import Comparison, Pattern
from audit_operator.detections.rule import DetectionRule, NotUnderstoodError, Pack
from audit_operator.detections.tokens import Tokens
from audit_operator.detections.yaml_rules import documents

_KINDS = {"skip": r"\s+", "sign": r"[()|]", "word": r"[^\s()|]+"}
_KEYWORDS = frozenset({"and", "or", "not", "of"})
_PLACES = {"contains": Comparison.CONTAINS, "startswith": Comparison.STARTS, "endswith": Comparison.ENDS}
_ORDERS = {
    "lt": Comparison.BELOW,
    "lte": Comparison.AT_MOST,
    "gt": Comparison.ABOVE,
    "gte": Comparison.AT_LEAST,
}
_MODIFIERS = frozenset({*_PLACES, *_ORDERS, "all", "re", "exists", "cased"})
_OTHER_KEYS = frozenset({"condition", "timeframe"})


def sigma_rules(text: str, file: str) -> list[DetectionRule]:
    """The rules of a file that are about the audit log of Kubernetes; others are left out.

    Raises:
        NotUnderstoodError: the file is no YAML.
    """
    found = [each for each in documents(text) if isinstance(each, dict) and isinstance(each.get("logsource"), dict)]
    about = (each for each in found if _is_audit(each["logsource"]))
    return [_rule(each, file) for each in about]


def _is_audit(source: dict[str, Any]) -> bool:
    return source.get("product") == "kubernetes" and source.get("service", "audit") == "audit"


def _rule(item: dict[str, Any], file: str) -> DetectionRule:
    name = str(item.get("title", file))
    try:
        return DetectionRule(Pack.SIGMA, name, file, _condition(item))
    except NotUnderstoodError as error:
        return DetectionRule(Pack.SIGMA, name, file, None, problem=str(error))


def _condition(item: dict[str, Any]) -> Condition:
    detection = item.get("detection")
    if not isinstance(detection, dict) or "condition" not in detection:
        raise NotUnderstoodError("there is no detection with a condition")
    if "timeframe" in detection:
        raise NotUnderstoodError("timeframe: how many events it takes is not judged")
    searches = {str(name): _search(each, str(name)) for name, each in detection.items() if name not in _OTHER_KEYS}
    written = detection["condition"]
    texts = written if isinstance(written, list) else [written]
    parts = tuple(_Parser(str(each), searches).condition() for each in texts)
    return parts[0] if len(parts) == 1 else Some(parts)


def _search(search: Any, place: str) -> Condition:
    if isinstance(search, dict):
        return Every(tuple(_test(str(key), value, place) for key, value in search.items()))
    if isinstance(search, list) and search and all(isinstance(each, dict) for each in search):
        return Some(tuple(_search(each, place) for each in search))
    raise NotUnderstoodError(f"{place}: words without a field are not judged")


def _test(key: str, value: Any, place: str) -> Condition:
    name, *modifiers = key.split("|")
    where = f"{place}: {key}"
    unknown = sorted(set(modifiers) - _MODIFIERS)
    if unknown:
        raise NotUnderstoodError(f"{where}: the modifier {unknown[0]} is not known")
    path = path_of(name)
    if path is None:
        raise NotUnderstoodError(f"{where}: audit events have no field {name}")
    field = Field(path)
    if "exists" in modifiers:
        return Test(field, place=where) if value else Negation(Test(field, place=where))
    values = value if isinstance(value, list) else [value]
    tests = tuple(_of_value(field, each, modifiers, where) for each in values)
    if len(tests) == 1:
        return tests[0]
    if "all" in modifiers:
        return Every(tests)
    plain = [each for each in tests if isinstance(each, Test) and each.patterns]
    if len(plain) == len(tests):
        return Test(field, tuple(pattern for each in plain for pattern in each.patterns), place=where)
    return Some(tests)


def _of_value(field: Field, value: Any, modifiers: list[str], where: str) -> Condition:
    if value is None:
        return Negation(Test(field, place=where))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text == "*":
        return Test(field, place=where)
    return Test(field, (_pattern(text, modifiers),), place=where)


def _pattern(text: str, modifiers: list[str]) -> Pattern:
    ignore_case = "cased" not in modifiers
    for modifier, order in _ORDERS.items():
        if modifier in modifiers:
            return Pattern(order, text)
    if "re" in modifiers:
        # A regular expression may fit anywhere, and is one with regard to case.
        return Pattern(Comparison.REGEX, f".*(?:{text}).*")
    place = next((_PLACES[each] for each in modifiers if each in _PLACES), Comparison.EQUALS)
    if not re.search(r"[*?\\]", text):
        return Pattern(place, text, ignore_case)
    before = "" if place in (Comparison.EQUALS, Comparison.STARTS) else ".*"
    after = "" if place in (Comparison.EQUALS, Comparison.ENDS) else ".*"
    return Pattern(Comparison.REGEX, f"{before}{_as_regex(text)}{after}", ignore_case)


def _as_regex(text: str) -> str:
    parts = re.findall(r"\\[*?\\]|.", text, re.DOTALL)
    return "".join({"*": ".*", "?": "."}.get(each, re.escape(each[-1])) for each in parts)


class _Parser(BooleanParser):
    def __init__(self, text: str, searches: dict[str, Condition]) -> None:
        super().__init__(Tokens(text, _KINDS, keywords=_KEYWORDS))
        self._searches = searches

    def _end(self) -> None:
        if self._tokens.next.kind == "|":
            raise NotUnderstoodError("aggregations: how many events it takes is not judged")
        super()._end()

    def _joined(self) -> Condition:
        tokens = self._tokens
        if tokens.ahead(1).kind == "of":
            return self._several()
        problem = tokens.problem("no such search")
        name = tokens.take("word").text
        if name not in self._searches:
            raise problem
        return self._searches[name]

    def _several(self) -> Condition:
        problem = self._tokens.problem()
        number, _, names = self._tokens.take("word"), self._tokens.take("of"), self._tokens.take("word")
        glob = "*" if names.text == "them" else names.text
        found = tuple(
            each
            for name, each in self._searches.items()
            if fnmatchcase(name, glob) and not (names.text == "them" and name.startswith("_"))
        )
        if not found or number.text not in ("1", "any", "all"):
            raise problem
        return Every(found) if number.text == "all" else Some(found)
