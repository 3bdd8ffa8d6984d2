"""A tenant tries to read what is another's: a table of ways, none of which may succeed."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.integration.reading.records import record, write
from tests.integration.reading.scene import (
    EVERYTHING,
    FORBIDDEN_MARK,
    QUERIES,
    asked,
    expect_nothing_of_others,
    filled,
    tenants,
)
from tests.integration.reading.world import ROLE, binding, kubeconfig, service_account, token


@pytest.fixture(scope="module")
def scene(world):
    with tenants(world, lambda records: write(world.store, records)) as made:
        yield made


TARGETS = {
    "query of the store": "/select/logsql/query?query=*",
    "tail of the store": "/select/logsql/tail?query=*",
    "export of the store": "/api/v1/export?match=*",
    "hits": "/select/logsql/hits?query=*",
    "stream IDs": "/select/logsql/stream_ids?query=*",
    "values of a field": "/select/logsql/field_values?query=*&field=namespace",
    "user interface": "/select/vmui/",
    "delete": "/delete/run_task?filter=*",
    "path traversal": "/v1/records/../../select/logsql/query?query=*",
    "path traversal, encoded": "/v1/records/%2e%2e/%2e%2e/select/logsql/query?query=*",
    "path traversal before": "/select/../v1/records?namespace={theirs}",
    "double slash": "//v1/records?namespace={theirs}",
    "encoded slash": "/v1%2frecords?namespace={theirs}",
    "longer path": "/v1/records/{theirs}?namespace={mine}",
    "path parameter": "/v1/records;namespace={theirs}?namespace={mine}",
    "absolute address": "https://{theirs}/v1/records?namespace={theirs}",
    "absolute address of the store": "{store}/select/logsql/query?query=*",
    "two question marks": "/v1/records?namespace={mine}?namespace={theirs}",
    "fragment": "/v1/records?namespace={mine}#&namespace={theirs}",
    "metrics": "/metrics",
    "star": "*",
}

HEADERS = {
    "another tenant of the store": ["AccountID: 0", "ProjectID: 1"],
    "another organisation": ["X-Scope-OrgID: {theirs}"],
    "impersonated user": ["Impersonate-User: system:serviceaccount:{theirs}:owner"],
    "impersonated group": ["Impersonate-User: x", "Impersonate-Group: system:masters"],
    "impersonated, small letters": ["impersonate-user: admin"],
    "user said by a proxy": ["X-Remote-User: admin", "X-Remote-Group: system:masters"],
    "forwarded": [
        "X-Forwarded-User: admin",
        "X-Forwarded-For: 127.0.0.1",
        "X-Original-URL: /v1/records?namespace={theirs}",
    ],
    "rewritten": ["X-Rewrite-URL: /v1/records?namespace={theirs}", "X-HTTP-Method-Override: POST"],
    "second authorization": ["Authorization: Bearer {owner_token_cut}"],
    "cookie": ["Cookie: namespace={theirs}; token=admin"],
    "upgrade": ["Connection: Upgrade", "Upgrade: websocket"],
    "upgrade to HTTP/2": [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    ],
    "range": ["Range: bytes=0-999999"],
}


def test_there_are_a_hundred_ways_and_more():
    assert len(QUERIES) + len(TARGETS) + len(HEADERS) + len(SPOKEN) + len(TOKENS) >= 100


def test_the_others_are_there_to_be_read_by_whoever_may(scene):
    owner = scene.reader.ask(f"namespace={scene.theirs}&limit=1000", scene.owner_token)
    assert len(owner.marks) == 22
    assert scene.reader.ask(f"namespace={scene.mine}&{EVERYTHING}", scene.token).marks


@pytest.mark.parametrize("attack", QUERIES)
def test_no_question_reads_what_is_anothers(scene, attack):
    query = filled(QUERIES[attack], scene)
    expect_nothing_of_others(asked(scene, query))
    if "since=" not in query and "limit=" not in query:
        expect_nothing_of_others(asked(scene, f"{query}&{EVERYTHING}"))


@pytest.mark.parametrize("attack", TARGETS)
def test_no_path_leads_to_the_store(scene, attack):
    target = filled(TARGETS[attack], scene)
    expect_nothing_of_others(scene.reader.ask("", scene.token, target=target))


@pytest.mark.parametrize("attack", HEADERS)
def test_no_header_makes_mallory_somebody_else(scene, attack):
    headers = [filled(each, scene) for each in HEADERS[attack]]
    for namespace in (scene.mine, scene.theirs):
        expect_nothing_of_others(scene.reader.ask(f"namespace={namespace}&{EVERYTHING}", scene.token, headers=headers))


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "SEARCH"]
)
def test_there_is_one_method(scene, method):
    answer = scene.reader.answer(
        f"{method} /v1/records?namespace={scene.theirs} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {scene.token}\r\nConnection: close\r\n\r\n".encode()
    )
    expect_nothing_of_others(answer, statuses=(400, 403, 404, 405))


SPOKEN = {
    "second request behind a body of one byte more": (
        "{own}Content-Length: 1\r\n\r\nXGET {their_target} HTTP/1.1\r\nHost: x\r\n{auth}\r\n"
    ),
    "length and chunks": (
        "{own}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        "GET {their_target} HTTP/1.1\r\nHost: x\r\n{auth}\r\n"
    ),
    "chunks and length, odd spelling": (
        "{own}Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET {their_target} HTTP/1.1\r\n\r\n"
    ),
    "two lengths": (
        "{own}Content-Length: 0\r\nContent-Length: 60\r\n\r\nGET {their_target} HTTP/1.1\r\nHost: x\r\n{auth}\r\n"
    ),
    "negative length": "{own}Content-Length: -1\r\n\r\nGET {their_target} HTTP/1.1\r\nHost: x\r\n\r\n",
    "pipelined": "{own}\r\nGET {their_target} HTTP/1.1\r\nHost: x\r\n{auth}\r\n",
    "pipelined without authorization": "{own}\r\nGET {their_target} HTTP/1.1\r\nHost: x\r\n\r\n",
    "pipelined to the store": "{own}\r\nGET /select/logsql/query?query=* HTTP/1.1\r\nHost: x\r\n\r\n",
    "header over two lines": "{own}X: y\r\n Authorization: Bearer z\r\n\r\n",
    "bare line feeds": "GET {their_target} HTTP/1.1\nHost: x\n{auth_lf}\n\n",
    "space before the colon": "{own}Authorization : Bearer z\r\n\r\n",
    "NUL in a header": "{own}X-A: a\x00b\r\n\r\n",
    "old protocol": "GET {their_target} HTTP/0.9\r\n\r\n",
    "without authorization": "GET {their_target} HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2 without asking": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no HTTP": "query=*\r\n\r\n",
}
"""Bytes of a connection; {own} begins a request of mallory's that is allowed."""


