import asyncio
from contextlib import suppress

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.cluster.events import EventRecorder, EventType, Notice
from audit_operator.cluster.facts import Fact
from audit_operator.cluster.rate_limit import RateLimit
from tests.cluster.fake_api_server import Fault

POLICY = Fact(ObjectRef("AuditPolicy", "pci", "payments"), "uid-1", 5, 1, None)
PLANE = Fact(ObjectRef("AuditControlPlane", "main"), "uid-2", 5, 1, None)
INVALID = Notice(EventType.WARNING, "Invalid", "Accept", "spec.rules[0]: wrong")


@pytest.fixture
async def recorder(client):
    recorder = EventRecorder(client, "audit-operator.dev/operator", "pod-1", rate=RateLimit(1000, 1000))
    task = asyncio.create_task(recorder.run())
    yield recorder
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def events(api):
    return [each for (plural, _, _), each in api.objects.items() if plural == "events"]


async def test_an_event_says_what_happened_to_which_object(api, recorder):
    recorder.record(POLICY, INVALID)
    await api.wait_for(lambda: events(api))
    [event] = events(api)
    assert event["metadata"]["namespace"] == "payments"
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "Invalid", "spec.rules[0]: wrong")
    assert event["regarding"] == {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "AuditPolicy",
        "name": "pci",
        "namespace": "payments",
        "uid": "uid-1",
    }


async def test_events_about_cluster_scoped_objects_live_in_the_default_namespace(api, recorder):
    recorder.record(PLANE, INVALID)
    await api.wait_for(lambda: events(api))
    [event] = events(api)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]


async def test_the_same_thing_is_said_once(api, recorder):
    for _ in range(5):
        recorder.record(POLICY, INVALID)
    recorder.record(PLANE, INVALID)
    recorder.record(POLICY, Notice(EventType.WARNING, "Invalid", "Accept", "something else"))
    await api.wait_for(lambda: recorder.written == 3)
    assert len(events(api)) == 3


async def test_the_same_thing_is_said_again_after_a_while(api, recorder):
    recorder.quiet = 0.0
    recorder.record(POLICY, INVALID)
    recorder.record(POLICY, INVALID)
    await api.wait_for(lambda: recorder.written == 2)


async def test_an_event_that_is_refused_is_dropped_and_the_next_one_written(api, recorder):
    api.faults.append(Fault("POST", "", status=403))
    recorder.record(POLICY, INVALID)
    recorder.record(PLANE, INVALID)
    await api.wait_for(lambda: recorder.written)  # which is counted a moment after the event is there
    assert (recorder.written, recorder.dropped) == (1, 1)
    assert len(events(api)) == 1


async def test_a_mass_of_events_is_cut_and_not_queued_for_ever(client):
    recorder = EventRecorder(client, "c", "i", queue_size=10)
    for number in range(50):
        fact = Fact(ObjectRef("AuditPolicy", f"p{number}", "ns"), f"uid-{number}", 1, 1, None)
        recorder.record(fact, INVALID)
    assert recorder.dropped == 40


async def test_a_note_is_cut_to_what_the_api_takes(api, recorder):
    recorder.record(POLICY, Notice(EventType.WARNING, "Invalid", "Accept", "ä" * 1000))
    await api.wait_for(lambda: events(api))
    assert len(events(api)[0]["note"].encode()) <= 1024
