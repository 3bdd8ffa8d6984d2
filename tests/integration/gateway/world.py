"""The gateway in a thread of its own, before a real collector, with certificates and clients."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager

import aiohttp

from audit_operator.gateway.handover import Handover
from audit_operator.gateway.listener import Listener, TlsFiles
from audit_operator.gateway.receiver import PATH, Receiver
from audit_operator.shipping.audit_webhook import Client, kubeconfig


def post(url, body, headers=None, *, authority, client):
    """Status, headers and text of the answer to one list; without a client, nothing is proved."""
    context = ssl.create_default_context(cafile=authority.certificate)
    if client is not None:
        context.load_cert_chain(*client)
    request = urllib.request.Request(url, body, headers or {}, method="POST")  # noqa: S310 - loopback
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


class RunningGateway:
    """Serves on a free port; `url` is where to post to."""

    def __init__(self, authority, address, **settings):
        self.authority = authority
        certificate, key = authority.issue("gateway")
        self.files = TlsFiles(certificate, key, authority.certificate)
        self.client = authority.issue("api-server", "DNS:api-server")
        self.address, self.settings = address, settings
        self.receiver = self.listener = None
        self.port = 0
        self._ready, self._stop = threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}{PATH}"

    async def _run(self):
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        async with aiohttp.ClientSession() as session:
            self.receiver = Receiver(Handover(session, lambda: self.address), **self.settings)
            self.listener = Listener(self.receiver.application(), self.files, look_every=0.1)
            self.receiver.current = lambda: self.listener.context
            self.port = await self.listener.start("127.0.0.1", self.port)
            self._ready.set()
            await self._stop.wait()
            await self.listener.aclose()
            await asyncio.sleep(0.25)  # TLS connections say goodbye

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    def post(self, body, headers=None, *, authority=None, client="own"):
        """See `post`; by default with a certificate that is good."""
        mine = self.client if client == "own" else client
        return post(self.url, body, headers, authority=authority or self.authority, client=mine)

    def kubeconfig(self, folder):
        """For --audit-webhook-config-file."""
        certificate, key = self.client
        client = Client(certificate.read_bytes(), key.read_bytes())
        (folder / "webhook.kubeconfig").write_text(
            kubeconfig(self.url, self.authority.certificate.read_bytes(), client)
        )
        return folder / "webhook.kubeconfig"


class Stored:
    """What a VictoriaLogs has."""

    def __init__(self, url):
        self.url = url

    def records(self, query="*"):
        asked = urllib.parse.urlencode({"query": query, "limit": "1000000"})
        with urllib.request.urlopen(f"{self.url}/select/logsql/query?{asked}") as answer:  # noqa: S310 - loopback
            return [json.loads(line) for line in answer]

    def texts(self, query="*"):
        """Each record's text, without what arrived twice."""
        return {record["_msg"] for record in self.records(query)}

    def until_it_has(self, texts, patience=180.0):
        """Wait; shows what is missing after that time."""
        deadline = time.monotonic() + patience
        while missing := texts - self.texts():
            assert time.monotonic() < deadline, f"{len(missing)} of {len(texts)} are missing: {sorted(missing)[:3]}"
            time.sleep(0.2)


@contextmanager
def running(collector):
    """Start a collector, and stop it at the end."""
    try:
        yield collector.start()
    finally:
        collector.stop()
