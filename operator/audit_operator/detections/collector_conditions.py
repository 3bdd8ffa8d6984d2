"""Conditions of our own detections in OTTL, as the shipper's collector reads them. Collector 0.157.

Paths go through lists wherever there are some, and OTTL has no loops that are not behind a feature gate. So where a
list may stand on the way, all that is below it is flattened, what the path leads to is kept, and its values are
compared as one list. That is done only for events of which all else holds, and not for large lists, since flattening
takes time that grows with the square of the values: such an event is marked as `UNREAD`. A value's text is made once
for each test, and not once for each pattern.

What differs from `condition.evaluate`: patterns with ``*`` fit no value of more than `LONGEST` bytes, so that nobody's
pattern can keep the collector busy with somebody's body; an object in a list has no text; and below a list, keys with
dots are taken for paths.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.detections.condition import (
    Condition,
    Constant,
    Every,
    Negation,
    Reading,
    Some,
    Test,
    fold,
    tests_of,
)
from audit_operator.detections.pattern import Comparison
from audit_operator.shipping.collector.counting import CODE, UNREAD
from audit_operator.shipping.collector.ottl import assign, attribute, body, cache, text
from audit_operator.shipping.collector.reading import RESOURCE, VERB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit_operator.detections.condition import Path
    from audit_operator.detections.pattern import Pattern

LONGEST = 4096
_LONGEST_LIST = 4 * LONGEST
_LARGEST_FLATTENED, _MOST_FLATTENED = 2**16, 2000
"""Bytes of a list that is flattened, as JSON, and the values in it: 2,000 take 3 ms, ten times as many 300."""

_OBJECT = ("objectRef",)
_NAMESPACE, _NAME = (*_OBJECT, "namespace"), (*_OBJECT, "name")
_CODE, _VERB, _STAGE = ("responseStatus", "code"), ("verb",), ("stage",)
_USER, _GROUPS = ("user", "username"), ("user", "groups")

_FLAT = frozenset({"annotations", "userAgent"})
"""Beneath them the API server writes no lists."""
_BEHIND = "annotations"
"""Of what is flat, what an event has behind its bodies, where a sender may have seen to it that nobody can read it."""
_CHEAP = (_CODE, _VERB, *((*_OBJECT, each) for each in RESOURCE), _NAME, _NAMESPACE, _USER)
"""What to ask first: what costs little, and rules out most."""

_DURATION = "^(?:[0-9]+(?:[.][0-9]+)?(?:h|ms|m|s|µs|us|ns))+$"
_INTEGER, _DECIMAL = re.compile("-?(?:0|[1-9][0-9]{0,14})"), re.compile("-?(?:0|[1-9][0-9]{0,8})[.][0-9]{0,5}[1-9]")

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""What Go escapes in JSON, besides what all do."""
_ANYTHING = r'(?:[^"\\]|\\[^u]|\\u[0-9a-f]{4})*'
_ELEMENT = rf'(?:"{_ANYTHING}"|[^"\[\]{{}},]+)'
_IN_NUMBERS = "[0-9eE+.-]"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A condition.

    Attributes:
        where: what costs little, as one expression; all there is, if `reads` is empty.
        reads: statements that fetch what `then` is about.
        then: the rest.
        before: `where` without what stands behind the bodies of an event; empty if none of it does.
    """

    where: str
    reads: tuple[str, ...]
    then: str
    before: str


def render(condition: Condition) -> Rendered:
    """A condition that `own.condition_of` has made.

    Raises:
        TypeError: it is none: a bug.
    """
    whole = fold(condition, lambda _: None)
    parts = whole.parts if isinstance(whole, Every) else (whole,)
    deep = [each for each in parts if isinstance(each, Test) and _is_deep(each)]
    plain = Every(tuple(each for each in parts if each not in deep))
    before = Every(tuple(each for each in plain.parts if not any(map(_is_behind, tests_of(each)))))
    reads: list[str] = []
    then = []
    for number, test in enumerate(deep):
        reads.extend(_read(test, number))
        then.append(_deep(test, number))
    asked_before = "" if before == plain else _expression(before)
    return Rendered(_expression(plain), tuple(reads), " and ".join(then), asked_before)


def _is_behind(test: Test) -> bool:
    return test.field.path[0] == _BEHIND


def _is_deep(test: Test) -> bool:
    path = test.field.path
    return path not in {*_CHEAP, _GROUPS, _STAGE} and test.field.reading is Reading.PLAIN and path[0] not in _FLAT


def _expression(condition: Condition) -> str:
    match condition:
        case Constant(truth):
            return "true" if truth else "false"
        case Negation(part):
            return f"not ({_expression(part)})"
        case Every(parts):
            return _joined("and", sorted(parts, key=_cost)) or "true"
        case Some(parts):
            return _joined("or", parts) or "false"
        case Test():
            return _test(condition)


def _joined(word: str, parts: Iterable[Condition]) -> str:
    return f" {word} ".join(f"({_expression(each)})" for each in parts)


def _cost(condition: Condition) -> int:
    match condition:
        case Test(field):
            return _CHEAP.index(field.path) if field.path in _CHEAP else len(_CHEAP)
        case Negation(part):
            return len(_CHEAP) + _cost(part)
        case Every(parts) | Some(parts):
            return max(map(_cost, parts), default=0)
        case _:
            return 0


def _test(test: Test) -> str:
    path = test.field.path
    if test.field.reading is Reading.MILLISECONDS:
        return _latency(test)
    if path == _GROUPS:
        groups = body(*path)
        return f"IsList({groups}) and ({_of_list(test, groups)})"
    if path == _CODE:
        return _of_value(test, attribute(CODE), limited=True)
    if path in _READ:
        place, there = _READ[path]
        return f"{there} and ({_of_value(test, place)})" if there else _of_value(test, place)
    place = body(*path)
    above = [f"IsMap({body(*path[:length])})" for length in range(1, len(path))]
    return " and ".join([*above, f"({_of_value(test, place, limited=True)})"])


_READ: dict[Path, tuple[str, str]] = {
    _VERB: (attribute(VERB), ""),
    _STAGE: (body("stage"), ""),
    _USER: (body(*_USER), ""),
    **{(*_OBJECT, each): (attribute(each), "") for each in RESOURCE},
    _NAME: (body(*_NAME), f"{attribute('resource')} != nil"),
    # As the path of the request says, and not what a body says that it may have been completed from.
    _NAMESPACE: (attribute("namespace"), f"{attribute('namespace')} != {text('')}"),
}
"""Where such a value is found, and what must hold before it can be read."""


def _latency(test: Test) -> str:
    found = body(*test.field.path)
    there = f"IsMap({body(test.field.path[0])}) and IsMatch({found}, {text(_DURATION)})"
    least = [f"Duration({found}) >= Duration({text(f'{_least(each)}ms')})" for each in test.patterns]
    return f"{there} and ({_any(least)})"


def _least(pattern: Pattern) -> int:
    if pattern.comparison is not Comparison.AT_LEAST:
        raise TypeError(pattern)
    return int(pattern.text)


def _any(parts: Iterable[str]) -> str:
    return " or ".join(parts)


def _of_value(test: Test, place: str, *, limited: bool = False, said: str = "") -> str:
    """Of one value, which may be any; `said` is where its text is, or else it is made for each pattern."""
    if not test.patterns:
        return f"{place} != nil"
    short = f"{place} != nil and Len({said or f'String({place})'}) <= {LONGEST} and " if limited else ""
    return _any(
        part
        for each in test.patterns
        for part in _either(
            each,
            lambda same: f"{place} == {same}",
            f"{short}IsMatch({said or place}, {text(_regex(each.text))})",
            typed=limited,
        )
    )


def _of_list(test: Test, place: str, said: str = "") -> str:
    """Of a list of values that are neither lists nor objects; `said` is where its text is."""
    found = said or f"String({place})"
    if not test.patterns:
        return f"Len({found}) > {_LONGEST_LIST} or IsMatch({found}, {text(_list_regex('*'))})"
    return _any(
        part
        for each in test.patterns
        for part in _either(
            each,
            lambda same: f"ContainsValue({place}, {same})",
            f"Len({found}) <= {_LONGEST_LIST} and IsMatch({found}, {text(_list_regex(each.text))})",
            typed=True,
        )
    )


def _either(pattern: Pattern, equals: Callable[[str], str], like: str, *, typed: bool) -> Iterator[str]:
    """The comparison; `typed` says whether the value may be a number or a truth, which rules see as text."""
    match pattern.comparison:
        case Comparison.GLOB:
            yield f"({like})"
        case Comparison.EQUALS:
            yield equals(text(pattern.text))
            if typed and _is_other(pattern.text):
                yield equals(pattern.text)
        case _:
            raise TypeError(pattern)


def _is_other(value: str) -> bool:
    return value in {"true", "false"} or bool(_INTEGER.fullmatch(value) or _DECIMAL.fullmatch(value))


def _literals(glob: str) -> list[str]:
    """What stands between the stars, of which several in a row are one."""
    return re.sub("[*]+", "*", glob).split("*")


def _regex(glob: str) -> str:
    return f"(?s)^{'.*'.join(map(re.escape, _literals(glob)))}$"


def _list_regex(glob: str) -> str:
    """Fits the JSON of a list in which some element is like that."""
    literals = _literals(glob)
    said = [re.escape(json.dumps(each, ensure_ascii=False)[1:-1].translate(_HTML)) for each in literals]
    like = [f'"{_ANYTHING.join(said)}"']
    # And of what is no text: nothing fits null, which is as if it were not there.
    like += [each for each in ("true", "false") if re.fullmatch(_regex(glob), each)]
    if all(re.fullmatch(f"{_IN_NUMBERS}*", each) for each in literals):
        like.append(f"{_IN_NUMBERS}*".join(map(re.escape, literals)) if any(literals) else f"{_IN_NUMBERS}+")
    return rf"(?s)^\[(?:{_ELEMENT},)*(?:{'|'.join(like)})(?:,{_ELEMENT})*\]$"


# Paths that lists may stand on.


def _deep(test: Test, number: int) -> str:
    place, found, said = body(*test.field.path), cache(f"found{number}"), cache(f"said{number}")
    direct = f"{found} == nil and {_there(test.field.path)} and ({_of_value(test, place, limited=True, said=said)})"
    return f"(({direct}) or ({found} != nil and ({_of_list(test, found, said)})))"


def _there(path: Path) -> str:
    """Whether a value can stand there, with no list above it, and is none."""
    above = [f"IsMap({body(*path[:length])})" for length in range(1, len(path))]
    return " and ".join([*above, f"not IsList({body(*path)})"])


def _read(test: Test, number: int) -> Iterator[str]:
    """Set `found` to the values at the path, if there is a list on it, and `said` to their text, or the value's."""
    path = test.field.path
    flat, at, whole, found = (cache(f"{name}{number}") for name in ("flat", "at", "whole", "found"))
    lists = range(1, len(path) + 1)
    for length in lists:
        held = body(*path[:length])
        above = [f"IsMap({body(*path[:each])})" for each in range(1, length)]
        yield assign(at, str(length), " and ".join([*above, f"IsList({held})"]))
        yield assign(f'{flat}["v"]', held, f"{at} == {length} and Len({held}) <= {_MOST_FLATTENED}")
    yield assign(whole, f"String({flat})", f"{flat} != nil")
    # No list has more values than commas, but for one.
    large = f"Len({whole}) > {_LARGEST_FLATTENED} or Len(Split({whole}, {text(',')})) > {_MOST_FLATTENED}"
    yield f"delete_key(log.cache, {text(f'flat{number}')}) where {whole} != nil and ({large})"
    yield assign(attribute(UNREAD), text("true"), f"{at} != nil and {flat} == nil")
    yield f"flatten({flat}) where {flat} != nil"
    for length in lists:
        kept = text(_below(path[length:], whole=bool(test.patterns)))
        yield f"keep_matching_keys({flat}, {kept}) where {at} == {length} and {flat} != nil"
    yield assign(found, f"Values({flat})", f"{flat} != nil")
    said, place = cache(f"said{number}"), body(*path)
    yield assign(said, f"String({found})", f"{found} != nil")
    if test.patterns:
        yield assign(said, f"String({place})", f"{at} == nil and {_there(path)} and {place} != nil")


def _below(steps: Path, *, whole: bool) -> str:
    """Keys that flattening makes of what these steps lead to from a list; not `whole`: also of what is below."""
    number = "(?:[.][0-9]+)"
    further = "".join(f"[.]{re.escape(step)}{number}*" for step in steps)
    return f"^v{number}+{further}{'' if whole else '(?:[.].*)?'}$"
