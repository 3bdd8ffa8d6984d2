import asyncio
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from audit_operator.cluster.connection import ConnectionConfigError, connect


def kubeconfig(path, server="http://127.0.0.1:1", **user):
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return path


@pytest.fixture
async def echo():
    """A server that answers with the credentials that it was shown."""

    async def handle(request):
        return web.Response(text=request.headers.get("Authorization", ""))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()


async def shown(connection):
    async with connection.session().get("/version") as response:
        return await response.text()


async def test_a_token_in_the_kubeconfig_is_shown(tmp_path, echo):
    connection = await connect(kubeconfig(tmp_path / "config", echo, token="abc"))
    assert connection.server == echo
    assert await shown(connection) == "Bearer abc"
    await connection.aclose()


async def test_an_exec_plug_in_is_asked_for_a_token(tmp_path, echo):
    credential = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"fresh"}}'
    plug_in = {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [credential]}
    connection = await connect(kubeconfig(tmp_path / "config", echo, exec=plug_in))
    assert await shown(connection) == "Bearer fresh"
    await connection.aclose()


async def test_closing_leaves_no_task_and_no_open_session(tmp_path, echo):
    connection = await connect(kubeconfig(tmp_path / "config", echo, token="abc"))
    session = connection.session()
    await connection.aclose()
    assert session.closed
    assert {task for task in asyncio.all_tasks() if task.get_name() == "credentials"} == set()


async def test_a_missing_kubeconfig_is_named(tmp_path):
    with pytest.raises(ConnectionConfigError) as raised:
        await connect(tmp_path / "absent")
    assert str(raised.value) == f"kubeconfig {tmp_path / 'absent'}: no such file"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty; a kubeconfig has clusters, contexts, users and current-context"),
        (b"# nothing yet\n", "it is empty"),
        (b"- a\n", "it is no mapping"),
        (b"clusters:\n- name: [\n", "config:3: it is no YAML"),
        (b"a: \x00\n", "it is no YAML"),
        (b"\xff\xfe\xfd", "it is no YAML"),
        (b"[" * 5000, "it is no YAML"),
        (b"clusters: 3\n", "its clusters, contexts and users are not lists of named mappings"),
        (b"contexts: [a, b]\n", "Expected key name"),
        (b"current-context: x\ncontexts: [{name: x, context: y}]\n", "config: "),
        (b"current-context: [x]\ncontexts: [{name: x, context: {}}]\n", "config: "),
        (b"current-context: x\ncontexts: [{name: x, context: {cluster: a, user: 7}}]\nusers: 5\n", "config: "),
    ],
)
async def test_a_malformed_kubeconfig_is_named_with_what_is_wrong(tmp_path, content, said):
    (tmp_path / "config").write_bytes(content)
    with pytest.raises(ConnectionConfigError) as raised:
        await connect(tmp_path / "config")
    assert str(raised.value).startswith(f"kubeconfig {tmp_path / 'config'}")
    assert said in str(raised.value)


async def test_a_folder_is_no_kubeconfig(tmp_path):
    with pytest.raises(ConnectionConfigError) as raised:
        await connect(tmp_path)
    assert str(raised.value) == f"kubeconfig {tmp_path}: Is a directory"


async def test_of_several_kubeconfigs_those_that_are_there_are_read(tmp_path, echo):
    several = f"{tmp_path / 'absent'}:{kubeconfig(tmp_path / 'config', echo, token='abc')}"
    connection = await connect(Path(several))
    assert connection.server == echo
    await connection.aclose()


async def test_outside_a_pod_the_missing_service_account_is_named(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConnectionConfigError, match="in-cluster service account"):
        await connect()


async def test_an_unknown_context_is_named(tmp_path):
    with pytest.raises(ConnectionConfigError, match="elsewhere"):
        await connect(kubeconfig(tmp_path / "config"), context="elsewhere")
