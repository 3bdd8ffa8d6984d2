"""A real Chromium, spoken to by its own protocol (DevTools), which needs no other driver.

    with Chromium() as browser:
        page = browser.open(path)
        page.evaluate("document.title")

Everything that a page asks the network for, and everything that it says on its console, is remembered.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DEADLINE = 120


def chromium() -> str | None:
    """Where it is on this machine, if at all."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """The process; away from any network but this machine's."""

    def __enter__(self) -> Self:
        program = chromium()
        assert program, f"none of {', '.join(NAMES)} is on PATH"
        self._home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(  # noqa: S603 - the browser of this machine
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
                f"--user-data-dir={self._home.name}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": self._home.name},
        )  # fmt: skip
        self._loop = asyncio.new_event_loop()
        self._session = self._run(_session())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._session.close())
        self._loop.close()
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._home.cleanup()

    def _run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(asyncio.wait_for(coroutine, DEADLINE))

    def open(self, path: Path, *, width: int = 1280, height: int = 900, scheme: str = "light") -> Page:
        """A page of its own that has loaded a file."""
        page = Page(self._run, self._run(self._connect()))
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.call("Page.navigate", url=path.as_uri())
        page.wait_for("document.readyState === 'complete'")
        return page

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        said = Path(self._home.name) / "DevToolsActivePort"
        while not (said.exists() and said.read_text().count("\n")):
            assert self._process.poll() is None, "chromium has ended"
            await asyncio.sleep(0.05)
        address = f"http://127.0.0.1:{said.read_text().splitlines()[0]}/json/new?about:blank"
        async with self._session.put(address) as answer:
            target = json.loads(await answer.text())["webSocketDebuggerUrl"]
        return await self._session.ws_connect(target, max_msg_size=0)


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


class Page:
    """One page, and what was seen of it."""

    def __init__(self, run: Any, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._run, self._socket, self._number = run, socket, 0
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        return self._run(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._notice(message.get("method", ""), message.get("params", {}))

    def _notice(self, method: str, said: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(said["entry"]["text"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(said))

    def evaluate(self, expression: str) -> Any:
        """What an expression amounts to."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Until it holds."""
        end = time.monotonic() + DEADLINE
        while not self.evaluate(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """A key, as from a keyboard."""
        codes = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
                 "ArrowDown": 40}  # fmt: skip
        text = {"text": "\r"} if key == "Enter" else {}  # without it nothing is activated
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    def screenshot(self, target: Path, *, whole: bool = True) -> None:
        """As PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        target.write_bytes(base64.b64decode(answer["data"]))

    def print(self) -> bytes:
        """As PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def close(self) -> None:
        """The page is gone."""
        with contextlib.suppress(Exception):
            self._run(self._socket.close())
