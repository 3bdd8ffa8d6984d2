"""The model in OTTL, for the transform processor of collector 0.157.

A statement that fails is skipped, and its event is forwarded as it was. So none can fail on any event: a path is read
only where everything above it is a map, and whatever replaces a part that is hard to rebuild first puts the marker
there. OTTL has no loops that are not behind a feature gate; `places` says what that means for lists.

No tenant's text becomes code: `ottl.text` quotes it, and ``$`` is doubled in replacements, where it begins a group. The
configuration as a whole doubles it once more (`collector.configuration`); that of a sidecar must leave `PSEUDONYM_KEY`
as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.collector.attributes import MODIFIED, RAW
from audit_operator.shipping.collector.ottl import (
    SilentStatements,
    Statements,
    assign,
    attribute,
    body,
    cache,
    concat,
    text,
)
from audit_operator.shipping.redaction import places, pseudonyms
from audit_operator.shipping.redaction.rules import DOUBTFUL, GUARDS, KEPT, MARKER, RULES, Rule, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.shipping.redaction.demand import RedactionDemand
    from audit_operator.shipping.redaction.own_pattern import OwnPattern
    from audit_operator.shipping.redaction.places import Sealed

HIT = "op.redact.hit"
"""Set where some rule may match anywhere in the event."""
OBJECTS_HIT = "op.redact.objects"
"""Set where some rule may match in an object."""
SEALABLE = "op.redact.sealable"
"""Set where an event is worth a closer look, whether it is about what is sealed."""
SEALED = "op.redact.sealed"
"""Set where the objects are stripped to what is harmless."""

TEXT, WHOLE = "text", "whole"
"""What patterns run over, in the cache, and that nothing of it may stay."""

NAMESPACE = "namespace"
"""Holds the event's namespace; set before."""

KEY_ID, KEY_SECRET = "op.pseudonym.id", "op.pseudonym.key"
"""Hold what was looked up for the event's namespace: see `collector.pseudonym_keys`."""

PSEUDONYM_VARIABLE = "AUDIT_OPERATOR_PSEUDONYM_KEY"
"""Of the environment of a sidecar's collector, which has one key."""
PSEUDONYM_KEY = assign(cache("key"), f'"${{env:{PSEUDONYM_VARIABLE}}}"')
"""The one statement in which ``$`` is an expansion. The key holds no quotes or backslashes: it is hexadecimal."""

_MARKER = text(MARKER)
_TEXTS = ("requestURI", "userAgent", "annotations", "responseStatus")
_IS_MODIFIED = assign(attribute(MODIFIED), "true")


def render(demand: RedactionDemand) -> tuple[Statements, ...]:
    """Statement groups in the order in which they must run, for events whose body is a map."""
    sealed = [places.SECRETS, places.TOKENS]
    if RedactionProfile.SECRETS in demand.profiles:
        sealed.append(places.CONFIG_MAPS)
    rules = tuple(rule for rule in RULES if rule.profile in demand.profiles)
    groups = [_look_for_sealed(sealed), *(_seal(each) for each in sealed), _urls(demand), _patches()]
    if RedactionProfile.SECRETS in demand.profiles:
        groups.append(_last_applied())
    if demand.pseudonymize:
        groups.append(_pseudonyms(demand))
    if rules:
        groups.append(_look_for(rules))
        groups.extend(_apply_rules(target, rules) for target in (*_TEXTS, *places.OBJECTS))
    if demand.patterns:
        groups.extend(_apply_own(target, demand.patterns) for target in places.OBJECTS)
    return tuple(groups)


def quarantined() -> Statements:
    """For lines that are no event: what is left of one that was cut may hold anything.

    Of the beginning of an event, what stands before its query and its bodies is kept: it says which request it was.
    """
    raw, found = attribute(RAW), cache("found")
    size = concat(text("[REDACTED: "), f"Len({raw})", text(" bytes]"))
    head = f'{found}["head"]'
    return Statements(
        (
            assign(found, f"ExtractPatterns({raw}, {text(places.HEAD)})"),
            assign(raw, size, f"{head} == nil"),
            assign(raw, concat(head, size), f"{head} != nil"),
        ),
        (f"IsString({raw})",),
    )


