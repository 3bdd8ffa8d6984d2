"""Whatever the store or the network does, the caller gets a value, and no secret and no word of the store's in it."""

import asyncio
import gzip
import logging
import ssl
import subprocess
from datetime import UTC, datetime

import pytest

from audit_operator.api.sink import AuditSinkSpec
from audit_operator.sinks import Accepted, Access, Failure, Reachable, Reason, Record, Unsupported, open_store
from tests.sinks.conftest import opened
from tests.sinks.fake_store import serving

OVER_OTLP = ["VictoriaLogs", "Loki", "OTLP"]
KINDS = [*OVER_OTLP, "OpenSearch", "Elasticsearch"]
ASKABLE = ["VictoriaLogs", "Loki", "OpenSearch"]
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = "s3cr3t-of-the-sink"
WORDS = b"words-that-only-the-store-knows"
RECORD = Record("id-1", "ResponseComplete", SINCE, '{"auditID":"id-1"}')


async def all_of(store):
    """An answer to each question that this store can be asked."""
    results = [
        await store.check(),
        await store.write(RECORD),
        await store.find("id-1", None, since=SINCE),
        await store.health(),
    ]
    return [each for each in results if not isinstance(each, Unsupported)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (301, Reason.REDIRECTED),
        (400, Reason.REFUSED),
        (401, Reason.UNAUTHENTICATED),
        (403, Reason.FORBIDDEN),
        (404, Reason.NOT_FOUND),
        (413, Reason.TOO_LARGE),
        (418, Reason.REFUSED),
        (429, Reason.TOO_MANY_REQUESTS),
        (500, Reason.STORE_FAILED),
        (503, Reason.STORE_FAILED),
        (599, Reason.STORE_FAILED),
    ],
)
async def test_a_refusal_has_its_reason_and_a_mend(server, kind, status, reason, caplog):
    caplog.set_level(logging.DEBUG)
    server.status, server.body, server.headers = status, WORDS, {"Location": "http://127.0.0.1:1/"}
    store = opened(kind, server.url, Access(authorization=f"Bearer {SECRET}"))
    results = await all_of(store)
    assert {each.reason for each in results} == {reason}
    assert all(each.mend and str(status) in each.message for each in results)
    said = f"{results}{store}{caplog.text}"
    assert SECRET not in said
    assert WORDS.decode() not in said
    assert all(each.headers["Authorization"] == f"Bearer {SECRET}" for each in server.asked)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_store_that_does_not_answer_is_given_up(server, kind):
    server.delay = 60
    store = opened(kind, server.url, patience=0.1)
    assert {each.reason for each in await all_of(store)} == {Reason.TIMED_OUT}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", Reason.UNREACHABLE),
        ("http://no-such-host.invalid", Reason.UNREACHABLE),
    ],
)
async def test_no_connection_is_a_value(kind, url, reason):
    results = await all_of(opened(kind, url))
    assert {each.reason for each in results} == {reason}, results


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("url", ["http://[1:2:3]", "http://[1::2::3]:80", "https://[.]"])
def test_what_only_looks_like_an_address_is_refused_at_once(kind, url):
    assert opened(kind, url).reason is Reason.ADDRESS_INVALID


@pytest.mark.parametrize("kind", ASKABLE)
async def test_half_an_answer_is_none(server, kind):
    server.body, server.cut_after = b'{"auditID":"id-1","stage":"Panic","_time":"2026-11-01T00:00:00Z"}\n' * 9, 130
    result = await opened(kind, server.url).find("id-1", None, since=SINCE)
    assert result.reason is Reason.CUT_OFF


