"""A real S3 on loopback: SeaweedFS, whose binary comes with its wheel.

with seaweedfs(tmp_path) as store:
    store.client.make_bucket("audit")
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import minio
import urllib3

from tests.integration.shipping.clock import jump
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEY_ID, KEY = "AKIATEST", "secret/of+the/test="
WRITERS_ID, WRITERS_KEY = "AKIAWRITER", "secret/of+a/writer="
"""Of somebody who makes no buckets: for an administrator, each write to one that is not there would."""
_PATIENCE, _STEP = 60.0, 0.1


@dataclass(frozen=True)
class SeaweedFs:
    """One that runs."""

    url: str
    client: minio.Minio
    filer: str
    pid: int
    ports: Mapping[str, str]

    def after(self, days: int) -> None:
        """Let it do what lifecycle rules ask for so many days from now; its clock goes back afterwards.

        Its workers would look once a day. A command of its shell does the same at once, and its clock decides, too.
        """
        ports, seconds = self.ports, days * 86_400
        addresses = {name: f"127.0.0.1:{ports[name]}.{ports[f'{name}.grpc']}" for name in ("master", "filer")}
        shell = subprocess.Popen(  # noqa: S603  # of the locked wheel
            [_weed(), "shell", *(f"-{name}={each}" for name, each in addresses.items())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            jump(self.pid, time_of_day=seconds)
            jump(shell.pid, time_of_day=seconds)
            command = f"s3.lifecycle.run-shard -shards 0-15 -events 0 -s3 127.0.0.1:{ports['s3.grpc']}\nexit\n"
            said, _ = shell.communicate(command, timeout=300)
        finally:
            jump(self.pid, time_of_day=0)
            shell.kill()
            shell.wait()
        assert "shards 0-15 complete" in said, said


@contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFs]:
    """Run until the end of the block; what it stores stays in the folder."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    identities = [
        {"name": "shipper", "credentials": [{"accessKey": KEY_ID, "secretKey": KEY}], "actions": ["Admin"]},
        {
            "name": "writer",
            "credentials": [{"accessKey": WRITERS_ID, "secretKey": WRITERS_KEY}],
            "actions": ["Read", "Write", "List"],
        },
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = free_ports()
    wanted = ("master.port", "volume.port", "filer.port", "s3.port")
    flags = [flag for name in wanted for flag in (f"-{name}={next(ports)}", f"-{name}.grpc={next(ports)}")]
    address, filer = (
        next(flag.split("=")[1] for flag in flags if flag.startswith(f"-{name}.port=")) for name in ("s3", "filer")
    )
    command = [
        _weed(),
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        f"-s3.config={folder / 's3.json'}",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=30",
        *flags,
    ]
    with (folder / "weed.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # of the locked wheel
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
        )
        try:
            trial = _await(process, f"127.0.0.1:{address}", folder)
            named = dict(flag.removeprefix("-").replace(".port", "").split("=") for flag in flags)
            yield SeaweedFs(f"http://127.0.0.1:{address}", trial, f"http://127.0.0.1:{filer}", process.pid, named)
        finally:
            process.kill()  # asked to end, it takes half a minute
            process.wait()


def _weed() -> Path:
    return Path(sys.executable).parent / "weed"


def client(address: str, key: str = KEY) -> minio.Minio:
    pool = urllib3.PoolManager(timeout=10, retries=urllib3.Retry(total=0))
    return minio.Minio(address, access_key=KEY_ID, secret_key=key, secure=False, region="us-east-1", http_client=pool)


def _await(process: subprocess.Popen[bytes], address: str, folder: Path) -> minio.Minio:
    """Until it takes an object: it answers long before it can."""
    trial = client(address)
    for _ in range(int(_PATIENCE / _STEP)):
        if process.poll() is not None:
            break
        try:
            trial.make_bucket("trial")
        except (minio.error.MinioException, urllib3.exceptions.HTTPError):
            time.sleep(_STEP)
            continue
        return trial
    raise AssertionError(f"SeaweedFS is not up:\n{(folder / 'weed.log').read_text()[-3000:]}")
