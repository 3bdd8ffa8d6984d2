"""Whoever may not send, or sends what is no list of events, changes nothing for those who do."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import urllib.request
import uuid
from http import HTTPStatus

import pytest

from audit_operator.gateway.event_list import split
from audit_operator.gateway.load import Load
from audit_operator.gateway.receiver import Limits
from audit_operator.shipping import otlp
from tests.gateway.lists import HEAD, TAIL, event, list_of
from tests.integration.gateway.pki import Authority
from tests.integration.gateway.shipping_collector import ShippingCollector, victoria_logs_sink
from tests.integration.gateway.world import RunningGateway, Stored, running
from tests.integration.shipping.victoria_logs import victoria_logs

MIB = 2**20
LIMITS = Limits(body=4 * MIB, read_seconds=2.0, answer_seconds=10.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    with (
        victoria_logs(folder) as url,
        running(ShippingCollector(folder / "collector", victoria_logs_sink(url))) as collector,
        RunningGateway(
            Authority(folder / "pki"), collector.address, limits=LIMITS, allowed=("api-server",), load=Load(8, 16 * MIB)
        ) as gateway,
    ):
        gateway.stored, gateway.folder = Stored(url), folder
        yield gateway


@pytest.fixture(autouse=True)
def still_taken(world):
    """Whatever was sent, the next list of an API server is taken."""
    yield
    text = event("afterwards")
    assert world.post(list_of(text))[0] == HTTPStatus.OK
    world.stored.until_it_has({each.decode() for each in split(list_of(text))})
    assert (world.receiver.load.requests, world.receiver.load.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"\x00\xff" * 1000, {}, 400),
        (b"{}", {}, 400),
        (list_of(event())[:-5], {}, 400),
        (b"[" * MIB, {}, 400),
        (HEAD + b"[" * MIB + TAIL, {}, 400),
        (list_of(*[event()] * 3).replace(b"EventList", b"PodList"), {}, 400),
        (b" " * (5 * MIB), {}, 413),
        (HEAD + b"1," * MIB + b"1" + TAIL, {}, 413),
        (gzip.compress(b" " * (200 * MIB)), {"Content-Encoding": "gzip"}, 413),
        (gzip.compress(gzip.compress(b" " * (20 * MIB))), {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(list_of(event()))[:-9], {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(list_of(event())) + b"more", {"Content-Encoding": "gzip"}, 400),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400),
        (list_of(event()), {"Content-Encoding": "br"}, 415),
        (list_of(event()), {"Content-Encoding": "gzip, gzip"}, 415),
    ],
)
def test_what_is_no_list_is_refused(world, body, headers, status):
    assert world.post(body, headers)[0] == status


def test_a_packed_list_is_taken(world):
    text = event("packed")
    assert world.post(gzip.compress(list_of(text)), {"Content-Encoding": "gzip"})[0] == HTTPStatus.OK
    world.stored.until_it_has({each.decode() for each in split(list_of(text))})


def test_items_that_are_no_events_go_to_quarantine_with_the_reason_and_cost_the_others_nothing(world):
    odd = ['{"kind":"Pod","n":1e999}', "null", '"text"', "[[]]", '{"level":7}', "1", '{"a":{not json}}']
    good = event("among-odd-ones", requestObject="[" * 900 + "]" * 900)
    assert world.post(list_of(*(each.encode() for each in odd), good))[0] == HTTPStatus.OK
    world.stored.until_it_has({split(list_of(good))[0].decode()})
    deadline = time.monotonic() + 180
    while len(found := world.stored.records("quarantine:*")) < len(odd):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    # Their texts are blanked there, as those of lines in a file are: nobody knows what is in them.
    assert {each["quarantine"] for each in found} == {"no JSON object", "no user"}


def test_an_event_may_nest_deeper_than_any_parser_and_costs_the_others_nothing(world):
    deep = event("deep", requestObject="[" * 100_000 + "]" * 100_000)
    assert world.post(list_of(event("before"), deep, event("behind")))[0] == HTTPStatus.OK
    world.stored.until_it_has({each.decode() for each in split(list_of(event("before"), event("behind")))})


def test_without_a_certificate_nobody_sends(world):
    with pytest.raises((OSError, ssl.SSLError)):
        world.post(list_of(event()), client=None)


def test_a_certificate_of_another_authority_is_refused(world):
    other = Authority(world.folder / "other", "other-authority")
    with pytest.raises((OSError, ssl.SSLError)):
        world.post(list_of(event()), client=other.issue("api-server", "DNS:api-server"))


def test_a_certificate_with_another_name_is_refused(world):
    status, _, text = world.post(list_of(event()), client=world.authority.issue("kubelet", "DNS:kubelet"))
    assert (status, text) == (HTTPStatus.FORBIDDEN, "the certificate has no name that is allowed here\n")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/audit", 405), ("POST", "/", 404), ("POST", "/audit/x", 404)]
)
def test_there_is_one_path_and_one_method(world, method, path, status):
    answer = spoken(
        world, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    )
    assert f" {status} ".encode() in answer


def test_a_body_that_does_not_come_is_not_waited_for(world):
    head = b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    assert b" 408 " in spoken(world, head + b"{")


def test_more_at_once_than_there_is_room_for_is_told_to_come_again(world):
    """Each holds its place for two seconds."""
    head = b"POST /audit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(spoken(world, head))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [each for each in answers if b" 429 " in each]
    assert len(refused) == 12
    assert all(b"Retry-After: 1" in each for each in refused)


def spoken(world, content):
    """What is answered to these bytes, until it closes or 20 s have passed."""
    context = ssl.create_default_context(cafile=world.authority.certificate)
    context.load_cert_chain(*world.client)
    with (
        socket.create_connection(("127.0.0.1", world.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(content)
        return connection.recv(1 << 16)


def test_what_a_store_sends_back_goes_round_no_more(world):
    """A tenant's name server may let the name of a store stand for the collector's own loopback."""
    returned, new = split(list_of(*(event(f"{name}-{uuid.uuid4()}") for name in ("returned", "new"))))
    records = otlp.record(returned, {"cluster": "test", "namespace": "team"}), otlp.record(new, {})
    request = urllib.request.Request(  # loopback
        f"http://{world.address}/v1/logs", otlp.request(records), {"Content-Type": otlp.CONTENT_TYPE}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        assert answer.status == HTTPStatus.OK
    world.stored.until_it_has({new.decode()})
    assert returned.decode() not in world.stored.texts()
