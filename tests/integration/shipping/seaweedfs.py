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

from audit_operator.controlplane.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_ID, KEY = "AKIATEST", "secret/of+the/test="
_PATIENCE, _STEP = 60.0, 0.1


@dataclass(frozen=True)
class SeaweedFs:
    """One that runs."""

    url: str
    client: minio.Minio
    filer: str


@contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFs]:
    """Run until the end of the block; what it stores stays in the folder."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    identity = {"name": "shipper", "credentials": [{"accessKey": KEY_ID, "secretKey": KEY}], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = free_ports()
    wanted = ("master.port", "volume.port", "filer.port", "s3.port")
    flags = [flag for name in wanted for flag in (f"-{name}={next(ports)}", f"-{name}.grpc={next(ports)}")]
    address, filer = (
        next(flag.split("=")[1] for flag in flags if flag.startswith(f"-{name}.port=")) for name in ("s3", "filer")
    )
    command = [
        Path(sys.executable).parent / "weed",
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
            yield SeaweedFs(f"http://127.0.0.1:{address}", trial, f"http://127.0.0.1:{filer}")
        finally:
            process.kill()  # asked to end, it takes half a minute
            process.wait()


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
