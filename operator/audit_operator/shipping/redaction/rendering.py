"""The model in OTTL, for the transform processor of collector 0.157.

None of the statements can fail on any event that an API server writes: a path is read only where everything above it
is a map, and whatever replaces a part that is hard to rebuild first puts the marker there. Should one fail even so, its
event loses all that redaction is about (`withholding`). OTTL has no loops that are not behind a feature gate; `places`
says what that means for lists.

No text becomes code: `ottl.text` quotes it, and ``$`` is doubled in replacements, where it begins a group. Tenants'
patterns do not even stand there, but in the decision table (`collector.demands`). The
configuration as a whole doubles it once more (`collector.configuration`); that of a sidecar must leave `PSEUDONYM_KEY`
as it is.

Statements stand there once, however many demands they serve. What not all of them ask for has a gate: a condition that
holds for events whose demand asks.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.collector.attributes import MODIFIED, RAW
from audit_operator.shipping.collector.ottl import (
    Attempt,
    Statements,
    assign,
    attribute,
    body,
    cache,
    concat,
    text,
)
from audit_operator.shipping.redaction import places, pseudonyms
from audit_operator.shipping.redaction.own_pattern import (
    GROWN_BY,
    GROWN_TIMES,
    MARK,
    MOST_TOGETHER,
    SHORT,
    TEXT_ESCAPE,
)
from audit_operator.shipping.redaction.parts import Part
from audit_operator.shipping.redaction.rules import DOUBTFUL, GUARDS, KEPT, MARKER, RULES, Rule, Scope, scopes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.shipping.redaction.demand import Feature, RedactionDemand
    from audit_operator.shipping.redaction.own_pattern import OwnPattern
    from audit_operator.shipping.redaction.places import Sealed

HIT = "op.redact.hit"
"""Set where some rule may match anywhere in the event."""
OBJECTS_HIT = "op.redact.objects"
"""Set where some rule may match in an object."""
WORDS_HIT = "op.redact.words"
"""Set where some rule may match in what the API server, or a webhook, says of a request."""
SEALED = "op.redact.sealed"
"""Set where the objects are stripped to what is harmless."""

TEXT, BEFORE, WHOLE = "text", "before", "whole"
"""What patterns run over, in the cache, what it was before, and that nothing of it may stay."""

NAMESPACE = "namespace"
"""Holds the event's namespace; set before."""

KEY_ID, KEY_SECRET = "op.pseudonym.id", "op.pseudonym.key"
"""Hold what was looked up for the event's namespace: see `collector.pseudonym_keys`."""

PSEUDONYM_VARIABLE = "AUDIT_OPERATOR_PSEUDONYM_KEY"
"""Of the environment of a sidecar's collector, which has one key."""
PSEUDONYM_KEY = assign(cache("key"), f'"${{env:{PSEUDONYM_VARIABLE}}}"')
"""The one statement in which ``$`` is an expansion. The key holds no quotes or backslashes: it is hexadecimal."""

NO_PATTERNS = "-"
"""Stands in place of an empty list."""

_MARKER = text(MARKER)
_TEXTS = ("requestURI", "userAgent", "annotations", "responseStatus")
_IS_MODIFIED = assign(attribute(MODIFIED), "true")
_UNGATED: Mapping[Feature, str] = MappingProxyType({})


def render(demand: RedactionDemand, gates: Mapping[Feature, str] = _UNGATED) -> tuple[Statements, ...]:
    """Statement groups in the order in which they must run, for events whose body is a map.

    `gates` has conditions by what is only done to some events; all else is done to all of them.
    """
    sealed: tuple[Sealed, ...] = (places.SECRETS, places.TOKENS)
    secrets = RedactionProfile.SECRETS in demand.profiles
    if secrets:
        sealed = (*sealed, places.CONFIG_MAPS)
    rules = tuple(rule for rule in RULES if rule.profile in demand.profiles)
    groups = [_known_fields(), *_seal(sealed, gates), _urls(demand, gates), _patches()]
    if secrets:
        groups.append(_gated(_last_applied(), gates.get(RedactionProfile.SECRETS)))
    pseudonymous = (each for each in PseudonymizedField if each in demand.pseudonymize)
    groups.extend(_gated(_pseudonyms(each), gates.get(each)) for each in pseudonymous)
    if rules:
        groups.extend(_look_for_any(rules, gates))
        groups.extend(_apply_rules(target, rules, gates) for target in (*_TEXTS, *places.OBJECTS))
    groups.extend(_apply_own(target, demand.patterns, gates) for target in places.OBJECTS if demand.patterns)
    return tuple(groups)


