"""How to reach the API server: address, trust and credentials, from a kubeconfig file or from inside a pod.

Reading kubeconfig (contexts, exec plug-ins, OIDC, token files) is left to the Kubernetes client's own loader. The
sessions made here add the credentials to every request anew, so that rotated tokens are picked up; kopf gets such a
session, too.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.kube_config import refresh_token

_TOKEN = "BearerToken"  # noqa: S105  # a key in the loader's table
_READ_BUFFER = 2**21  # a watch event can be as large as an object; aiohttp's default buffer is 64 KiB


class ConnectionConfigError(Exception):
    """There is no usable kubeconfig and no service account; the message says what was tried."""


@dataclass(slots=True)
class Connection:
    """Where the API server is and how to prove who we are. Make one with `connect`, close it with `aclose`."""

    server: str
    _configuration: Configuration
    _tls: ssl.SSLContext
    _refresh: asyncio.Task[None] | None = None
    _sessions: list[aiohttp.ClientSession] = field(default_factory=list)

    @property
    def ca_file(self) -> Path | None:
        """File with the CA of the cluster; None to trust whom this machine trusts."""
        return Path(self._configuration.ssl_ca_cert) if self._configuration.ssl_ca_cert else None

    def session(self) -> aiohttp.ClientSession:
        """A new session with the API server as its base URL; closed by `aclose` at the latest."""
        session = aiohttp.ClientSession(
            base_url=self.server,
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
            middlewares=(self._authenticate,),
            proxy=self._configuration.proxy or None,
            read_bufsize=_READ_BUFFER,
        )
        self._sessions.append(session)
        return session

    def bare_session(self) -> aiohttp.ClientSession:
        """The same without credentials of any sort; closed by `aclose` at the latest.

        Each request has a connection of its own: with several API servers, they do not all come to the same one.
        """
        session = aiohttp.ClientSession(
            base_url=self.server,
            connector=aiohttp.TCPConnector(ssl=_tls_context(self._configuration, own=False), force_close=True),
            proxy=self._configuration.proxy or None,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._sessions.append(session)
        return session

    async def authorization(self) -> str:
        """The value of the Authorization header, as it is now; empty where there is none, as with certificates."""
        return await self._configuration.get_api_key_with_prefix(_TOKEN) or ""

    async def aclose(self) -> None:
        """End the token refresh and close all sessions."""
        if self._refresh is not None:
            self._refresh.cancel()
            with suppress(asyncio.CancelledError):
                await self._refresh
        for session in self._sessions:
            await session.close()

    async def _authenticate(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        token = await self._configuration.get_api_key_with_prefix(_TOKEN)
        if token is not None:
            request.headers["Authorization"] = token
        return await handler(request)


async def connect(kubeconfig: Path | None = None, context: str = "") -> Connection:
    """Read the credentials: from `kubeconfig` if given, else from the pod's service account.

    Raises:
        ConnectionConfigError: the file or the service account cannot be used, with the reason.
    """
    configuration = Configuration()
    refresh: asyncio.Task[None] | None = None
    where = "in-cluster service account" if kubeconfig is None else f"kubeconfig {kubeconfig}"
    try:
        if kubeconfig is None:
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            _expect_mappings(kubeconfig)
            refresh = await _load(kubeconfig, context, configuration)
        if configuration.tls_server_name:
            raise ConnectionConfigError(
                "tls-server-name in a kubeconfig is not supported; use a server name in `server`"
            )
        return Connection(configuration.host, configuration, _tls_context(configuration), refresh)
    except OSError as error:
        # Without its number, and without the file's name a second time.
        named = f"{error.filename}: " if error.filename and str(error.filename) != str(kubeconfig) else ""
        raise ConnectionConfigError(f"{where}: {named}{error.strerror or error}") from error
    except (config.ConfigException, ValueError) as error:
        raise ConnectionConfigError(f"{where}: {error}") from error


async def _load(kubeconfig: Path, context: str, configuration: Configuration) -> asyncio.Task[None]:
    """Fill the configuration; returns what keeps its token fresh."""
    try:
        loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
            str(kubeconfig), context or None, configuration, persist_config=False
        )
    except (AttributeError, KeyError, TypeError) as error:
        # The loader takes what it finds for lists of named mappings, and checks not all of it.
        message = "its clusters, contexts and users are not lists of named mappings; write them as kubectl does"
        raise ValueError(message) from error
    # Only exec plug-ins and one provider expire; for all others this returns at once.
    refreshing = refresh_token(loader, configuration)  # type: ignore[no-untyped-call]
    return asyncio.create_task(refreshing, name="credentials")


def _expect_mappings(kubeconfig: Path) -> None:
    """Look at the files before the loader does, which warns of a missing one only and breaks off at an empty one.

    Raises:
        ConnectionConfigError: there is none of the files, or one of them is no mapping in YAML.
        OSError: one cannot be read.
    """
    paths = [Path(each).expanduser() for each in str(kubeconfig).split(os.pathsep) if each]
    there = [each for each in paths if each.exists()]
    if not there:
        raise ConnectionConfigError(f"kubeconfig {kubeconfig}: no such file")
    for path in there:
        try:
            content = yaml.safe_load(path.read_text())
        except yaml.MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            message = f"kubeconfig {path}{line}: it is no YAML: {error.problem}; mend it, or write it anew with kubectl"
            raise ConnectionConfigError(message) from error
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            message = f"kubeconfig {path}: it is no YAML; mend it, or write it anew with kubectl"
            raise ConnectionConfigError(message) from error
        if not isinstance(content, dict):
            what = "it is empty" if content is None else "it is no mapping"
            message = f"kubeconfig {path}: {what}; a kubeconfig has clusters, contexts, users and current-context"
            raise ConnectionConfigError(message)


def _tls_context(configuration: Configuration, *, own: bool = True) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    # Since Python 3.13 the default context refuses certificates without an authority key identifier. Cluster CAs made
    # by older tools have none, and client-go accepts them.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if own and configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls
