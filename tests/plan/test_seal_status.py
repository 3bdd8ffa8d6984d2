"""What the status of a sink says about seals."""

from dataclasses import replace

import pytest

from audit_operator.api.seal_observations import SealObservation
from audit_operator.api.sink_seals import RememberedSeal, SealsOfSink, SealState
from audit_operator.integrity.keys import SigningKey
from audit_operator.plan import plan
from audit_operator.plan.snapshot import Snapshot
from audit_operator.plan.status import statuses
from tests.plan.objects import parsed

KEY = SigningKey.make().public.pem().decode()
SEALS = {"sinkRef": {"name": "worm"}, "publicKeys": [KEY]}
LAST = RememberedSeal(sequence=7, digest="a" * 64, made_at="2026-11-28T12:00:00Z", until="2026-11-28T11:00:00Z")
STATUS = SealsOfSink(chain="S3 x", last=LAST)


def sink(**more):
    return parsed(
        "ClusterAuditSink", "central", {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs"}, **more}
    )


def told(seen, seals=SEALS):
    one = sink(seals=seals) if seals else sink()
    snapshot = Snapshot(cluster_audit_sinks=(one,))
    found = statuses(snapshot, plan(snapshot), {}, seals=None if seen is None else {one.ref: seen[0]} if seen else {})
    if one.ref not in found:
        return None
    status = found[one.ref]
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    return conditions["Sealed"], conditions["Ready"][1], status.get("seals")


@pytest.mark.parametrize("state", SealState)
def test_what_was_seen_is_the_condition(state):
    condition, ready, seals = told([SealObservation(STATUS, state, "because")])
    holds = "True" if state is SealState.SEALED else "False"
    assert condition == (holds, state.value)
    assert seals["last"] == {
        "sequence": 7,
        "digest": "a" * 64,
        "madeAt": "2026-11-28T12:00:00Z",
        "until": "2026-11-28T11:00:00Z",
    }
    assert (ready == state.value) == (holds == "False")


def test_nobody_is_told_anything_before_what_is_remembered_was_read():
    assert told([]) is None


def test_an_archive_that_is_away_leaves_what_was_seen_and_claims_nothing():
    seen = SealObservation(STATUS, SealState.SEALED, "fine")
    condition, _, seals = told([replace(seen, trouble="no connection")])
    assert (condition, seals["last"]["sequence"]) == (("Unknown", "SinkUnreachable"), 7)
    assert told([replace(seen, trouble="cannot", unsupported=True)])[0] == ("Unknown", "Unsupported")
    assert told([SealObservation(STATUS)])[0] == ("Unknown", "NotVerified")


def test_without_seals_nothing_is_claimed_and_nothing_missed():
    assert told([], seals=None)[::2] == (("Unknown", "NotRequested"), None)
    condition, ready, _ = told(None)
    assert condition == ("Unknown", "NotImplemented")
    assert ready != "NotImplemented"


def test_only_a_key_that_verifies_seals_is_taken():
    with pytest.raises(AssertionError, match="Ed25519"):
        sink(seals={**SEALS, "publicKeys": ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"]})