@pytest.mark.parametrize("attack", SPOKEN)
def test_nothing_is_smuggled_behind_a_request(scene, attack):
    auth = f"Authorization: Bearer {scene.token}\r\n"
    text = SPOKEN[attack]
    for name, value in {
        "own": f"GET /v1/records?namespace={scene.mine} HTTP/1.1\r\nHost: x\r\n{auth}",
        "auth_lf": auth.strip(),
        "auth": auth,
        "their_target": f"/v1/records?namespace={scene.theirs}",
    }.items():
        text = text.replace(f"{{{name}}}", value)
    raw = scene.reader.spoken(text.encode("latin-1"))
    assert FORBIDDEN_MARK.encode() not in raw, raw[:2000]
    assert len(re.findall(rb"HTTP/1\.[01] [1-5]\d\d ", raw)) <= 1, raw  # one request is answered, and no more


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def signed(head, body, key=None):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    text = part(head) + b"." + part(body)
    signature = key.sign(text, padding.PKCS1v15(), hashes.SHA256()) if key else b""
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def issuers_key(scene):
    """The API server's own: for tokens that only time makes invalid."""
    return serialization.load_pem_private_key(
        (scene.plane.plane.api_server.certificates / "apiserver.key").read_bytes(), None
    )


def header(token):
    part = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def expired(scene):
    past = int(datetime.now(UTC).timestamp()) - 7200
    body = {**claims(scene.owner_token), "exp": past + 3600, "iat": past, "nbf": past}
    return signed(header(scene.owner_token), body, issuers_key(scene))


def not_yet(scene):
    ahead = int(datetime.now(UTC).timestamp()) + 7200
    return signed(
        header(scene.owner_token), {**claims(scene.owner_token), "nbf": ahead, "exp": ahead + 3600}, issuers_key(scene)
    )


def forged(scene):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return signed(header(scene.owner_token), claims(scene.owner_token), key)


def other_subject(scene):
    """Mallory's signature under the owner's claims."""
    head, _, signature = scene.token.split(".")
    return ".".join((head, scene.owner_token.split(".")[1], signature))


def of_deleted_account(scene):
    scene.plane.apply(service_account(scene.theirs, "gone"), binding(ROLE, (scene.theirs, "gone"), scene.theirs))
    made = token(scene.plane, scene.theirs, "gone")
    scene.plane.kubectl("delete", "serviceaccount", "gone", "-n", scene.theirs)
    return made


TOKENS = {
    "none": lambda _scene: "",
    "expired": expired,
    "not valid yet": not_yet,
    "forged": forged,
    "unsigned": lambda scene: signed({"alg": "none"}, claims(scene.owner_token)),
    "another subject": other_subject,
    "for another audience": lambda scene: token(scene.plane, scene.theirs, "owner", audiences=["vault"]),
    "of a deleted account": of_deleted_account,
    "cut": lambda scene: scene.owner_token[:-1],
    "two in one": lambda scene: f"{scene.token} {scene.owner_token}",
    "with a comma": lambda scene: f"{scene.token}, Bearer {scene.owner_token}",
    "very long": lambda _scene: "x" * 7000,
    "a name": lambda scene: f"system:serviceaccount:{scene.theirs}:owner",
}


