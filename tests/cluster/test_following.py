from __future__ import annotations

import asyncio

import pytest

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.following import Following
from audit_operator.cluster.resources import POD
from audit_operator.cluster.rest import ApiError, ApiUnreachableError, Listing


def thing(uid, value="", *, kept=True):
    return {"metadata": {"uid": uid}, "value": value, "kept": kept}


class Script:
    """A client that plays what it is told: lists (or failures of them), each followed by the events of one watch."""

    def __init__(self, *rounds):
        self.rounds, self.done = list(rounds), asyncio.Event()
        self._events = []

    async def list(self, _resource, convert, *, namespace=""):
        assert namespace == "payments"
        if not self.rounds:
            self.done.set()
            await asyncio.sleep(3600)
        listed, self._events = self.rounds.pop(0)
        if isinstance(listed, Exception):
            raise listed
        return Listing(tuple(convert(each) for each in listed), "7")

    async def watch(self, _resource, *, resource_version, namespace, seconds):
        assert (resource_version, namespace, seconds) == ("7", "payments", 300)
        for type_, document in self._events:
            if isinstance(document, Exception):
                raise document
            yield {"type": type_, "object": document}


async def play(*rounds):
    changes = []
    script = Script(*rounds)
    followed = Following(
        script,
        POD,
        lambda each: each["value"] if each["kept"] else None,
        lambda: changes.append(None if followed.known is None else dict(followed.known)),
        "payments",
        backoff=Backoff(base=0.0, cap=0.0),
    )
    task = asyncio.create_task(followed.run())
    await asyncio.wait_for(script.done.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return followed, changes


async def test_what_is_listed_and_then_seen_is_known():
    events = [("ADDED", thing("b", "2")), ("MODIFIED", thing("a", "3")), ("DELETED", thing("b", "2"))]
    followed, changes = await play(([thing("a", "1")], events))
    assert followed.known == {"a": "3"}
    assert changes == [{"a": "1"}, {"a": "1", "b": "2"}, {"a": "3", "b": "2"}, {"a": "3"}]


async def test_nobody_is_told_of_what_changes_nothing_that_is_kept():
    events = [("MODIFIED", thing("a", "1")), ("BOOKMARK", {"metadata": {}}), ("DELETED", thing("x"))]
    _, changes = await play(([thing("a", "1"), thing("no", kept=False)], events), ([thing("a", "1")], []))
    assert changes == [{"a": "1"}]


async def test_what_has_vanished_in_a_gap_goes_with_the_next_list():
    followed, _ = await play(([thing("a"), thing("b")], [("ERROR", {"code": 410})]), ([thing("b")], []))
    assert list(followed.known) == ["b"]


async def test_what_no_longer_counts_is_forgotten():
    followed, _ = await play(([thing("a")], [("MODIFIED", thing("a", kept=False))]))
    assert followed.known == {}


async def test_an_api_server_that_is_away_leaves_what_was_known():
    away = ApiUnreachableError("gone")
    followed, _ = await play(([thing("a")], [("MODIFIED", away)]), (away, []))
    assert (list(followed.known), followed.refusal) == (["a"], "")


async def test_what_may_not_be_listed_is_said_once_and_not_known():
    forbidden = ApiError(403, "Forbidden", "you may not")
    followed, changes = await play((forbidden, []), (forbidden, []))
    assert (followed.known, followed.refusal, changes) == (None, "you may not", [None])
    followed, _ = await play((forbidden, []), ([thing("a")], []))
    assert (list(followed.known), followed.refusal) == (["a"], "")
