import aiohttp
import pytest

from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.rest import RestClient, Timeouts
from tests.cluster.fake_api_server import fake_api_server


@pytest.fixture
async def api():
    async with fake_api_server() as server:
        yield server


@pytest.fixture
async def client(api):
    """A client that retries without waiting."""
    async with aiohttp.ClientSession(api.url) as session:
        yield RestClient(session, timeouts=Timeouts(1.0, 1.0), backoff=Backoff(base=0.0))
