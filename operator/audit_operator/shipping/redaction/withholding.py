r"""What is left of an event on which redaction failed.

Nobody knows then what stands where, so everything goes that redaction is about. Who asked for what, when, and how it
was answered stays: no redaction takes that out, but for pseudonyms, and these stay only where they were made before.
An event is never lost for it. Its attribute `undisclosed` names the part that failed.

All of these statements run or none counts: an event on which one of them failed, too, is not proved, and loses its text
(`collector.writing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.redaction import PseudonymizedField
from audit_operator.shipping.collector.attributes import FAILED, MODIFIED, QUARANTINE, RAW, UNDISCLOSED
from audit_operator.shipping.collector.ottl import Statements, assign, attribute, body, cache, concat, text
from audit_operator.shipping.redaction import places, pseudonyms
from audit_operator.shipping.redaction.parts import Part
from audit_operator.shipping.redaction.rendering import KEY_ID, KEY_SECRET
from audit_operator.shipping.redaction.rules import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.shipping.redaction.demand import Feature

NOT_REDACTED = "not redacted"
"""Why a line is in quarantine of which nothing could be kept."""

URI_HEAD = (
    r"^(?P<head>/(?:api|apis/[a-z0-9.-]+)/[a-z0-9]+(?:/namespaces/[a-z0-9-]+)?(?:/[a-z]+)?(?:[/?]|$)|"
    r"/[a-z]{1,16}(?:[/?]|$))"
)
"""What of a `requestURI` names no object, and repeats nothing that a sender makes up."""

_MARKER = text(MARKER)
_IS_EVENT = f"{attribute(QUARANTINE)} == nil and IsMap(log.body)"


def withheld(pseudonymize: Iterable[PseudonymizedField], gates: Mapping[Feature, str]) -> Iterator[Statements]:
    """Statement groups for a record of which `FAILED` names the part that failed; `gates` are those of `render`."""
    event = Statements(tuple(_event()), (_IS_EVENT,))
    line = Statements(
        (
            assign(attribute(RAW), concat(text("[REDACTED: "), f"Len({attribute(RAW)})", text(" bytes]"))),
            assign(attribute(QUARANTINE), text(NOT_REDACTED), f"{attribute(QUARANTINE)} == nil"),
        ),
        (f"not ({_IS_EVENT})",),
    )
    yield event
    for each in sorted(pseudonymize):
        asked = (gates[each],) if each in gates else ()
        yield Statements(tuple(_nameless(each)), (_IS_EVENT, *asked, _is_left(each)))
    yield line
    yield Statements(
        (
            assign(attribute(UNDISCLOSED), attribute(FAILED)),
            *(f"delete_key(log.attributes, {text(each)})" for each in (KEY_ID, KEY_SECRET)),
        )
    )


def _event() -> Iterator[str]:
    yield f"keep_keys(log.body, [{', '.join(map(text, places.FIELDS))}])"
    yield assign(body(places.NOTE), _MARKER)
    yield from _uri(body("requestURI"))
    for each in ("userAgent", *places.OBJECTS):
        yield assign(body(each), _MARKER, f"{body(each)} != nil")
    lost = f"{{{text(places.NOTE)}: {_MARKER}}}"
    yield assign(body("annotations"), lost, f"{body('annotations')} != nil")
    status, code = body("responseStatus"), cache("code")
    is_number = f"(IsInt({body('responseStatus', 'code')}) or IsDouble({body('responseStatus', 'code')}))"
    yield assign(code, body("responseStatus", "code"), f"IsMap({status}) and {is_number}")
    yield assign(status, lost, f"{status} != nil")
    yield assign(body("responseStatus", "code"), code, f"{code} != nil")
    yield assign(attribute(MODIFIED), "true")
    yield assign(attribute(RAW), _MARKER)


def _uri(uri: str) -> Iterator[str]:
    found, head = cache("found"), cache("head")
    yield assign(found, f"ExtractPatterns({uri}, {text(URI_HEAD)})")
    yield assign(head, f'{found}["head"]', f'{found}["head"] != nil')
    yield assign(uri, concat(head, _MARKER), f"{head} != nil and {head} != {uri}")
    yield assign(uri, _MARKER, f"{head} == nil")


def _is_left(field: PseudonymizedField) -> str:
    """That a field may not have its pseudonyms yet."""
    part = {PseudonymizedField.USERNAME: Part.USERNAME, PseudonymizedField.SOURCE_IPS: Part.ADDRESSES}[field]
    later = "|".join(part.later)
    return f"not IsMatch({attribute(FAILED)}, {text(f'^(?:{later})$')})"


def _nameless(field: PseudonymizedField) -> Iterator[str]:
    match field:
        case PseudonymizedField.USERNAME:
            for user, name in ((body(each), body(each, "username")) for each in pseudonyms.USERS):
                no_person = f"IsString({name}) and IsMatch({name}, {text(pseudonyms.NO_PERSON)})"
                yield assign(user, _MARKER, f"{user} != nil and not IsMap({user})")
                yield f'keep_keys({user}, ["username", "groups"]) where IsMap({user})'
                yield assign(name, _MARKER, f"IsMap({user}) and {name} != nil and not ({no_person})")
        case PseudonymizedField.SOURCE_IPS:
            yield assign(body("sourceIPs"), f"[{_MARKER}]", f"{body('sourceIPs')} != nil")