def _there(path: str, *keys: str) -> str:
    """That a path below a map can be read."""
    parents = [path + "".join(f"[{text(key)}]" for key in keys[:length]) for length in range(len(keys))]
    return " and ".join(f"IsMap({each})" for each in parents)


def _at(path: str, *keys: str) -> str:
    return path + "".join(f"[{text(key)}]" for key in keys)


# Structure.


def _seal(sealed: Sealed) -> Statements:
    statements = [_IS_MODIFIED, assign(attribute(SEALED), "true")]
    for field in places.OBJECTS:
        statements.extend(_seal_object(body(field), sealed))
    statements.extend(_seal_status(body("responseStatus")))
    annotations = body("annotations")
    statements.append(assign(annotations, _MARKER, f"{annotations} != nil and not IsMap({annotations})"))
    statements.extend(
        _noted(
            annotations, f"keep_matching_keys({annotations}, {text(places.SAFE_ANNOTATIONS)})", f"IsMap({annotations})"
        )
    )
    return Statements(tuple(statements), (_is_sealed(sealed),))


def _look_for_sealed(sealed: Iterable[Sealed]) -> Statements:
    """Set SEALABLE wherever `_is_sealed` may hold: most events have no objects and are about none of these."""
    reference, resource = body("objectRef"), body("objectRef", "resource")
    names = sorted({spelled.partition("/")[0] for each in sealed for spelled in each.resources})
    named = f"not IsString({resource}) or IsMatch({resource}, {text('^(?:' + '|'.join(names) + ')$')})"
    about = f"{_has_objects()} or ({reference} != nil and (not IsMap({reference}) or {named}))"
    return Statements((assign(attribute(SEALABLE), "true", about),), ("IsMap(log.body)",))


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
    return f"{attribute(SEALABLE)} != nil and ({' or '.join(conditions)})"


def _seal_object(path: str, sealed: Sealed) -> list[str]:
    is_map = f"IsMap({path})"
    statements = [assign(path, _MARKER, f"{path} != nil and not {is_map}"), *_keep(path, sealed.top, is_map)]
    for field in sealed.values:
        statements.extend(_seal_values(_at(path, field), is_map))
    for field, kept in sealed.fields.items():
        here = _at(path, field)
        may_be_text = f" and not IsString({here})" if field == "status" else ""
        statements.append(assign(here, _MARKER, f"{is_map} and {here} != nil and not IsMap({here}){may_be_text}"))
        statements.extend(_keep(here, kept, f"{is_map} and IsMap({here})"))
    statements.extend(
        assign(_at(path, *keys), _MARKER, f"{_there(path, *keys)} and {_at(path, *keys)} != nil")
        for keys in sealed.masked
    )
    if "status" not in sealed.fields:
        status = _at(path, "status")
        statements.append(assign(status, _MARKER, f"{is_map} and {status} != nil and not IsString({status})"))
    metadata = _at(path, "metadata")
    statements.append(assign(metadata, _MARKER, f"{is_map} and {metadata} != nil and not IsMap({metadata})"))
    statements.extend(_keep(metadata, (*places.METADATA, places.NOTE), f"{is_map} and IsMap({metadata})"))
    statements.extend(_seal_values(_at(metadata, "annotations"), f"{is_map} and IsMap({metadata})"))
    for field in ("items", "rows"):
        statements.extend(_count(_at(path, field), is_map))
    return [*statements, *_seal_answer(path, is_map)]


def _seal_status(path: str) -> list[str]:
    return [
        assign(path, _MARKER, f"{path} != nil and not IsMap({path})"),
        *_seal_answer(path, f"IsMap({path})"),
    ]


def _seal_answer(path: str, is_map: str) -> list[str]:
    """What a Status says in words."""
    message, details = _at(path, "message"), _at(path, "details")
    safe = f"(IsString({message}) and IsMatch({message}, {text(places.SAFE_MESSAGE)}))"
    return [
        assign(message, _MARKER, f"{is_map} and {message} != nil and not {safe}"),
        assign(details, _MARKER, f"{is_map} and {details} != nil and not IsMap({details})"),
        *_keep(details, (*places.DETAILS, places.NOTE), f"{is_map} and IsMap({details})"),
    ]


