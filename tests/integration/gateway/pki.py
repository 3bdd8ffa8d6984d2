"""Certificates for tests, made with openssl: an authority, and who has one of its certificates."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

EXTENSIONS = """
basicConstraints=critical,CA:FALSE
subjectAltName={names}
extendedKeyUsage=serverAuth,clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)  # noqa: S603, S607 - of this machine


class Authority:
    """A certificate authority in a folder: `ca.crt`, and a `.crt` and a `.key` of each that was issued."""

    def __init__(self, folder, name="authority"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", folder / "ca.key", "-out", self.certificate,
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def issue(self, name, names="IP:127.0.0.1,DNS:gateway.audit.svc"):
        """Certificate and key of `name`."""
        certificate, key, request = (self.folder / f"{name}.{kind}" for kind in ("crt", "key", "csr"))
        (self.folder / "extensions").write_text(EXTENSIONS.format(names=names))
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", request,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-days", "2",
            "-CAcreateserial", "-extfile", self.folder / "extensions", "-out", certificate,
        )  # fmt: skip
        return certificate, key
