"""The lifecycle rules of a bucket as text: ours among those of others, of which not a byte is changed.

S3 has one document of rules for a bucket, and takes it as a whole. A library that reads it drops what it does not know,
and would take it from others by writing it back. So rules are told apart in the text, and only our own are replaced.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from audit_operator.retention.folders import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_OURS = "audit-operator/"
_LONGEST_ID = 255
_RULE = re.compile(r"<Rule(?:\s[^>]*)?>.*?</Rule\s*>", re.DOTALL)
_END = re.compile(r"</LifecycleConfiguration\s*>\s*$")
_EMPTY = '<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LifecycleConfiguration>'
_DAY = 24


class UnreadableRulesError(Exception):
    """The document is not one in which rules can be told apart."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """One rule of ours: what is below the prefix goes after so many days, and hidden versions `older` days after that.

    Versions may be hidden because somebody has deleted, or overwritten, what was to be kept.
    """

    id: str
    prefix: str
    days: int
    older: int = 1

    @classmethod
    def of(cls, home: str, place: Place, delete_after: int, keep: int = 0) -> Expiry:
        """For one folder below a sink's `home`; days are never shorter than the hours that are given.

        `keep`: for how long what somebody deletes is to stay as a version.
        """
        prefix = f"{home}{place}/"
        return cls(rule_id(home, place), prefix, -(-delete_after // _DAY), max(1, -(-keep // _DAY)))

    @property
    def text(self) -> str:
        """As S3 reads it."""
        return (
            f"<Rule><ID>{escape(self.id)}</ID><Filter><Prefix>{escape(self.prefix)}</Prefix></Filter>"
            f"<Status>Enabled</Status><Expiration><Days>{self.days}</Days></Expiration>"
            f"<NoncurrentVersionExpiration><NoncurrentDays>{self.older}</NoncurrentDays></NoncurrentVersionExpiration>"
            "</Rule>"
        )


def rule_id(home: str, place: Place) -> str:
    """Name of the rule of a folder; other sinks may have other folders in the same bucket."""
    plain = f"{_OURS}{place.cluster}/{place.name}/{hashlib.sha256(home.encode()).hexdigest()[:8]}"
    return plain if len(plain) <= _LONGEST_ID else _OURS + hashlib.sha256(plain.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a bucket: text around them, those of others, and our own.

    Attributes:
        before: text before the first rule.
        foreign: text of each rule of others, with what stands between it and the rule before.
        ours: what our own say, by folder; None where one says something else than such a rule does.
        after: text behind the last rule.
    """

    before: str
    foreign: tuple[str, ...]
    ours: Mapping[Place, Expiry | None]
    after: str

    @classmethod
    def parse(cls, text: str, home: str, clusters: Iterable[str], known: Iterable[Place]) -> Rules:
        """From the document of a bucket, empty where it has none. `home`: where our folders lie; `known`: some of them.

        Raises:
            UnreadableRulesError: nobody could say which of them are ours.
        """
        document = text or _EMPTY
        spans, end = list(_RULE.finditer(document)), _END.search(document)
        said = [_said(_element(each[0])) for each in spans]
        if end is None or said != [_said(each) for each in _element(document) if _name(each) == "Rule"]:
            raise UnreadableRulesError
        clusters, ids = frozenset(clusters), {rule_id(home, each): each for each in known}
        last = spans[0].start() if spans else end.start()
        before, foreign = document[:last], []
        ours: dict[Place, Expiry | None] = {}
        for span, rule in zip(spans, said, strict=True):
            between, last = document[last : span.start()], span.end()
            place = rule.place(home, clusters) or ids.get(rule.id)
            if place is None:
                foreign.append(between + span[0])
            else:
                # Of two for the same folder, neither is what was ordered.
                ours[place] = None if place in ours else rule.expiry
        return cls(before, tuple(foreign), ours, document[last:])

    def saying(self, wanted: Iterable[Expiry]) -> str:
        """The document with these rules of ours and no others; empty where there is no rule at all."""
        rules = (*self.foreign, *(each.text for each in wanted))
        return f"{self.before}{''.join(rules)}{self.after}" if rules else ""

    @property
    def of_others(self) -> str:
        """The document as it would be without us; empty where there would be no rule."""
        return self.saying(())


@dataclass(frozen=True, slots=True)
class _Said:
    """What is read of one rule."""

    id: str
    prefix: str
    expiry: Expiry | None

    def place(self, home: str, clusters: frozenset[str]) -> Place | None:
        """The folder of ours that it is about, if it bears our name."""
        if not self.id.startswith(_OURS) or not self.prefix.startswith(home):
            return None
        found = Place.parse(self.prefix.removeprefix(home))
        return found if found is not None and found.cluster in clusters else None


def _said(rule: ET.Element) -> _Said:
    named, prefix = _text(rule, "ID"), _text(rule, "Filter", "Prefix")
    days, older = _text(rule, "Expiration", "Days"), _text(rule, "NoncurrentVersionExpiration", "NoncurrentDays")
    plain = {_name(each) for each in rule.iter()} == _ELEMENTS and _text(rule, "Status") == "Enabled"
    numbers = days.isdecimal() and older.isdecimal()
    return _Said(named, prefix, Expiry(named, prefix, int(days), int(older)) if plain and numbers else None)


_ELEMENTS = frozenset(
    {
        *("Rule", "ID", "Filter", "Prefix", "Status"),
        *("Expiration", "Days", "NoncurrentVersionExpiration", "NoncurrentDays"),
    }
)


def _text(element: ET.Element, *path: str) -> str:
    for name in path:
        found = next((each for each in element if _name(each) == name), None)
        if found is None:
            return ""
        element = found
    return (element.text or "").strip()


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _element(text: str) -> ET.Element:
    try:
        return ET.fromstring(text)  # noqa: S314 - of the platform's own store; the library reads it in the same way
    except ET.ParseError as error:
        raise UnreadableRulesError from error
