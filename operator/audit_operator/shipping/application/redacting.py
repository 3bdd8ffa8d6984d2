r"""What is taken out of application logs before they leave the pod.

Patterns run over all of a line as compact JSON with sorted keys, however the application spelled it; where none finds
anything, the line stays as it was written. Of a field that a line names twice, only the last is in that JSON: such a
line is written anew. A line that is no JSON is redacted as text, where it is spelled so that patterns can be trusted.

What cannot be redacted is withheld: its size and the reason are all that is shipped. So is a line on which a statement
failed, or the condition of one (`collector.proving`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.application.attributes import WITHHELD_NOTE
from audit_operator.shipping.application.reading import IS_OBJECT, QUARANTINED, above
from audit_operator.shipping.application.standard import Reason, StandardField, places
from audit_operator.shipping.collector.attributes import MODIFIED, RAW
from audit_operator.shipping.collector.ottl import (
    Statements,
    assign,
    attribute,
    body,
    cache,
    concat,
    text,
)
from audit_operator.shipping.redaction import pseudonyms
from audit_operator.shipping.redaction.parts import Part
from audit_operator.shipping.redaction.rendering import (
    BEFORE,
    PSEUDONYM_KEY,
    TEXT,
    WHOLE,
    own_substitutions,
    prefix_of_key,
    pseudonym,
    substitutions,
)
from audit_operator.shipping.redaction.rules import KEPT, MARKER, RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.shipping.application.pipeline import ApplicationPipeline

_ABOUT_PEOPLE = frozenset({RedactionProfile.PII, RedactionProfile.FINANCIAL})
"""Profiles that leave alone who it was, and what a record is found by: these stand there on purpose."""
_IDENTITY = (StandardField.TIME, StandardField.USER, StandardField.ID, StandardField.CORRELATION_ID)

_NAMED = (
    r"(?i:passw(?:or)?d|passphrase|pwd|token|secret|(?:api|access|secret|private|client)[_-]?key|credentials?)"
    r"[A-Za-z0-9_.-]{0,32}"
)
IN_TEXT = (
    rf"""({_NAMED}\\*["']?\s*(?:=>|[:=])\s*)(?:\\*"(?:[^"\\]|\\(?s:.))*"?|'[^']*'?|[^\s,;&"'}}\])]+)""",
    r"((?i:authorization|cookie)\\*[\"']?\s*(?:=>|[:=])).*",
)
"""A value that goes by the name of a secret, in text that is no JSON: in quotes, or up to where a value ends."""
_ESCAPES = r"\\(?:/|u00(?:2[0-9a-fA-F]|3[0-9a-fA-F]|[4-7]))"
"""Escapes of characters that need none: patterns would not see what is spelled so."""
_UNSURE = (" :", "\t", "\r", r"\u0022")
"""One of these stands in a line that is spelled so that the ends of keys cannot be counted."""
_END_OF_KEY = '":'
_SIGN, _AS_IT_IS = "[^A-Za-z0-9_\x80-\U0010ffff]", r"\${0}"
"""In a regular expression, every sign may stand behind a backslash."""

_JSON = "op.json"
"""A line as compact JSON, where nothing was found in it."""
_FOUND, _BEFORE, _WHOLE = cache(TEXT), cache(BEFORE), cache(WHOLE)
_WITHHELD, _MODIFIED, _RAW = attribute(WITHHELD_NOTE), attribute(MODIFIED), attribute(RAW)
_IS_TEXT = (f"not {IS_OBJECT}", f"{_WITHHELD} == nil")
_MARKER = text(MARKER)
_CHANGED = f"({_WHOLE} != nil or {_FOUND} != {_BEFORE})"


def redact(pipeline: ApplicationPipeline) -> tuple[Statements, ...]:
    """Statements for lines that were recognised."""
    demand = pipeline.redaction
    # Gone from the body before it leaves here: whatever fails later cannot bring it back.
    gone = Statements((assign("log.body", _MARKER),), (f"{_WITHHELD} != nil",), Part.LINE)
    if not (demand.profiles or demand.patterns or demand.pseudonymize):
        # What is JSON but no object was parsed.
        return (Statements((assign("log.body", _RAW),), _IS_TEXT, Part.LINE), gone)
    secrets = [rule for rule in RULES if rule.profile in demand.profiles - _ABOUT_PEOPLE]
    people = [rule for rule in RULES if rule.profile in demand.profiles & _ABOUT_PEOPLE]
    groups: list[Statements] = []
    if PseudonymizedField.USERNAME in demand.pseudonymize:
        groups.extend(_pseudonyms(pipeline))
    if secrets:
        groups.append(_on_object(Part.PROFILES, substitutions(secrets)))
    if people:
        groups.append(_on_object(Part.PROFILES, substitutions(people), tuple(_identity(pipeline))))
    if demand.patterns:
        groups.append(_on_object(Part.PATTERNS, own_substitutions(demand.patterns)))
    in_text = [f"replace_pattern({_FOUND}, {text(each)}, {text(KEPT + MARKER)})" for each in IN_TEXT if secrets]
    groups.append(_on_text([*substitutions([*secrets, *people]), *in_text, *own_substitutions(demand.patterns)]))
    return (*groups, _twice_named(), _left_over(), gone)


def withheld() -> tuple[Statements, ...]:
    """Statements for a line on which one of those failed."""
    return (Statements((assign("log.body", _MARKER), *_withholding()), name=Part.LINE),)


def _withholding() -> tuple[str, str]:
    not_redacted = assign(QUARANTINED, text(Reason.NOT_REDACTED), f"{QUARANTINED} == nil")
    return assign(_WITHHELD, "true"), not_redacted


def _identity(pipeline: ApplicationPipeline) -> Iterator[tuple[str, ...]]:
    written = pipeline.fields
    for path in (written.time, written.user, written.id, written.correlation_id):
        yield from places(path)


def _on_object(part: Part, statements: list[str], kept: tuple[tuple[str, ...], ...] = ()) -> Statements:
    """Run statements over the JSON of the body, but for the strings at some places; put back what became of it."""
    saved = [(body(*keys), above(keys), cache(f"kept.{number}")) for number, keys in enumerate(kept)]
    return Statements(
        (
            *(assign(name, here, f"{there} and IsString({here})") for here, there, name in saved),
            *(assign(here, text(""), f"{name} != nil") for here, _, name in saved),
            assign(_FOUND, "String(log.body)"),
            assign(_BEFORE, _FOUND),
            *statements,
            assign("log.body", _MARKER, _CHANGED),
            assign("log.body", f"ParseJSON({_FOUND})", f"{_CHANGED} and {_WHOLE} == nil"),
            assign(_MODIFIED, "true", _CHANGED),
            *([] if kept else [assign(attribute(_JSON), _FOUND)]),
            *(assign(here, name, f"{name} != nil and {there}") for here, there, name in saved),
        ),
        (IS_OBJECT,),
        part,
    )


def _on_text(statements: list[str]) -> Statements:
    """Run statements over a line that is no JSON object."""
    return Statements(
        (
            assign("log.body", _MARKER),
            assign(_FOUND, _RAW),
            assign(_BEFORE, _FOUND),
            *statements,
            assign(_WITHHELD, "true", f"{_WHOLE} != nil or IsMatch({_BEFORE}, {text(_ESCAPES)})"),
            assign("log.body", _FOUND, f"{_WITHHELD} == nil"),
        ),
        _IS_TEXT,
        Part.LINE,
    )


def _twice_named() -> Statements:
    """A line that names a field twice has more ends of keys than what was parsed of it."""
    ends = [f"Len(Split({each}, {text(_END_OF_KEY)}))" for each in (_RAW, _FOUND)]
    unsure = " or ".join(f"Index({_RAW}, {text(each)}) >= 0" for each in _UNSURE)
    return Statements(
        (
            assign(_FOUND, attribute(_JSON)),
            assign(_FOUND, "String(log.body)", f"{_FOUND} == nil"),
            assign(_MODIFIED, "true", f"{ends[0]} != {ends[1]} or {unsure}"),
        ),
        (IS_OBJECT, f"{_MODIFIED} == nil"),
        Part.FIELDS,
    )


def _left_over() -> Statements:
    """What was an object and is none after redaction."""
    return Statements(
        _withholding(),
        (f"not {IS_OBJECT}", f"({QUARANTINED} == nil or {_MODIFIED} != nil)"),
        Part.LINE,
    )


# Pseudonyms.


def _pseudonyms(pipeline: ApplicationPipeline) -> tuple[Statements, ...]:
    """Replace the user's name wherever it stands as a word. Where nobody knows the name, nothing can be shipped."""
    name, new, quoted = cache("name"), cache("new"), cache("quoted")
    spelled, before, behind = cache("spelled"), cache("begins"), cache("ends")
    here = [(body(*keys), above(keys)) for keys in places(pipeline.fields.user)]
    person = f"IsString({name}) and not IsMatch({name}, {text(pseudonyms.NO_PERSON)})"
    known, word = f"{new} != nil", text("^[A-Za-z0-9_]")
    again = [assign(path, new, f"{known} and {there} and {path} != nil") for path, there in here]
    replaced = f"{known} and Index({_FOUND}, {spelled}) >= 0"
    return (
        Statements((assign(_WITHHELD, "true"),), (f"not {IS_OBJECT}",), Part.USERNAME),
        Statements(
            (
                PSEUDONYM_KEY,
                prefix_of_key(),
                assign(cache("namespace"), text(hashlib.sha256(pipeline.namespace.encode()).hexdigest())),
                *(assign(name, path, f"{there} and {name} == nil") for path, there in here),
                assign(_WITHHELD, "true", f"not IsString({name}) or {name} == {text('')}"),
                *pseudonym(new, name, person),
                *again,
                assign(_MODIFIED, "true", known),
                assign(_FOUND, "String(log.body)", known),
                # In JSON's spelling, without its brackets and quotes.
                assign(spelled, f"String([{name}])", known),
                assign(spelled, f"Substring({spelled}, 2, Len({spelled}) - 4)", known),
                assign(quoted, spelled, known),
                f"replace_pattern({quoted}, {text(_SIGN)}, {text(_AS_IT_IS)}) where {known}",
                assign(before, text(""), known),
                assign(before, text(r"\b"), f"{known} and IsMatch({spelled}, {word})"),
                assign(behind, text(""), known),
                assign(behind, text(r"\b"), f"{known} and IsMatch({spelled}, {text('[A-Za-z0-9_]$')})"),
                assign(quoted, concat(before, quoted, behind), known),
                assign(_BEFORE, _FOUND, known),
                assign("log.body", _MARKER, replaced),
                f"replace_pattern({_FOUND}, {quoted}, {cache('pseudonym')}) where {replaced}",
                assign("log.body", f"ParseJSON({_FOUND})", f"{known} and {_FOUND} != {_BEFORE}"),
                assign("log.body", f"ParseJSON({_FOUND})", f"{known} and not {IS_OBJECT}"),
                *again,
            ),
            (IS_OBJECT,),
            Part.USERNAME,
        ),
    )