def patterns_of(tenants: Iterable[OwnPattern]) -> tuple[str, ...]:
    """A list for `apply_listed`: each regular expression, and what is put in its place."""
    return tuple(said for each in tenants for said in (each.regex, each.template))


def apply_listed(path: str) -> Iterator[Statements]:
    """Groups that run the patterns in the list at a path over both objects; NO_PATTERNS stands there for none.

    The collector compiles such a pattern for each event. An object that one cannot be applied to becomes the marker,
    and so does that of an event of which nobody knows the patterns.
    """
    for here in map(body, places.OBJECTS):
        conditions = f"not ({path} == {text(NO_PATTERNS)})", f"IsMap(log.body) and {here} != nil"
        yield _on_text(here, _listed_substitutions(path), conditions, Part.PATTERNS)


def _listed_substitutions(path: str) -> list[str]:
    """Statements that run the patterns of a list over TEXT: none may fail without WHOLE being set."""
    found, whole, many = cache(TEXT), cache(WHOLE), cache("many")
    statements = [
        assign(whole, "true", f"not IsList({path})"),
        assign(many, f"Len({path})", f"IsList({path})"),
        assign(whole, "true", f"{many} > {2 * MOST_TOGETHER}"),
    ]
    for number in range(MOST_TOGETHER):
        regex, replacement, hit = f"{path}[{2 * number}]", f"{path}[{2 * number + 1}]", cache(f"hit.{number}")
        there = f"{many} > {2 * number}"
        # By the expression alone, which is cheap where it begins with a plain character: no escape stands before most.
        is_pair = f"{many} > {2 * number + 1} and IsString({regex}) and IsString({replacement})"
        all_of_it = concat(text(f"{TEXT_ESCAPE}(?:"), regex, text(")"))
        statements.append(Attempt(assign(hit, f"IsMatch({found}, {regex})", is_pair)))
        statements.extend(_substituted(hit, all_of_it, replacement))
        statements.append(assign(whole, "true", f"{there} and {hit} == nil"))
    return statements


def _substituted(hit: str, regex: str, replacement: str) -> Iterator[str]:
    """Statements that put a replacement where an expression matches TEXT, or SHORT where that would be too long."""
    found, mark = cache(TEXT), text(MARK)
    # As `own_pattern.growth` has it.
    length = f"Len({found}) + (Len(Split({found}, {mark})) - 1) * (Len({replacement}) - {len(KEPT) + len(MARK)})"
    fits = f"{length} <= {GROWN_TIMES} * Len({cache(BEFORE)}) + {GROWN_BY}"
    yield f"replace_pattern({found}, {regex}, {text(KEPT + MARK)}) where {hit} == true"
    yield f"replace_pattern({found}, {mark}, {replacement}) where {hit} == true and {fits}"
    yield f"replace_pattern({found}, {mark}, {text(SHORT)}) where {hit} == true"


def _gated(group: Statements, gate: str | None) -> Statements:
    return replace(group, conditions=(gate, *group.conditions)) if gate else group


def quarantined(*, nameless: bool = False) -> Statements:
    """For lines that are no event: what is left of one that was cut may hold anything.

    Of the beginning of an event, what stands before its query and its bodies is kept: it says which request it was. If
    it is to be `nameless`, since a name may be a person's, then up to the resource.
    """
    raw, line, found = attribute(RAW), cache("line"), cache("found")
    size = concat(text("[REDACTED: "), f"Len({line})", text(" bytes]"))
    head = f'{found}["head"]'
    return Statements(
        (
            assign(line, raw),
            assign(raw, _MARKER),
            assign(raw, size),
            assign(found, f"ExtractPatterns({line}, {text(places.NAMELESS_HEAD if nameless else places.HEAD)})"),
            assign(raw, concat(head, size), f"{head} != nil"),
        ),
        (f"IsString({raw})",),
        Part.LINE,
    )


def is_about_persons(demand: RedactionDemand) -> bool:
    """Whether names may have to go."""
    return bool(demand.pseudonymize) or RedactionProfile.PII in demand.profiles


