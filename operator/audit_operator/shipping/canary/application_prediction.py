"""What a sidecar must make of a line: the standard and the rules of redaction, asked in Python.

Nothing here knows how the collector does it, so that what it does wrong shows. Own patterns take no part.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit_operator.api.redaction import PseudonymizedField, RedactionProfile
from audit_operator.shipping.application.attributes import ATTRIBUTES
from audit_operator.shipping.application.redacting import IN_TEXT
from audit_operator.shipping.application.standard import Reason, Standard, StandardField
from audit_operator.shipping.canary.application_lines import MOMENT
from audit_operator.shipping.canary.file_patterns import FilePath
from audit_operator.shipping.collector.attributes import LONGEST
from audit_operator.shipping.redaction import pseudonyms
from audit_operator.shipping.redaction.interpreter import left_of, text_of
from audit_operator.shipping.redaction.pseudonyms import PseudonymKey, pseudonym
from audit_operator.shipping.redaction.rules import MARKER, RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit_operator.shipping.application.pipeline import ApplicationPipeline
    from audit_operator.shipping.redaction.rules import Rule

POD, POD_UID = "canary-0", "00000000-0000-4000-8000-000000000000"
KEY = "0" * 64
"""Of pseudonyms. Anybody may know it, so that no record is ever made with it."""

_ABOUT_PEOPLE = frozenset({RedactionProfile.PII, RedactionProfile.FINANCIAL})
_STAY = (StandardField.TIME, StandardField.USER, StandardField.ID, StandardField.CORRELATION_ID)
"""Fields that profiles about people leave alone."""
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ApplicationPrediction:
    """Of one line.

    Attributes:
        attributes: all that the record has, as text.
        timed: whether the record has the line's own time.
        event: the record's text, parsed; None where it is no object.
        text: the record's text; None where only what it says counts, not how it is spelled.
    """

    attributes: dict[str, str]
    timed: bool
    event: dict[str, Any] | None
    text: str | None


@dataclass(slots=True)
class _Line:
    """A line on its way: `body` is None where it is no object."""

    text: str
    body: dict[str, Any] | None
    withheld: bool
    modified: bool = False


@dataclass(frozen=True, slots=True)
class ApplicationOracle:
    """Says what one configuration must do."""

    pipeline: ApplicationPipeline
    standard: Standard = field(init=False)

    def __post_init__(self) -> None:
        of = self.pipeline
        object.__setattr__(self, "standard", Standard(of.fields, of.time_format, of.longest_line))

    def of_line(self, text: str, path: str, *, outside: bool = False) -> ApplicationPrediction:
        """What becomes of a line in the file at a path, which may be a link that leads out of its volume."""
        breaches = (Reason.OUTSIDE,) if outside else self.standard.breaches(text, MOMENT)
        reason = breaches[0] if breaches else None
        is_object = reason not in (Reason.OUTSIDE, Reason.TOO_LONG, Reason.NO_OBJECT)
        line = _Line(text, json.loads(text) if is_object else None, outside)
        self._redact(line)
        attributes = self._whose(path)
        if line.withheld:
            attributes["withheld"] = str(len(text))
            line.text, line.body, line.modified = f"[REDACTED: {len(text)} bytes]", None, False
        elif line.body is not None:
            attributes |= self._found(line.body)
        elif len(line.text) > self.pipeline.longest_line:
            attributes["cut"] = str(len(line.text))
            line.text = line.text[: self.pipeline.longest_line]
        if reason is not None:
            attributes["quarantine"] = reason
        cut = {name: value[:LONGEST] for name, value in attributes.items()}
        return ApplicationPrediction(cut, reason is None, line.body, None if line.modified else line.text)

    def _whose(self, path: str) -> dict[str, str]:
        of = self.pipeline
        read = FilePath.of(path)
        files = next((each for each in of.files[:-1] if any(map(read.matches, each.include))), of.files[-1])
        volume = next(each for each in of.files if path.startswith(f"{each.folder}/"))
        stream = f"{of.cluster}\n{of.namespace}\n{of.policy}\n{POD_UID}\n{path}"
        return {
            "cluster": of.cluster,
            "namespace": of.namespace,
            "policy": of.policy,
            "pod": POD,
            "files": files.name,
            "source": f"{volume.volume}/{path.removeprefix(f'{volume.folder}/')}",
            "stream": hashlib.sha256(stream.encode()).hexdigest()[:_DIGITS],
        }

    def _found(self, body: dict[str, Any]) -> dict[str, str]:
        """The fields that a record is found by, as they stand in what is left."""
        found = {carried: self._texts(body, name) for name, carried in ATTRIBUTES.items()}
        return {carried: texts[0] for carried, texts in found.items() if texts}

    def _texts(self, body: dict[str, Any], name: StandardField) -> list[str]:
        values = (_at(body, keys) for keys in self.standard.places(name))
        return [each for each in values if isinstance(each, str)]

    def _redact(self, line: _Line) -> None:
        demand = self.pipeline.redaction.built_in
        secrets = [rule for rule in RULES if rule.profile in demand.profiles - _ABOUT_PEOPLE]
        people = [rule for rule in RULES if rule.profile in demand.profiles & _ABOUT_PEOPLE]
        if PseudonymizedField.USERNAME in demand.pseudonymize:
            self._pseudonym(line)
        if line.body is None:
            if not line.withheld:
                _in_text(line, (*secrets, *people), named=bool(secrets))
            return
        _in_object(line, secrets)
        stay = [keys for name in _STAY for keys in self.standard.places(name)]
        _in_object(line, people, [keys for keys in stay if isinstance(_at(line.body, keys), str)])

    def _pseudonym(self, line: _Line) -> None:
        """Where nobody knows the name, nothing can be shipped."""
        places = self.standard.places(StandardField.USER)
        found = [] if line.body is None else [_at(line.body, keys) for keys in places]
        name = next((each for each in found if each is not None), None)
        if line.body is None or not isinstance(name, str) or not name:
            line.withheld = True
        elif not re.search(pseudonyms.NO_PERSON, name):
            new = pseudonym(PseudonymKey.of(KEY), self.pipeline.namespace, name)
            spelled = re.escape(text_of([name])[2:-2])
            # Every name that is planted begins and ends as a word does.
            line.body = json.loads(re.sub(rf"\b{spelled}\b", new, text_of(line.body)))
            line.modified = True


def _at(body: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def _put(body: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    *above, last = keys
    _at(body, tuple(above))[last] = value


def _in_object(line: _Line, rules: Iterable[Rule], stay: Iterable[tuple[str, ...]] = ()) -> None:
    """Run rules over the JSON of a line, but for the texts at some places."""
    body = json.loads(text_of(line.body))
    kept = {keys: _at(body, keys) for keys in stay}
    for keys in kept:
        _put(body, keys, "")
    before = text_of(body)
    after = left_of(rules, before)
    if after is None:
        line.body, line.withheld = None, True
        return
    body = json.loads(after)
    for keys, value in kept.items():
        _put(body, keys, value)
    line.body, line.modified = body, line.modified or after != before


def _in_text(line: _Line, rules: Iterable[Rule], *, named: bool) -> None:
    left = left_of(rules, line.text)
    if left is None:
        line.withheld = True
        return
    for pattern in IN_TEXT if named else ():
        left = re.sub(pattern, rf"\g<1>{MARKER}", left, flags=re.ASCII)
    line.text = left
