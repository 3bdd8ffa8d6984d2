"""Reports of verifications for tests."""

from audit_operator.integrity.interval import moment
from audit_operator.integrity.keys import SigningKey
from audit_operator.integrity.report import Report
from tests.integrity.sealed import SCOPE, START

REPORT_KEY = SigningKey.make()


def report_of(sequence, span=None, made=START, key=REPORT_KEY, **more):
    """A signed one, without findings unless told otherwise."""
    since, until = (moment(span.since), moment(span.until)) if span else ("", "")
    said = {"scope": SCOPE, "seals": 1, "key_id": "0" * 16, **more}
    return key.sign(Report(sequence=sequence, made_at=moment(made), since=since, until=until, **said))