def _there(path: str, *keys: str) -> str:
    """That a path below a map can be read."""
    parents = [path + "".join(f"[{text(key)}]" for key in keys[:length]) for length in range(len(keys))]
    return " and ".join(f"IsMap({each})" for each in parents)


def _at(path: str, *keys: str) -> str:
    return path + "".join(f"[{text(key)}]" for key in keys)


# Structure.


def _known_fields() -> Statements:
    """Of a field that no event has, nobody knows what it holds."""
    event, before, note = "log.body", cache("fields"), body(places.NOTE)
    lost = f"({before} != Len({event}) or {note} != nil)"
    known = ", ".join(map(text, (*places.FIELDS, places.NOTE)))
    return Statements(
        (
            assign(before, f"Len({event})"),
            f"keep_keys({event}, [{known}])",
            assign(attribute(MODIFIED), "true", lost),
            assign(note, _MARKER, lost),
        ),
        (f"IsMap({event})",),
        Part.FIELDS,
    )


def _seal(sealed: tuple[Sealed, ...], gates: Mapping[Feature, str]) -> Iterator[Statements]:
    """Groups, so that what an event is not about, or does not hold, costs it one condition and not twenty."""
    yield _look_for_sealed(sealed, gates)
    annotations = body("annotations")
    yield Statements(
        (
            _IS_MODIFIED,
            *(assign(body(field), _MARKER, _is_no_map(body(field))) for field in places.OBJECTS),
            *_seal_status(body("responseStatus")),
            assign(annotations, _MARKER, _is_no_map(annotations)),
            *_noted(
                annotations,
                f"keep_matching_keys({annotations}, {text(places.SAFE_ANNOTATIONS)})",
                f"IsMap({annotations})",
            ),
        ),
        (f"{attribute(SEALED)} != nil",),
        Part.OBJECTS,
    )
    for each in sealed:
        for field in places.OBJECTS:
            conditions = f"{attribute(_sealed_as(each))} != nil", f"IsMap({body(field)})"
            yield Statements(tuple(_seal_object(body(field), each)), conditions, Part.OBJECTS)


def _is_no_map(path: str) -> str:
    return f"{path} != nil and not IsMap({path})"


def _sealed_as(sealed: Sealed) -> str:
    return f"{SEALED}.{sealed.name}"


def _look_for_sealed(sealed: tuple[Sealed, ...], gates: Mapping[Feature, str]) -> Statements:
    """Say what an event is about, of what is sealed: most have no objects and are about none of it."""
    reference, resource = body("objectRef"), body("objectRef", "resource")
    names = sorted({spelled.partition("/")[0] for each in sealed for spelled in each.resources})
    named = f"not IsString({resource}) or IsMatch({resource}, {text('^(?:' + '|'.join(names) + ')$')})"
    about = f"{_has_objects()} or ({reference} != nil and (not IsMap({reference}) or {named}))"
    asked = {places.CONFIG_MAPS.name: gates.get(RedactionProfile.SECRETS, "")}
    found = [
        assign(attribute(_sealed_as(each)), "true", _both(asked.get(each.name, ""), f"({_is_sealed(each)})"))
        for each in sealed
    ]
    any_found = " or ".join(f"{attribute(_sealed_as(each))} != nil" for each in sealed)
    statements = (*found, assign(attribute(SEALED), "true", any_found))
    return Statements(statements, (f"IsMap(log.body) and ({about})",), Part.OBJECTS)


def _is_sealed(sealed: Sealed) -> str:
    """By resource, by what an object says it is, or because the event does not say what it is about."""
    reference = body("objectRef")
    named = []
    for spelled in sealed.resources:
        resource, _, subresource = spelled.partition("/")
        about = f"{_at(reference, 'resource')} == {text(resource)}"
        named.append(f"({about} and {_at(reference, 'subresource')} == {text(subresource)})" if subresource else about)
    conditions = [f"(IsMap({reference}) and ({' or '.join(named)}))"]
    for field in places.OBJECTS:
        kinds = " or ".join(f"{_at(body(field), 'kind')} == {text(kind)}" for kind in sealed.kinds)
        conditions.append(f"(IsMap({body(field)}) and ({kinds}))")
    if sealed is places.SECRETS:
        conditions.append(f"({reference} != nil and not IsMap({reference}))")
        conditions.append(f"(IsMap({reference}) and not IsString({_at(reference, 'resource')}))")
    return " or ".join(conditions)


