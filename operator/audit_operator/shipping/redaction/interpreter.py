"""The model applied to an event in Python, step by step as `rendering` has the collector do it.

For the command line, which shows what a demand takes out, and for the tests, which hold the two against each other.
Changes to one are changes to both.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.redaction import places, pseudonyms
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.own_pattern import GROWN_BY, GROWN_TIMES, MARK, SHORT, growth
from audit_operator.shipping.redaction.rules import DOUBTFUL, KEPT, MARKER, RULES, Rule, Scope, scopes, stands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from audit_operator.shipping.redaction.places import Sealed
    from audit_operator.shipping.redaction.pseudonyms import PseudonymKey

TEXTS = ("requestURI", "userAgent", "annotations", "responseStatus")
_EXACT = 2**53
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True, slots=True, order=True)
class Removal:
    """That something was taken out: where in the event, and by what."""

    place: str
    rule: str


@dataclass(frozen=True, slots=True)
class Redacted:
    """An event, and what was taken out of it."""

    event: dict[str, Any]
    removals: tuple[Removal, ...]


def apply(
    event: Mapping[str, Any],
    demand: RedactionDemand,
    *,
    line: str | None = None,
    namespace: str = "",
    key: PseudonymKey | None = None,
) -> Redacted:
    """An event as it leaves the node.

    Args:
        event: any map; its fields may have any type.
        demand: what is asked for.
        line: that the event was read from.
        namespace: that the request was about.
        key: of pseudonyms; without one, the marker takes their place.
    """
    work = _Work(dict(event), demand, namespace, key)
    work.run(line)
    return Redacted(work.event, tuple(dict.fromkeys(work.removals)))


def left_of(rules: Iterable[Rule], text: str) -> str | None:
    """A text as it is after all these rules, wherever each of them may match; None if all of it must go."""
    return _Work({}, RedactionDemand(), "", None).rules(rules, places.OBJECTS[0], text)


@dataclass(slots=True)
class _Work:
    event: dict[str, Any]
    demand: RedactionDemand
    namespace: str
    key: PseudonymKey | None
    removals: list[Removal] = field(default_factory=list)
    sealed: bool = False
    hit: bool = False
    objects_hit: bool = False
    words_hit: bool = False

    def run(self, line: str | None) -> None:
        raw = text_of(self.event) if line is None else line
        profiles = self.demand.profiles
        self.known_fields()
        self.seal(places.SECRETS)
        self.seal(places.TOKENS)
        if RedactionProfile.SECRETS in profiles:
            self.seal(places.CONFIG_MAPS)
        self.urls()
        self.patches()
        if RedactionProfile.SECRETS in profiles:
            self.last_applied(raw)
        self.pseudonyms()
        rules = tuple(rule for rule in RULES if rule.profile in profiles)
        self.look_for(rules, raw)
        for target in (*TEXTS, *places.OBJECTS):
            if self.is_hit(target):
                self.on_text(target, partial(self.rules, rules, target))
        if self.demand.own:
            for target in places.OBJECTS:
                self.on_text(target, partial(self.own, target))

    def took(self, place: str, rule: str) -> None:
        self.removals.append(Removal(place, rule))

    def put(self, holder: dict[str, Any], name: str, value: object, place: str, rule: str) -> None:
        """Put something in the place of a value, and say so if that changes it."""
        if holder.get(name) != value:
            self.took(place, rule)
            holder[name] = value

    # Structure.

    def known_fields(self) -> None:
        unknown = [name for name in self.event if name not in (*places.FIELDS, places.NOTE)]
        for name in unknown:
            self.took(name, "unknown-field")
            del self.event[name]
        if unknown:
            self.event[places.NOTE] = MARKER
        elif self.event.get(places.NOTE) is not None:
            self.put(self.event, places.NOTE, MARKER, places.NOTE, "unknown-field")

    def seal(self, sealed: Sealed) -> None:
        if not _is_sealed(self.event, sealed):
            return
        self.sealed = True
        for name in places.OBJECTS:
            self.seal_object(name, sealed)
        self.seal_map(self.event, "responseStatus", "responseStatus", sealed.name)
        if isinstance(self.event.get("responseStatus"), dict):
            self.seal_answer(self.event["responseStatus"], "responseStatus", sealed.name)
        self.keep_matching(self.event, "annotations", places.SAFE_ANNOTATIONS, "annotations", sealed.name)

    def seal_object(self, name: str, sealed: Sealed) -> None:  # noqa: C901 - as many as a sealed object has parts
        rule = sealed.name
        self.keep(self.event, name, sealed.top, name, rule)
        here = self.event.get(name)
        if not isinstance(here, dict):
            return
        for each in sealed.values:
            self.seal_values(here, each, f"{name}.{each}", rule)
        for each, kept in sealed.fields.items():
            if not (each == "status" and isinstance(here.get(each), str)):
                self.keep(here, each, kept, f"{name}.{each}", rule)
        for parent, each in sealed.masked:
            if isinstance(here.get(parent), dict) and here[parent].get(each) is not None:
                self.put(here[parent], each, MARKER, f"{name}.{parent}.{each}", rule)
        if "status" not in sealed.fields and not isinstance(here.get("status"), str | None):
            self.put(here, "status", MARKER, f"{name}.status", rule)
        self.keep(here, "metadata", (*places.METADATA, places.NOTE), f"{name}.metadata", rule)
        if isinstance(here.get("metadata"), dict):
            self.seal_values(here["metadata"], "annotations", f"{name}.metadata.annotations", rule)
        for each in ("items", "rows"):
            value = here.get(each)
            if isinstance(value, list):
                self.put(here, each, f"[REDACTED: {len(value)} items]", f"{name}.{each}", rule)
            elif value is not None and not (isinstance(value, str) and _matches(places.COUNTED, value)):
                self.put(here, each, MARKER, f"{name}.{each}", rule)
        self.seal_answer(here, name, rule)

    def seal_answer(self, holder: dict[str, Any], place: str, rule: str) -> None:
        message = holder.get("message")
        if message is not None and not (isinstance(message, str) and _matches(places.SAFE_MESSAGE, message)):
            self.put(holder, "message", MARKER, f"{place}.message", rule)
        self.keep(holder, "details", (*places.DETAILS, places.NOTE), f"{place}.details", rule)

    def seal_map(self, holder: dict[str, Any], name: str, place: str, rule: str) -> None:
        """Make a value a map of its own, and the marker if it is none."""
        value = holder.get(name)
        if isinstance(value, dict):
            holder[name] = dict(value)
        elif value is not None:
            self.put(holder, name, MARKER, place, rule)

    def keep(self, holder: dict[str, Any], name: str, keys: Iterable[str], place: str, rule: str) -> None:
        wanted = frozenset(keys)
        self.keep_if(holder, name, wanted.__contains__, place, rule)

    def keep_matching(self, holder: dict[str, Any], name: str, pattern: str, place: str, rule: str) -> None:
        self.keep_if(holder, name, lambda key: _matches(pattern, key), place, rule)

    def keep_if(self, holder: dict[str, Any], name: str, wanted: Callable[[str], bool], place: str, rule: str) -> None:
        self.seal_map(holder, name, place, rule)
        here = holder.get(name)
        if not isinstance(here, dict):
            return
        lost = [key for key in here if not wanted(key)]
        for key in lost:
            self.took(f"{place}.{key}", rule)
            del here[key]
        if lost or here.get(places.NOTE) is not None:
            here[places.NOTE] = MARKER

    def seal_values(self, holder: dict[str, Any], name: str, place: str, rule: str) -> None:
        self.seal_map(holder, name, place, rule)
        here = holder.get(name)
        if isinstance(here, dict):
            for key in here:
                self.put(here, key, MARKER, f"{place}.{key}", rule)

    def urls(self) -> None:
        uri = self.event.get("requestURI")
        if not isinstance(uri, str) or "=" not in uri:
            return
        masks: dict[str, tuple[str, ...]] = {"url-parameter": (places.URL_SECRETS,)}
        if RedactionProfile.TOKENS in self.demand.profiles:
            masks["command-line"] = (places.UNUSUAL_COMMAND, places.FURTHER_COMMAND)
        for rule, patterns in masks.items():
            for pattern in patterns:
                uri = _compiled(pattern).sub(_filled(KEPT + MARKER), uri)
            self.put(self.event, "requestURI", uri, "requestURI", rule)

    def patches(self) -> None:
        annotations = self.event.get("annotations")
        if not isinstance(annotations, dict):
            return
        patches = [key for key in annotations if _matches(places.PATCHES, key)]
        if patches:
            kept = {key: value for key, value in annotations.items() if key not in patches}
            self.event["annotations"] = {**kept, places.PATCHES_NOTE: MARKER}
            if patches != [places.PATCHES_NOTE]:
                self.took("annotations.patch.webhook.admission.k8s.io", "webhook-patch")

    def last_applied(self, raw: str) -> None:
        if places.LAST_APPLIED_LITERAL not in raw or all(self.event.get(name) is None for name in places.OBJECTS):
            return
        left = raw.count(places.LAST_APPLIED_LITERAL) - raw.count(places.OWNED)
        for name in places.OBJECTS:
            value = self.event.get(name)
            metadata = value.get("metadata") if isinstance(value, dict) else None
            annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
            if isinstance(value, dict) and isinstance(metadata, dict) and isinstance(annotations, dict):
                if annotations.get(places.LAST_APPLIED) is None:
                    continue
                left -= isinstance(annotations[places.LAST_APPLIED], str)
                masked = dict(annotations)
                place = f"{name}.metadata.annotations.{places.LAST_APPLIED}"
                self.put(masked, places.LAST_APPLIED, MARKER, place, "last-applied")
                self.event[name] = {**value, "metadata": {**metadata, "annotations": masked}}
        self.objects_hit |= left > 0

    # Patterns.

    def look_for(self, rules: Iterable[Rule], raw: str) -> None:
        """See where some rule may match; what is cheap to see decides."""
        low = raw.lower()
        doubtful = any(each in raw for each in DOUBTFUL.literals) or _matches(DOUBTFUL.escapes, raw)
        self.hit |= doubtful or not _matches(DOUBTFUL.usual, raw)
        for rule in rules:
            if rule.literals == (places.LAST_APPLIED_LITERAL,):
                continue
            found = stands(rule, raw, low)
            if rule.gates:
                found = (found or not rule.literals) and any(_matches(gate, raw) for gate in rule.gates)
            if rule.scope is Scope.EVERYWHERE:
                self.hit |= found
            else:
                self.objects_hit |= found
                self.words_hit |= found and rule.scope is Scope.WORDS and _says_more(self.event)

    def is_hit(self, target: str) -> bool:
        """Whether a rule may match in a part."""
        if target in places.OBJECTS:
            return (self.hit or self.objects_hit) and not self.sealed
        return self.hit or (target in places.SAID and self.words_hit and not self.sealed)

    def rules(self, rules: Iterable[Rule], target: str, text: str) -> str | None:
        """The text after all rules; None if all of it must go."""
        low, whole = text.lower(), False
        for rule in rules:
            if rule.scope not in scopes(target):
                continue
            if rule.literals and not stands(rule, text, low):
                continue
            if rule.also:
                if _matches(rule.regex, text) and _matches(rule.also, text):
                    self.took(target, rule.name)
                    whole = True
                continue
            text = self.substitute(rule.regex, _filled(rule.replacement), text, target, rule.name)
        return None if whole else text

    def own(self, target: str, text: str) -> str:
        most = GROWN_TIMES * _bytes(text) + GROWN_BY
        for pattern in self.demand.own:
            regex, replacement = pattern.substitution
            marked, matches = _compiled(regex).subn(lambda match: match[1] + MARK, text)
            if not matches:
                continue
            length = _bytes(marked) + marked.count(MARK) * growth(pattern.template)
            replaced = marked.replace(MARK, replacement if length <= most else SHORT)
            if replaced != text:
                self.took(target, pattern.name)
            text = replaced
        return text

    def substitute(
        self, regex: str, replacement: Callable[[re.Match[str]], str], text: str, target: str, rule: str
    ) -> str:
        replaced = _compiled(regex).sub(replacement, text)
        if replaced != text:
            self.took(target, rule)
        return replaced

    def on_text(self, target: str, change: Callable[[str], str | None]) -> None:
        value = self.event.get(target)
        if value is None:
            return
        try:
            text = text_of(value)
        except RecursionError:
            self.put(self.event, target, MARKER, target, "nested too deeply")
            return
        changed = change(text)
        if changed is None:
            self.event[target] = MARKER
        elif changed != text:
            self.event[target] = changed if isinstance(value, str) else self.parsed(changed, target)

    def parsed(self, text: str, target: str) -> object:
        try:
            value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_no_number)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict | list):
            self.took(target, "no JSON any more")
            return MARKER
        return value

    # Pseudonyms.

    def pseudonyms(self) -> None:
        if PseudonymizedField.USERNAME in self.demand.pseudonymize:
            for name in pseudonyms.USERS:
                self.pseudonym_of_user(name)
        if PseudonymizedField.SOURCE_IPS in self.demand.pseudonymize:
            self.pseudonyms_of_addresses()

    def pseudonym(self, value: str) -> str:
        return pseudonyms.pseudonym(self.key, self.namespace, value)

    def pseudonym_of_user(self, place: str) -> None:
        self.seal_map(self.event, place, place, "pseudonym")
        user = self.event.get(place)
        if not isinstance(user, dict):
            return
        name = user.get("username")
        if name is not None and not isinstance(name, str):
            self.put(user, "username", MARKER, f"{place}.username", "pseudonym")
        elif name is not None and not _matches(pseudonyms.NO_PERSON, name):
            pseudonym = self.pseudonym(name)
            self.put(user, "username", pseudonym, f"{place}.username", "pseudonym")
            if user.get("uid") is not None:
                self.put(user, "uid", MARKER, f"{place}.uid", "pseudonym")
            self.keep_matching(user, "extra", pseudonyms.EXTRA, f"{place}.extra", "pseudonym")
            self.repeated_name(name, pseudonym)

    def repeated_name(self, name: str, pseudonym: str) -> None:
        for parent, child in pseudonyms.REPEATED:
            holder = self.event.get(parent)
            if not isinstance(holder, dict) or not isinstance(holder.get(child), str):
                continue
            text = holder[child]
            if f'User "{name}"' in text:
                text = _compiled(pseudonyms.QUOTED).sub(f'User "{pseudonym}"', text)
            if name in text:
                text = MARKER
            changed = dict(holder)
            self.put(changed, child, text, f"{parent}.{child}", "pseudonym")
            self.event[parent] = changed
        encoded = name
        for pattern, escape in pseudonyms.URL_ESCAPES:
            encoded = re.sub(pattern, escape, encoded)
        uri = self.event.get("requestURI")
        if isinstance(uri, str) and (name in uri or encoded in uri):
            self.put(self.event, "requestURI", MARKER, "requestURI", "pseudonym")

    def pseudonyms_of_addresses(self) -> None:
        addresses = self.event.get("sourceIPs")
        if addresses is None:
            return
        if not isinstance(addresses, list):
            self.put(self.event, "sourceIPs", MARKER, "sourceIPs", "pseudonym")
            return
        if len(addresses) > pseudonyms.ADDRESSES:
            addresses = [MARKER, MARKER if addresses[-1] is None else addresses[-1]]
        self.put(self.event, "sourceIPs", [self.address(each) for each in addresses], "sourceIPs", "pseudonym")

    def address(self, value: object) -> str:
        if not isinstance(value, str):
            return MARKER
        return value if _matches(pseudonyms.NO_ADDRESS, value) else self.pseudonym(value)


def _is_sealed(event: Mapping[str, Any], sealed: Sealed) -> bool:
    reference = event.get("objectRef")
    resource = reference.get("resource") if isinstance(reference, dict) else None
    if sealed is places.SECRETS and reference is not None and not isinstance(resource, str):
        return True
    subresource = reference.get("subresource") if isinstance(reference, dict) else None
    if any(_is_called(spelled, resource, subresource) for spelled in sealed.resources):
        return True
    objects = (event.get(name) for name in places.OBJECTS)
    return any(isinstance(each, dict) and each.get("kind") in sealed.kinds for each in objects)


def _says_more(event: Mapping[str, Any]) -> bool:
    status, annotations = event.get("responseStatus"), event.get("annotations")
    if status is not None and (
        not isinstance(status, dict) or any(status.get(each) is not None for each in places.WORDS)
    ):
        return True
    if not isinstance(annotations, dict):
        return annotations is not None
    lacks = any(annotations.get(each) is None for each in places.OF_EVERY_REQUEST)
    return len(annotations) > len(places.OF_EVERY_REQUEST) or lacks


def _is_called(spelled: str, resource: object, subresource: object) -> bool:
    name, _, below = spelled.partition("/")
    return resource == name and (not below or subresource == below)


def text_of(value: object) -> str:
    """A string as it is, anything else as Go writes it in JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).translate(_HTML)


def _bytes(text: str) -> int:
    """As the collector counts them: half a character takes as many as the sign that it puts in its place."""
    return len(text.encode(errors="surrogatepass"))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _matches(pattern: str, text: str) -> bool:
    # To Python, $ also is before a last line feed; to RE2 it is not.
    return _compiled(pattern).search(f"{text}\0" if text.endswith("\n") else text) is not None


def _filled(model: str) -> Callable[[re.Match[str]], str]:
    """A replacement of the model; it holds KEPT only at its beginning."""
    if not model.startswith(KEPT):
        return lambda _: model
    rest = model.removeprefix(KEPT)
    return lambda match: (match[1] or "") + rest


def _number(text: str) -> int | float:
    """The collector has numbers in double precision once it has parsed a text itself."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return int(text) if text.lstrip("-").isdigit() and abs(number) < _EXACT else number


def _no_number(text: str) -> float:
    raise ValueError(text)
