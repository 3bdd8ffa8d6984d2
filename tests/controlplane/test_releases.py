"""Downloads from a release host that is not always well, on loopback."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from audit_operator.controlplane.assets.asset import Asset, Tool, architecture
from audit_operator.controlplane.assets.release import Releases
from audit_operator.controlplane.assets.source import SourceFailed

KUBECTL = Asset(Tool.KUBECTL, "v1.37.2")
ETCD = Asset(Tool.ETCD, "v3.6.16")
VICTORIA_LOGS = Asset(Tool.VICTORIA_LOGS, "v1.52.1")
OTELCOL = Asset(Tool.OTELCOL, "v0.157.0+1")
BINARY = b"#!/bin/sh\n" + b"x" * 100_000


class Host:
    """A release host that serves files, and breaks some answers."""

    def __init__(self):
        self.files, self.truncated, self.asked = {}, {}, []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                host.asked.append(self.path)
                content = next((value for ending, value in host.files.items() if self.path.endswith(ending)), None)
                self.send_response(404 if content is None else 200)
                self.end_headers()
                left = host.truncated.get(self.path.rsplit("/", 1)[1], 0)
                if content is not None:
                    self.wfile.write(content[: len(content) // 2] if left else content)
                if left:
                    host.truncated[self.path.rsplit("/", 1)[1]] = left - 1

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def host():
    each = Host()
    yield each
    each.server.shutdown()
    each.server.server_close()


def fetch(host, asset, folder):
    return Releases(host.url, host.url).fetch(asset, folder, lambda _line: None)


def test_a_binary_is_what_was_published(host, tmp_path):
    host.files = {"/kubectl": BINARY, "/kubectl.sha512": hashlib.sha512(BINARY).hexdigest().encode()}
    assert fetch(host, KUBECTL, tmp_path).read_bytes() == BINARY


def test_a_broken_download_is_found_and_tried_again(host, tmp_path):
    host.files = {"/kubectl": BINARY, "/kubectl.sha512": hashlib.sha512(BINARY).hexdigest().encode()}
    host.truncated = {"kubectl": 1}
    assert fetch(host, KUBECTL, tmp_path).read_bytes() == BINARY


def test_a_download_that_stays_broken_is_refused_with_both_checksums(host, tmp_path):
    expected = hashlib.sha512(BINARY).hexdigest()
    host.files = {"/kubectl": BINARY + b"evil", "/kubectl.sha512": expected.encode()}
    with pytest.raises(SourceFailed, match=expected):
        fetch(host, KUBECTL, tmp_path)


def archive(**files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_the_binary_is_taken_out_of_an_archive_wherever_it_would_have_put_it(host, tmp_path):
    content = archive(**{"etcd-v3.6.16/etcdctl": b"no", "../../etcd-v3.6.16/etcd": BINARY})
    sums = f"{hashlib.sha256(content).hexdigest()}  etcd-v3.6.16-linux-{architecture()}.tar.gz\n"
    host.files = {".tar.gz": content, "/SHA256SUMS": sums.encode()}
    taken = fetch(host, ETCD, tmp_path)
    assert taken.read_bytes() == BINARY
    assert taken.is_relative_to(tmp_path)


def test_a_binary_that_its_archive_calls_otherwise_gets_its_own_name(host, tmp_path):
    content = archive(**{"victoria-logs-prod": BINARY})
    name = f"victoria-logs-linux-{architecture()}-v1.52.1"
    sums = f"{hashlib.sha256(content).hexdigest()}  {name}.tar.gz\n{'0' * 64}  victoria-logs-prod\n"
    host.files = {f"/{name}.tar.gz": content, f"/{name}_checksums.txt": sums.encode()}
    taken = fetch(host, VICTORIA_LOGS, tmp_path)
    assert (taken.name, taken.read_bytes()) == ("victoria-logs", BINARY)


def test_an_archive_without_the_binary_is_refused(host, tmp_path):
    content = archive(**{"etcd-v3.6.16/etcdctl": b"no"})
    sums = f"{hashlib.sha256(content).hexdigest()}  etcd-v3.6.16-linux-{architecture()}.tar.gz\n"
    host.files = {".tar.gz": content, "/SHA256SUMS": sums.encode()}
    with pytest.raises(SourceFailed, match="holds no etcd"):
        fetch(host, ETCD, tmp_path)


def test_no_release_is_asked_for_a_collector(host, tmp_path):
    with pytest.raises(SourceFailed, match="no published distribution"):
        fetch(host, OTELCOL, tmp_path)
    assert host.asked == []


def test_no_checksum_no_binary(host, tmp_path):
    host.files = {"/kubectl": BINARY, "/kubectl.sha512": b"<html>not here</html>"}
    with pytest.raises(SourceFailed, match="no checksum"):
        fetch(host, KUBECTL, tmp_path)


def test_a_host_that_cannot_be_reached_is_asked_once(tmp_path):
    releases = Releases("http://127.0.0.1:1", "http://127.0.0.1:1")
    for asset in (KUBECTL, ETCD):
        with pytest.raises(SourceFailed, match="cannot be reached"):
            releases.fetch(asset, tmp_path, lambda _line: None)