def _seal_object(path: str, sealed: Sealed) -> Iterator[str]:
    """For an object that is a map."""
    yield from _keep(path, sealed.top)
    for field in sealed.values:
        yield from _seal_values(_at(path, field))
    for field, kept in sealed.fields.items():
        here = _at(path, field)
        may_be_text = f" and not IsString({here})" if field == "status" else ""
        yield assign(here, _MARKER, _is_no_map(here) + may_be_text)
        yield from _keep(here, kept, f"IsMap({here})")
    for keys in sealed.masked:
        yield assign(_at(path, *keys), _MARKER, f"{_there(path, *keys)} and {_at(path, *keys)} != nil")
    if "status" not in sealed.fields:
        status = _at(path, "status")
        yield assign(status, _MARKER, f"{status} != nil and not IsString({status})")
    metadata = _at(path, "metadata")
    is_map = f"IsMap({metadata})"
    yield assign(metadata, _MARKER, _is_no_map(metadata))
    yield from _keep(metadata, (*places.METADATA, places.NOTE), is_map)
    yield from _seal_values(_at(metadata, "annotations"), is_map)
    for field in ("items", "rows"):
        yield from _count(_at(path, field))
    yield from _seal_answer(path)


def _seal_status(path: str) -> list[str]:
    return [assign(path, _MARKER, _is_no_map(path)), *_seal_answer(path, f"IsMap({path})")]


def _where(condition: str) -> str:
    return f" where {condition}" if condition else ""


def _both(first: str, second: str) -> str:
    """Two conditions, of which the first may be none."""
    return f"{first} and {second}" if first else second


def _seal_answer(path: str, where: str = "") -> list[str]:
    """What a Status says in words."""
    message, details = _at(path, "message"), _at(path, "details")
    safe = f"(IsString({message}) and IsMatch({message}, {text(places.SAFE_MESSAGE)}))"
    return [
        assign(message, _MARKER, _both(where, f"{message} != nil and not {safe}")),
        assign(details, _MARKER, _both(where, _is_no_map(details))),
        *_keep(details, (*places.DETAILS, places.NOTE), _both(where, f"IsMap({details})")),
    ]


def _keep(path: str, keys: tuple[str, ...], where: str = "") -> list[str]:
    return _noted(path, f"keep_keys({path}, [{', '.join(text(key) for key in keys)}])", where)


def _noted(path: str, statement: str, where: str) -> list[str]:
    """Take keys from a map, and note in it that some were taken."""
    note, before = _at(path, places.NOTE), cache("length")
    return [
        assign(before, f"Len({path})", where),
        statement + _where(where),
        assign(note, _MARKER, _both(where, f"({before} != Len({path}) or {note} != nil)")),
    ]


def _seal_values(path: str, where: str = "") -> list[str]:
    is_map = _both(where, f"IsMap({path})")
    return [
        assign(path, _MARKER, _both(where, _is_no_map(path))),
        f"stringify_all({path}) where {is_map}",
        f'replace_all_patterns({path}, "value", "(?s)^.*$", {_MARKER}) where {is_map}',
    ]


def _count(path: str) -> list[str]:
    counted = f"(IsString({path}) and IsMatch({path}, {text(places.COUNTED)}))"
    return [
        assign(path, _MARKER, f"{path} != nil and not IsList({path}) and not {counted}"),
        assign(path, concat(text("[REDACTED: "), f"Len({path})", text(" items]")), f"IsList({path})"),
    ]


def _urls(demand: RedactionDemand, gates: Mapping[Feature, str]) -> Statements:
    uri, before = body("requestURI"), cache("uri")
    masks = {places.URL_SECRETS: ""}
    if RedactionProfile.TOKENS in demand.profiles:
        masks |= dict.fromkeys(
            (places.UNUSUAL_COMMAND, places.FURTHER_COMMAND), _where(gates.get(RedactionProfile.TOKENS, ""))
        )
    return Statements(
        (
            assign(before, uri),
            *(f"replace_pattern({uri}, {text(mask)}, {text(KEPT + MARKER)}){where}" for mask, where in masks.items()),
            assign(attribute(MODIFIED), "true", f"{uri} != {before}"),
        ),
        (f"IsMap(log.body) and IsString({uri}) and Index({uri}, {text('=')}) >= 0",),
        Part.PARAMETERS,
    )


