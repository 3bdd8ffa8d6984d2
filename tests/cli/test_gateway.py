"""`gateway kubeconfig`: the file by which an API server finds the gateway and proves itself."""

from __future__ import annotations

import base64

import pytest
import yaml

from audit_operator.cli import main

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


@pytest.fixture
def run(tmp_path, capsys):
    for name in ("ca", "crt", "key"):
        (tmp_path / name).write_text(f"{name}\n{PEM}")

    def run(*arguments):
        status = main(["gateway", "kubeconfig", *(each.replace("@", f"{tmp_path}/") for each in arguments)])
        return status, *capsys.readouterr()

    return run


def decoded(text):
    return base64.b64decode(text).decode()


def test_the_file_holds_what_the_api_server_needs(run):
    client = ("--client-certificate", "@crt", "--client-key", "@key")
    status, out, err = run("--server", "https://g:8443/audit", "--ca", "@ca", "--server-name", "g.svc", *client)
    document = yaml.safe_load(out)
    [cluster], [user] = document["clusters"], document["users"]
    assert status == 0
    assert cluster["cluster"]["server"] == "https://g:8443/audit"
    assert cluster["cluster"]["tls-server-name"] == "g.svc"
    assert decoded(cluster["cluster"]["certificate-authority-data"]).startswith("ca\n")
    assert decoded(user["user"]["client-certificate-data"]).startswith("crt\n")
    assert decoded(user["user"]["client-key-data"]).startswith("key\n")
    assert document["current-context"] == document["contexts"][0]["name"]
    assert "--audit-webhook-config-file=FILE" in err


def test_without_a_client_it_proves_nothing(run):
    status, out, _ = run("--server", "https://g/audit", "--ca", "@ca")
    assert (status, yaml.safe_load(out)["users"][0]["user"]) == (0, {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--server", "http://g/audit", "--ca", "@ca"), "https://"),
        (("--server", "https://g/audit", "--ca", "@none"), "No such file"),
        (("--server", "https://g/audit", "--ca", "@ca", "--client-key", "@key"), "belong together"),
    ],
)
def test_wrong_usage_is_said(run, arguments, said):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_a_file_that_is_not_in_pem_is_refused(run, tmp_path):
    (tmp_path / "der").write_bytes(b"\x30\x82")
    status, _, err = run("--server", "https://g/audit", "--ca", "@der")
    assert status == 2
    assert "not in PEM" in err


def test_a_replica_needs_a_name(capsys, monkeypatch):
    monkeypatch.setenv("AUDIT_OPERATOR_NODE", "")
    assert main(["gateway", "run"]) == 2
    assert "AUDIT_OPERATOR_NODE" in capsys.readouterr().err