def _keep(path: str, keys: tuple[str, ...], where: str) -> list[str]:
    return _noted(path, f"keep_keys({path}, [{', '.join(text(key) for key in keys)}])", where)


def _noted(path: str, statement: str, where: str) -> list[str]:
    """Take keys from a map, and note in it that some were taken."""
    note, before = _at(path, places.NOTE), cache("length")
    return [
        assign(before, f"Len({path})", where),
        f"{statement} where {where}",
        assign(note, _MARKER, f"{where} and ({before} != Len({path}) or {note} != nil)"),
    ]


def _seal_values(path: str, where: str) -> list[str]:
    is_map = f"{where} and IsMap({path})"
    return [
        assign(path, _MARKER, f"{where} and {path} != nil and not IsMap({path})"),
        f"stringify_all({path}) where {is_map}",
        f'replace_all_patterns({path}, "value", "(?s)^.*$", {_MARKER}) where {is_map}',
    ]


def _count(path: str, where: str) -> list[str]:
    counted = f"(IsString({path}) and IsMatch({path}, {text(places.COUNTED)}))"
    return [
        assign(path, _MARKER, f"{where} and {path} != nil and not IsList({path}) and not {counted}"),
        assign(path, concat(text("[REDACTED: "), f"Len({path})", text(" items]")), f"{where} and IsList({path})"),
    ]


def _urls(demand: RedactionDemand) -> Statements:
    uri, before = body("requestURI"), cache("uri")
    masks = [places.URL_SECRETS]
    if RedactionProfile.TOKENS in demand.profiles:
        masks.extend((places.UNUSUAL_COMMAND, places.FURTHER_COMMAND))
    return Statements(
        (
            assign(before, uri),
            *(f"replace_pattern({uri}, {text(mask)}, {text(KEPT + MARKER)})" for mask in masks),
            assign(attribute(MODIFIED), "true", f"{uri} != {before}"),
        ),
        (f"IsMap(log.body) and IsString({uri}) and Index({uri}, {text('=')}) >= 0",),
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
    )


def _last_applied() -> Statements:
    """The annotation of an object itself is masked at once; in lists and patches, the rule of the same name does it."""
    statements, literal = [_IS_MODIFIED], places.LAST_APPLIED_LITERAL
    for field in places.OBJECTS:
        path = body(field)
        keys = ("metadata", "annotations", places.LAST_APPLIED)
        here = _at(path, *keys)
        statements.append(assign(here, _MARKER, f"{_there(path, *keys)} and {here} != nil"))
        nested = f"IsMap({path}) and ({_at(path, 'items')} != nil or {_at(path, 'rows')} != nil)"
        other = f"{path} != nil and not IsMap({path})"
        statements.append(assign(attribute(OBJECTS_HIT), "true", f"({nested}) or ({other})"))
    return Statements(tuple(statements), (f"IsMap(log.body) and ({_has_objects()}) and {_stands(literal)}",))


def _has_objects() -> str:
    return " or ".join(f"{body(field)} != nil" for field in places.OBJECTS)


def _stands(literal: str) -> str:
    """That a literal stands in the line; true where there is no line to look at."""
    return f"(not IsString({attribute(RAW)}) or Index({attribute(RAW)}, {text(literal)}) >= 0)"


# Patterns.