def _patches() -> Statements:
    annotations, note = body("annotations"), body("annotations", places.PATCHES_NOTE)
    has = f"IsMatch(String(Keys({annotations})), {text('patch[.]webhook[.]admission')})"
    return Statements(
        (
            f"delete_matching_keys({annotations}, {text(places.PATCHES)})",
            assign(note, _MARKER),
            _IS_MODIFIED,
        ),
        (f"{_stands('h.webhook.admission.k8s.io/')} and IsMap(log.body) and IsMap({annotations}) and {has}",),
        Part.PATCHES,
    )


def _last_applied() -> Statements:
    """The annotation of an object itself is masked at once; where there is one elsewhere, rules look for it.

    So often does its name stand in the line of a list, a template, or a manifest in a text; but not that it has an
    owner, which `managedFields` say.
    """
    raw, left = attribute(RAW), cache("left")
    found, owned = (f"Len(Split({raw}, {text(each)}))" for each in (places.LAST_APPLIED_LITERAL, places.OWNED))
    statements = [_IS_MODIFIED, assign(left, f"{found} - {owned}", f"IsString({raw})")]
    for field in places.OBJECTS:
        keys = ("metadata", "annotations", places.LAST_APPLIED)
        there, here = _there(body(field), *keys), _at(body(field), *keys)
        statements += [
            assign(here, _MARKER, f"{there} and IsString({here})"),
            assign(left, f"{left} - 1", f"{left} != nil and {there} and {here} == {_MARKER}"),
            assign(here, _MARKER, f"{there} and {here} != nil"),
        ]
    statements.append(assign(attribute(OBJECTS_HIT), "true", f"{left} == nil or {left} > 0"))
    literal = places.LAST_APPLIED_LITERAL
    conditions = (f"IsMap(log.body) and ({_has_objects()}) and {_stands(literal)}",)
    return Statements(tuple(statements), conditions, Part.LAST_APPLIED)


def _has_objects() -> str:
    return " or ".join(f"{body(field)} != nil" for field in places.OBJECTS)


def _stands(literal: str) -> str:
    """That a literal stands in the line; true where there is no line to look at."""
    return f"(not IsString({attribute(RAW)}) or Index({attribute(RAW)}, {text(literal)}) >= 0)"


# Patterns.


def _look_for_any(rules: tuple[Rule, ...], gates: Mapping[Feature, str]) -> Iterator[Statements]:
    """Look for all rules; for those of profiles that not every event's demand names, in groups of their own."""
    gated: dict[str, list[Rule]] = {}
    for rule in rules:
        gated.setdefault(gates.get(rule.profile, ""), []).append(rule)
    always = gated.pop("", [])
    yield _look_for(always, () if always else (" or ".join(gated),), doubt=True)
    for gate, theirs in gated.items():
        yield _look_for(theirs, (gate,), doubt=False)


def _look_for(rules: list[Rule], conditions: tuple[str, ...], *, doubt: bool) -> Statements:
    """Set HIT or OBJECTS_HIT where some rule may match: a pass over the line for each literal, and no more for most."""
    raw = cache("raw")
    hit, objects_hit = attribute(HIT), attribute(OBJECTS_HIT)
    plain = [rule for rule in rules if not rule.gates]
    low, words = cache("low"), cache("words")
    in_objects, in_words = cache("objects"), cache("said")
    is_open = f"{attribute(SEALED)} == nil"
    statements = [
        assign(raw, attribute(RAW)),
        assign(raw, "String(log.body)", f"not IsString({attribute(RAW)})"),
        assign(hit, "true", _any_literal(raw, "", _of(plain, Scope.EVERYWHERE))),
        *([assign(hit, "true", f"{hit} == nil and ({_doubtful(raw)})")] if doubt else []),
        assign(in_objects, "true", f"{hit} == nil and {is_open} and ({_has_objects()})"),
        assign(in_words, "true", f"{hit} == nil and {is_open} and ({_says_more()})"),
        assign(low, f"ToLowerCase({raw})", f"{in_objects} != nil or {in_words} != nil"),
        assign(words, "true", f"{low} != nil and ({_any_literal(raw, low, _of(plain, Scope.WORDS))})"),
        assign(
            objects_hit,
            "true",
            f"{in_objects} != nil and ({words} != nil or {_any_literal(raw, low, _of(plain, Scope.OBJECTS))})",
        ),
        assign(attribute(WORDS_HIT), "true", f"{in_words} != nil and {words} != nil"),
    ]
    for rule in sorted((rule for rule in rules if rule.gates), key=lambda rule: not rule.literals):
        attributes = (hit,) if rule.scope is Scope.EVERYWHERE else (hit, objects_hit)
        unset = " and ".join(f"{each} == nil" for each in attributes)
        cheap = f" and ({_any_of(raw, rule.literals)})" if rule.literals else ""
        statements.append(assign(attributes[-1], "true", f"{unset}{cheap} and ({_passes(raw, rule)})"))
    return Statements(tuple(statements), (*conditions, "IsMap(log.body)"), Part.PROFILES)


