"""What the operator tells the shippers of one control plane. It travels compressed in a Secret that nodes only read.

Configuration, table and credentials are one value, so that no node ever has the one without the others.
"""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from collections.abc import Mapping  # pydantic needs it at run time
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from audit_operator.plan.collector_files import CollectorFiles
from audit_operator.plan.credentials import ACCESS_KEY, HeldCredentials, SinkCredentials

SHIPPER_COMPONENT = "shipper"
INSTRUCTIONS_KEY = "instructions.json.gz"
PSEUDONYM_KEYS = "pseudonym.keys"
KEYRING_KEY = "keyring.json.gz"
"""A key of its own, so that a release which does not know the format of the instructions keeps it all the same."""

LARGEST = 1024 * 1024 - 4096
"""Bytes of the instructions: all values of a Secret together may take 1 MiB (`MaxSecretSize` of Kubernetes)."""
_LARGEST_TEXT = 256 * 2**20

_FileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9.-]*$")]
_CredentialPath = Annotated[
    str, StringConstraints(pattern=rf"^([a-z0-9][a-z0-9.-]*/[0-9a-f]+/[a-z][a-z.]*|{ACCESS_KEY})$")
]


class UnknownInstructions(Exception):  # noqa: N818  # a state of what was read
    """They are in a format that is not known here, or broken."""


class ShippedFiles(BaseModel):
    """`CollectorFiles`, as far as a node needs them."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", ser_json_bytes="base64", val_json_bytes="base64", hide_input_in_errors=True
    )

    config: str = Field(repr=False)
    digest: str
    table: str = Field(repr=False)
    table_file: _FileName
    settings: Mapping[str, str]
    credentials: Mapping[_CredentialPath, bytes] = Field(repr=False)
    identities: Mapping[str, str] = Field(default_factory=dict)
    pseudonymous: tuple[str, ...] = ()
    canary: str = Field(default="", repr=False)

    @classmethod
    def of(cls, files: CollectorFiles) -> Self:
        """What nodes are to run with."""
        return cls(
            config=files.config,
            digest=files.digest,
            table=files.table,
            table_file=files.table_file,
            settings=dict(files.settings),
            credentials=dict(files.credentials),
            identities=dict(files.identities),
            pseudonymous=files.pseudonymous,
            canary=files.canary,
        )

    def held(self) -> dict[str, HeldCredentials]:
        """The credentials that collectors hold, by the name of the sink, where it is known whose they are."""
        by_sink: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        for path, content in self.credentials.items():
            sink, _, rest = path.partition("/")
            if rest:
                by_sink[sink][path.rpartition("/")[2]] = content
        shared = {name: content for name, content in self.credentials.items() if name == ACCESS_KEY}
        return {
            sink: HeldCredentials(identity, SinkCredentials(by_sink.get(sink) or shared))
            for sink, identity in self.identities.items()
        }

    def for_collector(self, pseudonym_keys: str) -> CollectorFiles:
        """As a collector is kept with them."""
        return CollectorFiles(
            config=self.config,
            digest=self.digest,
            table=self.table,
            table_file=self.table_file,
            sinks={},
            settings=self.settings,
            findings={},
            credentials=self.credentials,
            pseudonymous=self.pseudonymous,
            pseudonym_keys=pseudonym_keys,
            canary=self.canary,
        )


class ShipperInstructions(BaseModel):
    """What nodes are to ship, and how.

    Attributes:
        version: of this format; a node changes nothing for one that it does not know.
        plane: name of the AuditControlPlane.
        files: what collectors run with; None: nothing is to be shipped, and they are to be ended.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    version: Literal[1] = 1
    plane: str
    files: ShippedFiles | None = None

    def encoded(self) -> bytes:
        """The same bytes for the same instructions."""
        return gzip.compress(self.model_dump_json().encode(), mtime=0)

    @classmethod
    def decoded(cls, content: bytes) -> Self:
        """Read what `encoded` made.

        Raises:
            UnknownInstructions: see there.
        """
        try:
            unpacking = zlib.decompressobj(wbits=31)
            text = unpacking.decompress(content, _LARGEST_TEXT)
            if not unpacking.eof:
                raise UnknownInstructions("they are not complete")
            return cls.model_validate_json(text)
        except zlib.error as error:
            raise UnknownInstructions("they are not compressed as they should be") from error
        except ValidationError as error:
            raise UnknownInstructions(f"{error.error_count()} of their fields are not as they should be") from error


def keyring_name(plane: str) -> str:
    """Name of the Secret with all keys of pseudonyms, which shippers do not read: they are told the present ones."""
    return f"audit-pseudonyms-{plane}"


def instructions_name(plane: str) -> str:
    """Name of the Secret with the instructions."""
    return f"audit-shipper-{plane}"


def shipper_name(node: str) -> str:
    """Name of the Lease that carries a node's report."""
    return f"audit-shipper-{node}"
