"""How long a connection may last."""

import asyncio
import ssl

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
        assert not listener._since or all(each.transport is None for each in listener._since)
    except TimeoutError:
        assert not ended
    finally:
        writer.close()
        await listener.aclose()
        await asyncio.sleep(0.25)  # TLS connections say goodbye