def _of(rules: Iterable[Rule], scope: Scope) -> Iterator[Rule]:
    return (rule for rule in rules if rule.scope is scope)


def _says_more() -> str:
    """That the API server or a webhook says something of a request that it does not say of every request."""
    status, annotations = body("responseStatus"), body("annotations")
    more = " or ".join(f"{_at(status, each)} != nil" for each in places.WORDS)
    lacking = " or ".join(f"{_at(annotations, each)} == nil" for each in places.OF_EVERY_REQUEST)
    many = f"Len({annotations}) > {len(places.OF_EVERY_REQUEST)}"
    return (
        f"({status} != nil and (not IsMap({status}) or {more})) or "
        f"({annotations} != nil and (not IsMap({annotations}) or {many} or {lacking}))"
    )


def _passes(path: str, rule: Rule) -> str:
    """That a text passes one of a rule's gates; together in one expression, none of them would be found quickly."""
    return " or ".join(f"IsMatch({path}, {text(gate)})" for gate in rule.gates)


def _doubtful(raw: str) -> str:
    """That a line is spelled so that literals cannot be looked for in it."""
    spelled = " or ".join(f"Index({raw}, {text(literal)}) >= 0" for literal in DOUBTFUL.literals)
    escaped = f"(Index({raw}, {text(DOUBTFUL.escape)}) >= 0 and IsMatch({raw}, {text(DOUBTFUL.escapes)}))"
    return f"not IsMatch({raw}, {text(DOUBTFUL.usual)}) or {spelled} or {escaped}"


def _any_literal(path: str, low: str, rules: Iterable[Rule]) -> str:
    """That a literal of some rule stands in a text, of which there is a copy in lower case."""
    literals: dict[bool, set[str]] = {False: set(), True: set()}
    for rule in rules:
        literals[rule.folded] |= {each for each in rule.literals if each != places.LAST_APPLIED_LITERAL}
    tests = [_any_of(low if folded else path, found) for folded, found in literals.items() if found]
    return " or ".join(tests) or "false"


def _any_of(path: str, literals: Iterable[str]) -> str:
    """That one of some literals stands in a text; those that share something rare only where that does."""
    guarded: dict[str, list[str]] = {}
    for literal in sorted(literals):
        guard = next((each for each in GUARDS if each in literal), literal)
        guarded.setdefault(guard, []).append(literal)
    return " or ".join(_guarded(path, guard, found) for guard, found in sorted(guarded.items()))


def _guarded(path: str, guard: str, literals: list[str]) -> str:
    if guard in literals:
        return _stands_in(path, guard)
    return f"({_stands_in(path, guard)} and ({' or '.join(_stands_in(path, each) for each in literals)}))"


def _stands_in(path: str, literal: str) -> str:
    return f"Index({path}, {text(literal)}) >= 0"


def _apply_rules(target: str, rules: tuple[Rule, ...], gates: Mapping[Feature, str]) -> Statements:
    """Run rules over one part. Objects of which only what is harmless is left need none."""
    here, is_hit = body(target), f"{attribute(HIT)} != nil"
    statements = substitutions((rule for rule in rules if rule.scope in scopes(target)), gates)
    if target in places.OBJECTS:
        is_hit = f"{attribute(SEALED)} == nil and ({is_hit} or {attribute(OBJECTS_HIT)} != nil)"
    elif target in places.SAID:
        is_hit = f"({is_hit} or {attribute(WORDS_HIT)} != nil)"
    return _on_text(here, statements, (f"{is_hit} and IsMap(log.body) and {here} != nil",), Part.PROFILES)


