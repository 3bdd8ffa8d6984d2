"""Through the real collector, with the exporters that we render, into a store that comes, goes and refuses."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import aiohttp
import pytest

from audit_operator.api.sink import AuditSinkSpec
from tests.integration.shipping.collector import binary
from tests.integration.shipping.door import Door
from tests.integration.shipping.lines_shipper import Shipper, made, until
from tests.integration.shipping.victoria_logs import victoria_logs
from tests.ports import free_ports

AT = {"namespace": "audit"}
TLS = {"caSecretRef": {"name": "a", **AT}, "clientSecretRef": {"name": "b", **AT}, "serverName": "store.internal"}
BEARER = {"type": "Bearer", "secretRef": {"name": "s", **AT}}


def victoria(url, **more):
    return {"type": "VictoriaLogs", "victoriaLogs": {"url": url}, **more}


async def stored(url, account=0):
    """How often each audit ID is in the store."""
    form, headers = {"query": "* | fields auditID"}, {"AccountID": str(account)}
    url = f"{url}/select/logsql/query"
    async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=headers) as answer:
        return Counter(json.loads(line)["auditID"] for line in (await answer.text()).splitlines())


@pytest.fixture
def shippers():
    started = []
    yield started
    for each in started:
        each.stop()


async def test_a_best_effort_sink_that_is_away_loses_its_own_counted_and_holds_up_nobody(tmp_path, shippers):
    away = victoria(f"http://127.0.0.1:{next(free_ports())}", delivery={"guarantee": "BestEffort"})
    with victoria_logs(tmp_path) as url:
        lossy = made(away, tmp_path, name="lossy", in_memory=200_000)
        shipper = Shipper(tmp_path, made(victoria(url), tmp_path), lossy)
        shippers.append(shipper)
        shipper.append(0, 3000)
        await shipper.start()

        async def all_stored():
            return len(await stored(url)) == 3000

        await until(all_stored, "all events")
        assert (await stored(url)).total() == 3000

        async def counted():
            return await shipper.count("otelcol_exporter_enqueue_failed_log_records") > 2000

        await until(counted, "losses that are counted")


async def test_a_tenants_full_queue_gives_up_what_is_new_counts_it_and_holds_up_nobody(tmp_path, shippers):
    with victoria_logs(tmp_path) as url:
        door = Door(url)
        door.status = 503
        own = victoria(door.url)
        own["victoriaLogs"]["accountID"] = 7
        full = made(own, tmp_path, name="own", kind=AuditSinkSpec, on_disk_of_tenant=1_000_000)
        shipper = Shipper(tmp_path, made(victoria(url), tmp_path), full)
        shippers.append(shipper)
        async with door.open():
            shipper.append(0, 3000)
            await shipper.start()

            async def all_stored():
                return len(await stored(url)) == 3000

            await until(all_stored, "all events of others")
            door.status = 0

            async def all_accounted_for():
                given_up = await shipper.count("otelcol_exporter_enqueue_failed_log_records")
                return given_up > 1000 and len(await stored(url, 7)) + given_up == 3000

            await until(all_accounted_for, "each of its own events to have arrived, or to be counted")
        assert (await stored(url)).total() == 3000


@pytest.mark.parametrize("status", [302, 307, 401, 403, 404, 500])
async def test_what_a_store_answers_to_everything_is_waited_out(tmp_path, shippers, status):
    with victoria_logs(tmp_path) as url:
        door = Door(url)
        shipper = Shipper(tmp_path, made(victoria(door.url), tmp_path))
        shippers.append(shipper)
        door.status = status
        async with door.open():
            shipper.append(0, 50)
            await shipper.start()

            async def tried_again():
                return door.refused > 4

            await until(tried_again, "further attempts")
            assert "A store refuses whatever it is sent: records wait" in shipper.log
            door.status = 0

            async def all_stored():
                return len(await stored(url)) == 50

            await until(all_stored, "all events")
        assert (await stored(url)).total() == 50
        assert await shipper.count("otelcol_exporter_send_failed_log_records") == 0


@pytest.mark.parametrize("status", [403, 500])
async def test_what_is_refused_for_its_content_holds_up_nothing_else_and_is_counted(tmp_path, shippers, status):
    """As by a firewall, or a store that stumbles: whoever can write the word would stop everybody's records."""
    with victoria_logs(tmp_path) as url:
        door = Door(url)
        door.word, door.closed_with = b"id-7", status
        shipper = Shipper(tmp_path, made(victoria(door.url), tmp_path))
        shippers.append(shipper)
        async with door.open():
            shipper.append(7, 8)
            await shipper.start()

            async def given_up():
                return await shipper.count("otelcol_exporter_send_failed_log_records") == 1

            await until(given_up, "the one event to be given up")
            shipper.append(0, 7)

            async def others_stored():
                return len(await stored(url)) == 7

            await until(others_stored, "all others")
        assert door.refused == 6


async def test_an_answer_about_what_was_sent_loses_events_and_counts_them(tmp_path, shippers):
    """Not wanted: docs/sinks.md says so."""
    door = Door("")
    shipper = Shipper(tmp_path, made(victoria(door.url), tmp_path))
    shippers.append(shipper)
    door.status = 400
    async with door.open():
        shipper.append(0, 50)
        await shipper.start()

        async def given_up():
            return await shipper.count("otelcol_exporter_send_failed_log_records") == 50

        await until(given_up, "all events to be given up")
    assert door.refused == 1


SPECS = [
    victoria("http://store:9428"),
    victoria("https://store/base/", tls=TLS, credentials=BEARER, delivery={"guarantee": "BestEffort"}),
    {"type": "Loki", "loki": {"url": "https://loki", "tenant": "audit"}, "tls": TLS},
    {"type": "OTLP", "otlp": {"endpoint": "http://other:4318"}},
    {"type": "OTLP", "otlp": {"endpoint": "http://[::1]:4317/", "protocol": "GRPC"}},
    {"type": "OTLP", "otlp": {"endpoint": "https://unix:4317", "protocol": "GRPC"}, "tls": TLS, "credentials": BEARER},
    {"type": "OpenSearch", "openSearch": {"url": "https://search:9200"}, "tls": TLS, "credentials": BEARER},
    {"type": "File", "file": {"claimName": "audit"}},
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec["type"])
def test_the_collector_takes_what_is_rendered(tmp_path, spec):
    authorization = tmp_path / "authorization"
    authorization.write_text("Bearer token")
    shipper = Shipper(tmp_path, made(spec, tmp_path, str(authorization)))
    arguments = [binary(), "validate", "--config", shipper.folder / "config.yaml"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    assert done.returncode == 0, done.stderr
