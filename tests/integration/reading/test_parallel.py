"""Fifty tenants read at the same time, and each gets exactly what is theirs."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.reading.records import record, write
from tests.integration.reading.world import ROLE, binding, service_account, token

NAMESPACES, CALLERS, RECORDS, TIMES = 25, ("one", "two"), 40, 3


@pytest.fixture(scope="module")
def tenants(world):
    """Tokens, each with the one namespace that its owner may read."""
    plane = world.control_plane
    names = [f"tenant-{world.suffix}-{n}" for n in range(NAMESPACES)]
    plane.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names))
    plane.apply(*(service_account(name, caller) for name in names for caller in CALLERS))
    plane.apply(*(binding(ROLE, (name, caller), name) for name in names for caller in CALLERS))
    time.sleep(1.1)  # a namespace's creation is known to the second
    write(world.store, [record(name, f"{name}/{n}", ago=0.0) for n in range(RECORDS) for name in names])
    yield {token(plane, name, caller): name for name in names for caller in CALLERS}
    for name in names:
        plane.finalize_namespace(name)


def test_fifty_readers_at_once_all_get_exactly_theirs(world, tenants):
    reader = world.reader

    def read(tenant):
        mine, name = tenant
        wanted = {f"{name}/{n}" for n in range(RECORDS)}
        other = next(each for each in tenants.values() if each != name)
        for turn in range(TIMES):
            assert set(reader.ask(f"namespace={name}&limit=1000", mine).marks) == wanted
            form = json.loads(reader.ask(f"namespace={name}&limit=1000&format=json", mine).body)
            assert {json.loads(each["text"])["mark"] for each in form["records"]} == wanted
            assert (form["end"]["records"], form["end"]["copies"], form["end"]["complete"]) == (RECORDS, 0, True)
            if turn % 2:
                assert reader.ask(f"namespace={other}&limit=1000", mine).status == 403
        return name

    assert len(tenants) == 50
    with ThreadPoolExecutor(len(tenants)) as pool:
        assert sorted(pool.map(read, tenants.items())) == sorted(tenants.values())
    figures = reader.server.reader.figures
    assert figures.broken == 0
    assert figures.records == len(tenants) * TIMES * 2 * RECORDS
    assert reader.server.reader.load.requests == 0