def substitutions(rules: Iterable[Rule], gates: Mapping[Feature, str] = _UNGATED) -> list[str]:
    """Statements that run rules over TEXT, and set WHOLE where all of it must go."""
    found, low, whole = cache(TEXT), cache("low"), cache(WHOLE)
    statements = [assign(low, f"ToLowerCase({found})")]
    looked: dict[tuple[tuple[str, ...], bool], str] = {}
    for rule in rules:
        needed = rule.literals, rule.folded
        if rule.literals and needed not in looked:
            # Once for all rules that need the same ones; what a rule puts in holds none.
            looked[needed] = here = cache(f"has.{len(looked)}")
            statements.append(assign(here, "true", _any_of(low if rule.folded else found, rule.literals)))
        where = f"{looked[needed]} != nil" if rule.literals else _passes(found, rule)
        if rule.profile in gates:
            where = f"{gates[rule.profile]} and ({where})"
        if rule.also:
            both = f"IsMatch({found}, {text(rule.regex)}) and IsMatch({found}, {text(rule.also)})"
            statements.append(assign(whole, "true", f"{where} and {both}"))
        else:
            replaced = f"replace_pattern({found}, {text(rule.regex)}, {text(rule.replacement)})"
            statements.append(f"{replaced} where {where}")
    return statements


def _apply_own(target: str, patterns: tuple[OwnPattern, ...], gates: Mapping[Feature, str]) -> Statements:
    here, asked = body(target), list(dict.fromkeys(gates.get(each, "") for each in patterns))
    anywhere = () if "" in asked else (" or ".join(asked),)
    conditions = (*anywhere, f"IsMap(log.body) and {here} != nil")
    return _on_text(here, own_substitutions(patterns, gates), conditions, Part.PATTERNS)


def own_substitutions(patterns: Iterable[OwnPattern], gates: Mapping[Feature, str] = _UNGATED) -> list[str]:
    """Statements that run users' patterns over TEXT."""
    statements = []
    for number, pattern in enumerate(patterns):
        regex, _ = pattern.substitution
        hit = cache(f"hit.{number}")
        # By the expression alone: see `apply_listed`.
        statements.append(assign(hit, f"IsMatch({cache(TEXT)}, {text(pattern.regex)})", gates.get(pattern, "")))
        statements.extend(_substituted(hit, text(regex), text(pattern.template)))
    return statements


def _on_text(here: str, statements: list[str], conditions: tuple[str, ...], part: Part) -> Statements:
    """Run statements over the text of a part, and put back what became of it.

    A line that was looked into is written anew even if nothing was found in it: of two fields with one name in a line,
    only the last is in the map that was looked into.
    """
    found, before, structured, whole = cache(TEXT), cache(BEFORE), cache("structured"), cache(WHOLE)
    changed = f"({whole} != nil or {found} != {before})"
    return Statements(
        (
            assign(found, f"String({here})"),
            assign(before, found),
            assign(structured, "true", f"not IsString({here})"),
            *statements,
            assign(here, _MARKER, changed),
            assign(here, found, f"{changed} and {whole} == nil and {structured} == nil"),
            Attempt(assign(here, f"ParseJSON({found})", f"{changed} and {whole} == nil and {structured} != nil")),
            _IS_MODIFIED,
        ),
        conditions,
        part,
    )


# Pseudonyms.


def _pseudonyms(of: PseudonymizedField) -> Statements:
    secret, prefix = attribute(KEY_SECRET), text(pseudonyms.PREFIX)
    statements = [
        assign(cache("key"), text("")),
        assign(cache("key"), secret, f"IsString({secret})"),
        assign(cache("prefix"), concat(prefix, attribute(KEY_ID), text("-"))),
        assign(cache("namespace"), text("")),
        assign(cache("namespace"), attribute(NAMESPACE), f"IsString({attribute(NAMESPACE)})"),
        assign(cache("namespace"), f"SHA256({cache('namespace')})"),
        _IS_MODIFIED,
    ]
    match of:
        case PseudonymizedField.USERNAME:
            for field in pseudonyms.USERS:
                statements.extend(_pseudonym_of_user(body(field), cache(field)))
        case PseudonymizedField.SOURCE_IPS:
            statements.extend(_pseudonyms_of_addresses(body("sourceIPs")))
    part = {PseudonymizedField.USERNAME: Part.USERNAME, PseudonymizedField.SOURCE_IPS: Part.ADDRESSES}[of]
    return Statements(tuple(statements), ("IsMap(log.body)",), part)