@pytest.mark.parametrize("attack", TOKENS)
def test_no_token_is_taken_but_a_good_one(scene, attack):
    answer = scene.reader.ask(f"namespace={scene.theirs}", TOKENS[attack](scene))
    expect_nothing_of_others(answer, statuses=(400, 401))


def test_what_does_not_exist_is_answered_like_what_may_not_be_read(scene):
    there, not_there = (
        scene.reader.ask(f"namespace={each}", scene.token) for each in (scene.theirs, f"nothing-{scene.world.suffix}")
    )
    assert (there.status, there.body) == (not_there.status, not_there.body)
    assert there.status == 403


def test_what_one_caller_may_is_remembered_for_no_other(scene):
    for _ in range(3):
        assert scene.reader.ask(f"namespace={scene.theirs}", scene.owner_token).status == 200
        assert scene.reader.ask(f"namespace={scene.theirs}", scene.token).status == 403
        assert scene.reader.ask(f"namespace={scene.mine}", scene.owner_token).status == 403
        assert scene.reader.ask(f"namespace={scene.mine}", scene.token).status == 200


def test_who_gets_a_name_that_was_free_does_not_get_what_was_before(scene):
    """The former owner reads until the end, so that all that can be remembered is."""
    plane, reader = scene.plane, scene.reader
    name = plane.create_namespace(f"again-{scene.world.suffix}")
    plane.apply(binding(ROLE, (scene.theirs, "owner"), name))
    time.sleep(1.1)
    write(scene.world.store, [record(name, f"{FORBIDDEN_MARK}-former", ago=0.0)])
    assert reader.ask(f"namespace={name}", scene.owner_token).marks == [f"{FORBIDDEN_MARK}-former"]
    plane.kubectl("delete", "rolebinding", "--all", "-n", name)
    plane.finalize_namespace(name)
    assert reader.ask(f"namespace={name}", scene.owner_token).status == 403
    time.sleep(1.1)
    plane.create_namespace(name)
    plane.apply(binding(ROLE, (scene.mine, "mallory"), name))
    assert reader.ask(f"namespace={name}&{EVERYTHING}", scene.owner_token).status == 403
    assert reader.ask(f"namespace={name}&{EVERYTHING}", scene.token).marks == []
    write(scene.world.store, [record(name, "own-new", ago=0.0)])
    expect_nothing_of_others(reader.ask(f"namespace={name}&{EVERYTHING}", scene.token))
    plane.finalize_namespace(name)


def test_a_right_that_is_taken_away_ends_within_seconds(scene):
    plane, reader = scene.plane, scene.reader
    plane.apply(service_account(scene.theirs, "guest"), binding(ROLE, (scene.theirs, "guest"), scene.theirs))
    guest = token(plane, scene.theirs, "guest")
    assert reader.ask(f"namespace={scene.theirs}", guest).status == 200
    plane.kubectl("delete", "rolebinding", f"{ROLE}-{scene.theirs}-guest", "-n", scene.theirs)
    deadline = time.monotonic() + 180
    while reader.ask(f"namespace={scene.theirs}", guest).status != 403:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_who_may_read_everywhere_reads_what_has_no_namespace_and_what_was_before(scene):
    plane = scene.plane
    plane.apply(service_account(scene.world.home, "auditor"), binding(ROLE, (scene.world.home, "auditor")))
    auditor = token(plane, scene.world.home, "auditor")
    marks = scene.reader.ask(f"namespace={scene.mine}&clusterScoped=true&{EVERYTHING}", auditor).marks
    assert {f"{FORBIDDEN_MARK}-cluster-scoped", f"{FORBIDDEN_MARK}-unseen", f"{FORBIDDEN_MARK}-earlier-namespace"} <= {
        *marks
    }
    assert f"{FORBIDDEN_MARK}-other-cluster" not in marks
    plane.kubectl("delete", "clusterrolebinding", f"{ROLE}-{scene.world.home}-auditor")


def test_the_command_asks_a_reader_with_ones_own_token(scene, tmp_path):
    def query(namespace, *arguments):
        authority = str(scene.reader.authority.certificate)
        command = ["query", "--server", scene.reader.url, "--ca", authority, "-o", "json", "-n", namespace, *arguments]
        return subprocess.run(  # noqa: S603  # the command under test
            [sys.executable, "-m", "audit_operator", *command], capture_output=True, text=True, timeout=60, check=False
        )

    (tmp_path / "token").write_text(scene.token)
    by_file = "--token-file", str(tmp_path / "token")
    found = json.loads(query(scene.mine, *by_file).stdout)
    assert {each["event"]["mark"].partition("-")[0] for each in found} == {"own"}
    refused = query(scene.theirs, *by_file)
    assert refused.returncode == 1
    assert FORBIDDEN_MARK not in refused.stdout
    assert "403" in refused.stderr
    mallorys = kubeconfig(scene.plane, tmp_path / "kubeconfig", scene.token)
    assert len(json.loads(query(scene.mine, "--kubeconfig", str(mallorys)).stdout)) == len(found)