async def test_what_does_not_speak_http_is_no_store():
    async def talk(_reader, writer):
        writer.write(b"220 smtp.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await opened("VictoriaLogs", f"http://127.0.0.1:{port}").check()
    assert result.reason is Reason.ANSWER_MALFORMED


MALFORMED = {
    "VictoriaLogs": [
        b"<html>",
        b"[]",
        b"1",
        b'{"auditID":"a"}',
        b'{"auditID":1,"_time":"2026-11-01T00:00:00Z"}',
        b'{"auditID":"a","_time":"yesterday"}',
        b'{"auditID":"a","_time":"2026-11-01T00:00:00"}',
        b'{"a":' * 100_000,
        b"\xff",
    ],
    "Loki": [
        b"<html>",
        b"[]",
        b"{}",
        b'{"status":"error","data":{"resultType":"streams","result":[]}}',
        b'{"status":"success","data":{"resultType":"matrix","result":[]}}',
        b'{"status":"success","data":{"resultType":"streams","result":[{"stream":{},"values":[["1","x"]]}]}}',
        b'{"status":"success","data":{"resultType":"streams","result":[{"stream":{"auditID":"a"},"values":[["x","x"]]}]}}',
        b'{"status":"success","data":{"resultType":"streams","result":[{"stream":{"auditID":"a"},"values":[["%s","x"]]}]}}'
        % (b"9" * 30),
        b"[" * 100_000,
        b"\xff",
    ],
    "OpenSearch": [
        b"<html>",
        b"[]",
        b"{}",
        b'{"hits":[]}',
        b"[" * 100_000,
        b"\xff",
    ],
}


@pytest.mark.parametrize(("kind", "body"), [(kind, body) for kind, bodies in MALFORMED.items() for body in bodies])
async def test_an_answer_of_another_form_is_no_answer(server, kind, body):
    server.body = body
    result = await opened(kind, server.url).find("id-1", None, since=SINCE)
    assert result.reason is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        b'{"hits":{"hits":[1]}}',
        b'{"hits":{"hits":[{"_source":[1]}]}}',
        b'{"hits":{"hits":[{"_source":{"auditID":"id-1","event":"{}","@timestamp":"yesterday"}}]}}',
        b'{"hits":{"hits":[{"_source":{"auditID":"id-1","event":"{}","@timestamp":"2026-11-01T00:00:00"}}]}}',
        b'{"hits":{"hits":[{"_source":{"auditID":"id-1","event":{},"@timestamp":"2026-11-01T00:00:00Z"}}]}}',
        b'{"hits":{"hits":[{"_source":{"event":"{}","@timestamp":"2026-11-01T00:00:00Z"}}]}}',
    ],
)
async def test_a_document_of_others_hides_no_record_and_an_answer_with_one_is_not_complete(server, body):
    own = b'{"_source":{"auditID":"id-1","event":"{}","@timestamp":"2026-11-01T00:00:00Z"}},'
    server.body = body.replace(b'"hits":[', b'"hits":[' + own)
    found = await opened("OpenSearch", server.url).find("id-1", None, since=SINCE)
    assert ([each.audit_id for each in found.records], found.complete) == (["id-1"], False)


async def test_an_endless_answer_is_given_up(server, monkeypatch):
    monkeypatch.setattr("audit_operator.sinks.access._MOST_BYTES", 1000)
    server.body = b"\n" * 1001
    result = await opened("VictoriaLogs", server.url).find("id-1", None, since=SINCE)
    assert result.reason is Reason.ANSWER_TOO_LARGE


@pytest.mark.parametrize("authorization", ["Bearer a\r\nX-Other: b", "Bearer ä", "a\0"])
def test_credentials_that_could_become_another_header_are_refused(authorization):
    result = opened("Loki", "http://127.0.0.1:1", Access(authorization=authorization))
    assert result.reason is Reason.CREDENTIALS_INVALID


@pytest.mark.parametrize("kind", OVER_OTLP)
async def test_an_empty_write_is_a_check_and_success_is_not_more_than_that(server, kind):
    store = opened(kind, server.url)
    assert await store.check() == Reachable()
    assert server.asked[0].body == b""
    assert await store.write(RECORD) == Accepted()
    assert b'{"auditID":"id-1"}' in server.asked[1].body


async def test_a_loki_that_misses_the_record_has_taken_the_check(server):
    server.status = 422
    assert await opened("Loki", server.url).check() == Reachable()
    assert (await opened("Loki", server.url).write(RECORD)).reason is Reason.REFUSED
    assert (await opened("OTLP", server.url).check()).reason is Reason.REFUSED


async def test_an_index_that_misses_a_document_has_taken_the_check_and_what_is_no_index_has_not(server):
    store = opened("OpenSearch", server.url)
    server.status, server.body = 400, b'{"error":{"type":"action_request_validation_exception"},"status":400}'
    assert await store.check() == Reachable()
    assert [(each.path, each.body.strip()) for each in server.asked] == [("/audit/_bulk", b"")]
    server.status, server.body = 200, b"<html>"
    assert (await store.check()).reason is Reason.REFUSED


async def test_what_an_index_has_already_is_taken(server):
    server.answers = {"/audit": (400, b"")}
    server.status = 409
    assert await opened("OpenSearch", server.url).write(RECORD) == Accepted()


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "OTLP", "otlp": {"endpoint": "http://127.0.0.1:1", "protocol": "GRPC"}},
    ],
)
async def test_a_store_that_cannot_be_talked_to_says_so_to_each_question(spec):
    spec = AuditSinkSpec.model_validate_json(
        AuditSinkSpec.model_validate(spec, strict=False).model_dump_json(by_alias=True)
    )
    store = open_store(spec, Access())
    answers = [
        await store.check(),
        await store.write(RECORD),
        await store.find("id-1", None, since=SINCE),
        await store.health(),
    ]
    assert all(isinstance(each, Unsupported) and each.reason for each in answers)