def pseudonym(target: str, value: str, where: str) -> list[str]:
    """Statements that set a path to the pseudonym of another's value.

    The cache holds ``key``, ``prefix`` and ``namespace``.
    """
    digest = f"SHA256({concat(cache('key'), cache('namespace'), value, cache('key'), between=pseudonyms.BETWEEN)})"
    short = f"Substring({digest}, 0, {pseudonyms.DIGITS})"
    return [
        assign(cache("pseudonym"), concat(cache("prefix"), short), where),
        assign(cache("pseudonym"), _MARKER, f"{where} and {cache('key')} == {text('')}"),
        assign(target, cache("pseudonym"), where),
    ]


def prefix_of_key() -> str:
    """A statement that sets ``prefix`` in the cache by the ``key`` there, as `PseudonymKey.of` does."""
    digest = f"SHA256({concat(text(pseudonyms.ID_OF), cache('key'), between=pseudonyms.BETWEEN)})"
    short = f"Substring({digest}, 0, {pseudonyms.ID_DIGITS})"
    return assign(cache("prefix"), concat(text(pseudonyms.PREFIX), short, text("-")))


def forgotten_keys() -> Statements:
    """For all records, after redaction: no key goes on with one."""
    statements = (f"delete_key(log.attributes, {text(each)})" for each in (KEY_ID, KEY_SECRET))
    return Statements(tuple(statements), name=Part.KEYS)


def _pseudonym_of_user(user: str, name: str) -> list[str]:
    username, known = _at(user, "username"), f"{name} != nil"
    is_person = f"not IsMatch({username}, {text(pseudonyms.NO_PERSON)})"
    statements = [
        assign(user, _MARKER, f"{user} != nil and not IsMap({user})"),
        assign(username, _MARKER, f"IsMap({user}) and {username} != nil and not IsString({username})"),
        assign(name, username, f"IsMap({user}) and IsString({username}) and {is_person}"),
        *pseudonym(username, name, known),
        assign(_at(user, "uid"), _MARKER, f"{known} and {_at(user, 'uid')} != nil"),
    ]
    extra = _at(user, "extra")
    statements.append(assign(extra, _MARKER, f"{known} and {extra} != nil and not IsMap({extra})"))
    kept = f"keep_matching_keys({extra}, {text(pseudonyms.EXTRA)})"
    statements.extend(_noted(extra, kept, f"{known} and IsMap({extra})"))
    for path in pseudonyms.REPEATED:
        here, there = body(*path), _there("log.body", *path)
        named = f"{known} and {there} and IsString({here})"
        quoted = concat(text('User "'), name, text('"'))
        replaced = concat(text('User "'), cache("pseudonym"), text('"'))
        said = f"{named} and Index({here}, {quoted}) >= 0"
        statements.append(f"replace_pattern({here}, {text(pseudonyms.QUOTED)}, {replaced}) where {said}")
        statements.append(assign(here, _MARKER, f"{named} and Index({here}, {name}) >= 0"))
    uri, encoded = body("requestURI"), cache("encoded")
    statements.append(assign(encoded, name, known))
    statements.extend(
        f"replace_pattern({encoded}, {text(pattern)}, {text(escape)}) where {known}"
        for pattern, escape in pseudonyms.URL_ESCAPES
    )
    spelled = f"Index({uri}, {name}) >= 0 or Index({uri}, {encoded}) >= 0"
    statements.append(assign(uri, _MARKER, f"{known} and IsString({uri}) and ({spelled})"))
    return statements


def _pseudonyms_of_addresses(path: str) -> list[str]:
    """Of the few first ones; in a longer list, which the sender has made, of the last one, which he has not."""
    is_list, last = f"IsList({path})", cache("last")
    long = f"{is_list} and Len({path}) > {pseudonyms.ADDRESSES}"
    statements = [
        assign(path, _MARKER, f"{path} != nil and not {is_list}"),
        assign(last, f"{path}[Len({path}) - 1]", long),
        assign(path, f"[{_MARKER}, {_MARKER}]", long),
        assign(f"{path}[1]", last, f"{last} != nil"),
    ]
    for place in range(pseudonyms.ADDRESSES):
        here, there = f"{path}[{place}]", f"{is_list} and Len({path}) > {place}"
        known = f"IsMatch({here}, {text(pseudonyms.NO_ADDRESS)})"
        statements.append(assign(here, _MARKER, f"{there} and not IsString({here})"))
        statements.extend(pseudonym(here, here, f"{there} and IsString({here}) and not {known}"))
    return statements
