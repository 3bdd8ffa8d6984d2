"""Asking an API server on this machine, over TLS, by the name that its certificate is for."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from audit_operator.controlplane.static_pod.loopback import Loopback


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """One that signs itself, for the name by which pods reach API servers; and another that nobody has signed for."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("cluster", "stranger"):
        _make_certificate(folder, name, "kubernetes.default.svc")
    _make_certificate(folder, "other-name", "kubernetes.example.com")
    return folder


def _make_certificate(folder, name, host):
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "1", "-subj", "/CN=kube-apiserver", "-addext", f"subjectAltName=DNS:{host}",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - no input from elsewhere


class ApiServer:
    """Answers each path to whoever has a token, and to nobody, as it is told; `asked` has who came for what."""

    def __init__(self, certificates, name="cluster"):
        self.to_token = self.to_nobody = {}
        self.asked = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                token = self.headers.get("Authorization", "")
                api.asked.append((self.path, token))
                status, body = (api.to_token if token else api.to_nobody).get(self.path, (404, ""))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("secret\n")
    return path


@pytest.fixture
def api(certificates):
    with ApiServer(certificates) as server:
        yield server


def test_an_api_server_that_answers_200_is_ready(api, certificates, token):
    api.to_token = {"/readyz": (200, "ok")}
    assert Loopback(certificates / "cluster.pem", token).obstacle("127.0.0.1", api.port) == ""
    assert api.asked == [("/readyz", "Bearer secret")]


def test_the_token_is_read_anew_each_time(api, certificates, token):
    api.to_token = {"/readyz": (200, "ok")}
    loopback = Loopback(certificates / "cluster.pem", token)
    loopback.obstacle("127.0.0.1", api.port)
    token.write_text("rotated")
    loopback.obstacle("127.0.0.1", api.port)
    assert [who for _, who in api.asked] == ["Bearer secret", "Bearer rotated"]


@pytest.mark.parametrize("status", [401, 403])
def test_one_that_does_not_know_the_token_yet_is_asked_as_nobody(api, certificates, token, status):
    api.to_token = {"/readyz": (status, "no")}
    api.to_nobody = {"/readyz": (200, "ok")}
    assert Loopback(certificates / "cluster.pem", token).obstacle("127.0.0.1", api.port) == ""


def test_what_nobody_hears_of_readiness_counts(api, certificates, token):
    api.to_token = {"/readyz": (401, "no")}
    api.to_nobody = {"/readyz": (500, "[-]etcd failed")}
    said = Loopback(certificates / "cluster.pem", token).obstacle("127.0.0.1", api.port)
    assert said == "/readyz answers 500: [-]etcd failed"


def test_one_that_refuses_everybody_is_not_ready_and_says_why_our_token_was_refused(api, certificates, token):
    api.to_token = {"/readyz": (403, "no rights yet")}
    api.to_nobody = {"/readyz": (401, "who are you?")}
    said = Loopback(certificates / "cluster.pem", token).obstacle("127.0.0.1", api.port)
    assert said == "/readyz answers 403: no rights yet"


def test_one_that_is_not_ready_is_not_asked_twice(api, certificates, token):
    api.to_token = {"/readyz": (500, "not yet")}
    api.to_nobody = {"/readyz": (200, "ok")}
    assert "500" in Loopback(certificates / "cluster.pem", token).obstacle("127.0.0.1", api.port)
    assert len(api.asked) == 1


@pytest.mark.parametrize("file", [None, "absent"])
def test_without_a_token_it_is_asked_as_nobody(api, certificates, tmp_path, file):
    api.to_nobody = {"/readyz": (200, "ok")}
    loopback = Loopback(certificates / "cluster.pem", tmp_path / file if file else None)
    assert loopback.obstacle("127.0.0.1", api.port) == ""


@pytest.mark.parametrize("name", ["stranger", "other-name"])
def test_whoever_has_no_certificate_of_the_cluster_for_that_name_is_not_believed(certificates, token, name):
    ca = certificates / ("other-name.pem" if name == "other-name" else "cluster.pem")
    with ApiServer(certificates, name) as impostor:
        impostor.to_token = impostor.to_nobody = {"/readyz": (200, "ok"), "/version": (200, '{"gitVersion": "v1"}')}
        loopback = Loopback(ca, token)
        assert "does not answer" in loopback.obstacle("127.0.0.1", impostor.port)
        assert loopback.version("127.0.0.1", impostor.port) == ""
        assert impostor.asked == []


def test_where_nobody_listens_nothing_is_ready(certificates, token):
    with ApiServer(certificates) as gone:
        port = gone.port
    loopback = Loopback(certificates / "cluster.pem", token)
    assert "does not answer" in loopback.obstacle("127.0.0.1", port)
    assert loopback.version("127.0.0.1", port) == ""


def test_the_version_is_what_it_says(api, certificates, token):
    api.to_token = {"/version": (200, '{"gitVersion": "v1.37.2"}')}
    assert Loopback(certificates / "cluster.pem", token).version("127.0.0.1", api.port) == "v1.37.2"


@pytest.mark.parametrize("answer", [(404, ""), (200, "no JSON"), (200, "{}")])
def test_an_answer_without_a_version_says_none(api, certificates, token, answer):
    api.to_token = {"/version": answer}
    assert Loopback(certificates / "cluster.pem", token).version("127.0.0.1", api.port) == ""


def test_nothing_is_left_open_where_the_api_server_ends_right_after_it_has_accepted():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset_all():
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()

        threading.Thread(target=reset_all, daemon=True).start()
        probe, port = Loopback(None, None), listener.getsockname()[1]
        assert all("does not answer" in probe.obstacle("127.0.0.1", port) for _ in range(50))
        listener.shutdown(socket.SHUT_RDWR)
    # A socket that is left open is a warning when it is collected, and warnings fail the test.
