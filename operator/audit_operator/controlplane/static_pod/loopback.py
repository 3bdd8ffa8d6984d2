"""Is the API server of this very node ready? Asked on loopback, with the certificate checked all the same.

The certificate of an API server names no loopback address, but each one is valid for the name of the Service by which
pods reach it.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIMEOUT = 5.0
_LARGEST_ANSWER = 64 * 1024
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Loopback:
    """Asks API servers on this machine.

    Attributes:
        ca: file with the cluster's CA; None to trust whom this machine trusts.
        token: file with a token that API servers know; it is read anew each time, since it is rotated. None to ask as
            nobody, which most API servers allow for health. One that has just started may not know the token, nor the
            rights of its owner yet: it is then asked as nobody, too.
        server_name: a name for which every API server's certificate is valid.
    """

    ca: Path | None
    token: Path | None
    server_name: str = "kubernetes.default.svc"

    def obstacle(self, address: str, port: int) -> str:
        """Why the API server there is not ready; empty if `/readyz` answered 200."""
        try:
            status, body = self._get(address, port, "/readyz")
        except (OSError, http.client.HTTPException) as error:
            return f"{address}:{port} does not answer: {error}"
        return "" if status == HTTPStatus.OK else f"/readyz answers {status}: {body[:200]}"

    def version(self, address: str, port: int) -> str:
        """`gitVersion` of the API server there; empty if it does not say."""
        with suppress(OSError, http.client.HTTPException, ValueError):
            status, body = self._get(address, port, "/version")
            if status == HTTPStatus.OK:
                return str(json.loads(body).get("gitVersion", ""))
        return ""

    def _get(self, address: str, port: int, path: str) -> tuple[int, str]:
        """Status and body. What is said to nobody counts only if it says more than that nobody may ask."""
        token = self._read_token()
        answer = self._ask(address, port, path, {"Authorization": f"Bearer {token}"} if token else {})
        if token and answer[0] in _REFUSED:
            second = self._ask(address, port, path, {})
            return answer if second[0] in _REFUSED else second
        return answer

    def _read_token(self) -> str:
        with suppress(OSError):
            return self.token.read_text().strip() if self.token else ""
        return ""

    def _ask(self, address: str, port: int, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=self.ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # cluster CAs made by older tools have no key identifier
        plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        # Not connected before it is wrapped: wrapping a connection that has just been reset raises and leaves it open.
        with context.wrap_socket(plain, server_hostname=self.server_name) as secure:
            secure.settimeout(_TIMEOUT)
            secure.connect((address, port))
            connection = http.client.HTTPSConnection(address, port, timeout=_TIMEOUT)
            connection.sock = secure
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.read(_LARGEST_ANSWER).decode(errors="replace")
            finally:
                connection.close()
