"""How long a connection may last, and how many there may be."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest
from aiohttp import web

from audit_operator.gateway.listener import Listener, TlsFiles
from tests.integration.gateway.pki import Authority


@pytest.mark.parametrize(("longest", "ended"), [(0.2, True), (None, False)])
async def test_a_connection_that_says_nothing_is_ended_where_it_may_not_last(tmp_path, longest, ended):
    authority = Authority(tmp_path / "pki")
    certificate, key = authority.issue("server")
    listener = Listener(web.Application(), TlsFiles(certificate, key, None), look_every=0.05, longest=longest)
    port = await listener.start("127.0.0.1", 0)
    context = ssl.create_default_context(cafile=authority.certificate)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        async with asyncio.timeout(60 if ended else 1):
            assert await reader.read() == b""
        assert ended
        assert all(each.transport is None for each in listener._connections.since)
    except TimeoutError:
        assert not ended
    finally:
        writer.close()
        await listener.aclose()
        await asyncio.sleep(0.25)  # TLS connections say goodbye


@asynccontextmanager
async def listening(tmp_path, **more):
    async def answer(_request):
        return web.Response(text="x")

    authority = Authority(tmp_path / "pki")
    certificate, key = authority.issue("server")
    application = web.Application()
    application.router.add_get("/", answer)
    listener = Listener(application, TlsFiles(certificate, key, None), look_every=0.05, **more)
    port = await listener.start("127.0.0.1", 0)
    context = ssl.create_default_context(cafile=authority.certificate)
    opened = []

    async def connection():
        opened.append(await asyncio.open_connection("127.0.0.1", port, ssl=context))
        return opened[-1]

    try:
        yield listener, connection
    finally:
        for _, writer in opened:
            writer.transport.abort()
        await listener.aclose()
        await asyncio.sleep(0.25)  # TLS connections say goodbye


async def ask(reader, writer):
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(1) == b"x"
    assert head.startswith(b"HTTP/1.1 200")


async def has_ended(reader):
    async with asyncio.timeout(60):
        with suppress(ConnectionError):
            assert await reader.read() == b""
    return True


async def test_a_connection_without_a_request_ends_and_one_that_had_one_waits_for_the_next(tmp_path):
    async with listening(tmp_path, first=3.0) as (_, connection):
        kept = await connection()
        await ask(*kept)
        silent = await connection()
        assert await has_ended(silent[0])
        await ask(*kept)


async def test_for_one_connection_too_many_the_oldest_without_a_request_ends(tmp_path):
    async with listening(tmp_path, most=3) as (_, connection):
        kept = await connection()
        await ask(*kept)
        silent = await connection()
        second = await connection()
        third = await connection()
        assert await has_ended(silent[0])
        for each in (kept, second, third):
            await ask(*each)
        # Now all have had one: the one that came first ends.
        await ask(*await connection())
        assert await has_ended(kept[0])


async def test_many_that_say_nothing_keep_nobody_out(tmp_path):
    async with listening(tmp_path, most=5) as (listener, connection):
        kept = await connection()
        await ask(*kept)
        for _ in range(30):
            await connection()
        await ask(*await connection())
        await ask(*kept)
        async with asyncio.timeout(60):
            while len(listener._port.runner.server.connections) > 5:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.02)


async def test_an_expired_certificate_is_of_no_use(tmp_path):
    authority = Authority(tmp_path / "pki")
    certificate, key = authority.issue("server")
    listener = Listener(web.Application(), TlsFiles(certificate, key, None))
    assert "no certificate" in listener.unready()
    await listener.start("127.0.0.1", 0)
    try:
        assert listener.unready() == ""
        listener._expires = datetime.now(UTC)
        assert "expired" in listener.unready()
    finally:
        await listener.aclose()