def _look_for(rules: tuple[Rule, ...]) -> Statements:
    """Set HIT or OBJECTS_HIT where some rule may match: a pass over the line for each literal, and no more for most."""
    raw, low = cache("raw"), cache("low")
    hit, objects_hit = attribute(HIT), attribute(OBJECTS_HIT)
    plain = [rule for rule in rules if not rule.gates]
    in_objects = f"{attribute(SEALED)} == nil and ({_has_objects()})"
    statements = [
        assign(raw, attribute(RAW)),
        assign(raw, "String(log.body)", f"not IsString({attribute(RAW)})"),
        assign(low, f"ToLowerCase({raw})", in_objects),
        assign(hit, "true", _any_literal(raw, "", (rule for rule in plain if rule.scope is Scope.EVERYWHERE))),
        assign(hit, "true", f"{hit} == nil and ({_doubtful(raw)})"),
        assign(
            objects_hit,
            "true",
            f"{hit} == nil and {low} != nil and "
            f"({_any_literal(raw, low, (rule for rule in plain if rule.scope is Scope.OBJECTS))})",
        ),
    ]
    for rule in sorted((rule for rule in rules if rule.gates), key=lambda rule: not rule.literals):
        attributes = (hit,) if rule.scope is Scope.EVERYWHERE else (hit, objects_hit)
        unset = " and ".join(f"{each} == nil" for each in attributes)
        cheap = f" and ({_any_of(raw, rule.literals)})" if rule.literals else ""
        statements.append(assign(attributes[-1], "true", f"{unset}{cheap} and ({_passes(raw, rule)})"))
    return Statements(tuple(statements), ("IsMap(log.body)",))


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


def _apply_rules(target: str, rules: tuple[Rule, ...]) -> Statements:
    """Run rules over one part. Objects of which only what is harmless is left need none."""
    here = body(target)
    is_object = target in places.OBJECTS
    statements = substitutions(rule for rule in rules if is_object or rule.scope is not Scope.OBJECTS)
    is_hit = f"{attribute(HIT)} != nil"
    if is_object:
        is_hit = f"{attribute(SEALED)} == nil and ({is_hit} or {attribute(OBJECTS_HIT)} != nil)"
    return _on_text(here, statements, (f"{is_hit} and IsMap(log.body) and {here} != nil",))


def substitutions(rules: Iterable[Rule]) -> list[str]:
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
        if rule.also:
            both = f"IsMatch({found}, {text(rule.regex)}) and IsMatch({found}, {text(rule.also)})"
            statements.append(assign(whole, "true", f"{where} and {both}"))
        else:
            replaced = f"replace_pattern({found}, {text(rule.regex)}, {text(rule.replacement)})"
            statements.append(f"{replaced} where {where}")
    return statements


def _apply_own(target: str, patterns: tuple[OwnPattern, ...]) -> Statements:
    here = body(target)
    return _on_text(here, own_substitutions(patterns), (f"IsMap(log.body) and {here} != nil",))


def own_substitutions(patterns: Iterable[OwnPattern]) -> list[str]:
    """Statements that run tenants' patterns over TEXT."""
    statements = []
    for pattern in patterns:
        regex, replacement = pattern.substitution
        written = text(KEPT + replacement.replace("$", "$$"))
        statements.append(f"replace_pattern({cache(TEXT)}, {text(regex)}, {written})")
    return statements


def _on_text(here: str, statements: list[str], conditions: tuple[str, ...]) -> Statements:
    """Run statements over the text of a part, and put back what became of it.

    A line that was looked into is written anew even if nothing was found in it: of two fields with one name in a line,
    only the last is in the map that was looked into.
    """
    found, before, structured, whole = cache(TEXT), cache("before"), cache("structured"), cache(WHOLE)
    changed = f"({whole} != nil or {found} != {before})"
    return SilentStatements(
        (
            assign(found, f"String({here})"),
            assign(before, found),
            assign(structured, "true", f"not IsString({here})"),
            *statements,
            assign(here, _MARKER, changed),
            assign(here, found, f"{changed} and {whole} == nil and {structured} == nil"),
            assign(here, f"ParseJSON({found})", f"{changed} and {whole} == nil and {structured} != nil"),
            _IS_MODIFIED,
        ),
        conditions,
    )


# Pseudonyms.


def _pseudonyms(demand: RedactionDemand) -> Statements:
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
    if PseudonymizedField.USERNAME in demand.pseudonymize:
        for field in pseudonyms.USERS:
            statements.extend(_pseudonym_of_user(body(field), cache(field)))
    if PseudonymizedField.SOURCE_IPS in demand.pseudonymize:
        statements.extend(_pseudonyms_of_addresses(body("sourceIPs")))
    return Statements(tuple(statements), ("IsMap(log.body)",))


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
    return Statements(tuple(f"delete_key(log.attributes, {text(each)})" for each in (KEY_ID, KEY_SECRET)))


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