# TLS


def certificate(folder, name, *, host, days="1"):
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", days, "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - no input from elsewhere
    return (folder / f"{name}.pem").read_text(), (folder / f"{name}.key").read_text()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def of_store(folder):
    return certificate(folder, "store", host="IP:127.0.0.1,DNS:store.internal")


@pytest.fixture(scope="session")
def of_client(folder):
    return certificate(folder, "client", host="DNS:client")


def server_context(folder, *, client=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "store.pem", folder / "store.key")
    if client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "client.pem")
    return context


async def test_a_store_is_known_by_the_authority_of_its_sink(folder, of_store):
    async with serving(server_context(folder)) as server:
        assert await opened("Loki", server.url, Access(ca=of_store[0])).check() == Reachable()
        unknown = await opened("Loki", server.url).check()
    assert unknown.reason is Reason.TLS_FAILED
    assert "self-signed" in unknown.message
    assert len(server.asked) == 1


async def test_the_name_in_the_certificate_counts(folder, of_store):
    async with serving(server_context(folder)) as server:
        access = Access(ca=of_store[0])
        named = opened("Loki", server.url, access, tls={"serverName": "store.internal"})
        assert await named.check() == Reachable()
        other = await opened("Loki", server.url, access, tls={"serverName": "other.internal"}).check()
    assert other.reason is Reason.TLS_FAILED


async def test_the_sink_is_known_by_its_certificate(folder, of_store, of_client):
    async with serving(server_context(folder, client=True)) as server:
        access = Access(ca=of_store[0], certificate=of_client[0], key=of_client[1])
        assert await opened("VictoriaLogs", server.url, access).check() == Reachable()
        nobody = await opened("VictoriaLogs", server.url, Access(ca=of_store[0])).check()
    assert isinstance(nobody, Failure)
    assert nobody.reason in (Reason.TLS_FAILED, Reason.CUT_OFF)  # TLS 1.3 refuses after the handshake


async def test_a_store_without_tls_is_not_spoken_to_without(server):
    result = await opened("Loki", server.url.replace("http:", "https:")).check()
    assert result.reason is Reason.TLS_FAILED
    assert not server.asked


async def test_a_bundle_with_comments_in_any_script_is_as_good_as_one_without(folder, of_store, of_client):
    bundle = f"# Autorité de Certification Racine\n{of_client[0]}\n# 認証局\n{of_store[0]}"
    async with serving(server_context(folder)) as server:
        assert await opened("Loki", server.url, Access(ca=bundle)).check() == Reachable()


@pytest.mark.parametrize("inside", ["é", "a b c", "-----BEGIN CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused_whatever_its_characters(of_store, inside):
    broken = f"-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n"
    for bundle in (broken, of_store[0] + broken, "é"):
        assert opened("Loki", "https://127.0.0.1:1", Access(ca=bundle)).reason is Reason.TLS_FILES_INVALID


@pytest.mark.parametrize("broken", ["ca", "certificate", "key", "other key"])
def test_certificates_that_cannot_be_used_are_said_without_quoting_them(of_store, of_client, broken):
    material = {"ca": of_store[0], "certificate": of_client[0], "key": of_client[1]}
    material[broken.removeprefix("other ")] = of_store[1] if broken == "other key" else f"-----BEGIN {SECRET}"
    result = opened("Loki", "https://127.0.0.1:1", Access(**material))
    assert result.reason is Reason.TLS_FILES_INVALID
    assert SECRET not in f"{result}"


def test_access_shows_nothing():
    assert SECRET not in repr(Access(SECRET, SECRET, SECRET, SECRET))


async def test_an_answer_that_unpacks_to_more_is_not_unpacked(server):
    server.headers = {"Content-Encoding": "gzip"}
    server.body = gzip.compress(b"\n" * 2**20)
    result = await opened("VictoriaLogs", server.url).find("id-1", None, since=SINCE)
    assert result.reason is Reason.ANSWER_MALFORMED


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("kind", ASKABLE)
async def test_an_answer_that_does_not_say_where_it_ends_is_not_taken_for_whole(kind, version):
    """The connection's end would be its own, and that is also what a store looks like that dies in between."""

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(each[15:]) for each in head.splitlines() if each.lower().startswith(b"content-length:")), 0)
        await reader.readexactly(length)
        writer.write(f"HTTP/{version} 200 OK\r\nConnection: close\r\n\r\n{{}}\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        store = opened(kind, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        found = await store.find("id-1", None, since=SINCE)
        connection = store.connection if kind == "OpenSearch" else store.endpoint.connection
        lines = [each async for each in connection.lines("/", {}, {})]
    assert found.reason is Reason.CUT_OFF
    assert (lines[0], lines[1].reason) == (b"{}", Reason.CUT_OFF)
