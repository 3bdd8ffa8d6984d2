"""The flags by which kube-apiserver is told what to record and where; names and defaults from the API server itself.

Source: `AuditOptions.AddFlags` and what it calls in pkg/server/options/audit.go of kubernetes/apiserver.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field, StrictBool, TypeAdapter, ValidationError

from audit_operator.api.control_plane import Log, LogMode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DEFAULT_LOG_PATH = "/var/log/kubernetes/audit/audit.log"

POLICY_FILE = "--audit-policy-file"
LOG_PATH = "--audit-log-path"
LOG_MAX_AGE = "--audit-log-maxage"
LOG_MAX_BACKUP = "--audit-log-maxbackup"
LOG_MAX_SIZE = "--audit-log-maxsize"
LOG_MODE = "--audit-log-mode"
TRUNCATE_ENABLED = "--audit-log-truncate-enabled"
TRUNCATE_MAX_EVENT_SIZE = "--audit-log-truncate-max-event-size"
TRUNCATE_MAX_BATCH_SIZE = "--audit-log-truncate-max-batch-size"

OUR_FLAGS = (
    POLICY_FILE,
    LOG_PATH,
    LOG_MAX_AGE,
    LOG_MAX_BACKUP,
    LOG_MAX_SIZE,
    LOG_MODE,
    TRUNCATE_ENABLED,
    TRUNCATE_MAX_EVENT_SIZE,
    TRUNCATE_MAX_BATCH_SIZE,
)
"""The flags that we set, all of them, in the order in which we write them."""

AUDIT_PREFIX = "--audit-"

Mode = Literal["blocking", "blocking-strict", "batch"]

_MODES: dict[LogMode, Mode] = {
    LogMode.BLOCKING: "blocking",
    LogMode.BLOCKING_STRICT: "blocking-strict",
    LogMode.BATCH: "batch",
}

_POLICY_FILE_NAME = re.compile(r"^policy-([0-9a-f]{64})\.yaml$")

_CLOSED = ConfigDict(extra="forbid")

_Positive = Annotated[int, Field(ge=1, strict=True)]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What kube-apiserver does with the records.

    Attributes:
        path: of the log file, in the API server's container.
        max_age: days that rotated files are kept.
        max_backup: rotated files that are kept.
        max_size: megabytes at which a file is rotated.
        mode: in the API server's spelling.
        truncate_enabled: whether bodies are cut from records larger than `truncate_max_event_size`.
        truncate_max_event_size: bytes.
        truncate_max_batch_size: bytes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    path: str = DEFAULT_LOG_PATH
    max_age: _Positive = 30
    max_backup: _Positive = 10
    max_size: _Positive = 100
    mode: Mode = "blocking"
    truncate_enabled: StrictBool = True
    truncate_max_event_size: _Positive = 102400
    truncate_max_batch_size: _Positive = 10485760

    @classmethod
    def from_spec(cls, log: Log | None) -> Self:
        """What `AuditControlPlane.spec.log` asks for; its defaults where it is absent."""
        log = log or Log()
        return cls(
            path=log.path or DEFAULT_LOG_PATH,
            max_age=log.max_age,
            max_backup=log.max_backup,
            max_size=log.max_size,
            mode=_MODES[log.mode],
            truncate_enabled=log.truncate.enabled,
            truncate_max_event_size=log.truncate.max_event_size,
            truncate_max_batch_size=log.truncate.max_batch_size,
        )


@dataclass(frozen=True, slots=True)
class AuditConfiguration:
    """All that we say to an API server: which policy, and what becomes of the records.

    Attributes:
        digest: SHA-256 of the policy's text, in hex.
        log: see LogSettings.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    log: LogSettings

    @property
    def id(self) -> str:
        """SHA-256 in hex of the whole configuration: equal ids say the same to an API server."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As JSON-like data."""
        return asdict(self)

    def flags(self, policies_folder: str) -> dict[str, str]:
        """The values of `OUR_FLAGS`, in their order, where policies lie in `policies_folder` of the container."""
        log = self.log
        values = (
            f"{policies_folder}/{policy_file_name(self.digest)}",
            log.path,
            str(log.max_age),
            str(log.max_backup),
            str(log.max_size),
            log.mode,
            "true" if log.truncate_enabled else "false",
            str(log.truncate_max_event_size),
            str(log.truncate_max_batch_size),
        )
        return dict(zip(OUR_FLAGS, values, strict=True))

    @classmethod
    def from_flags(cls, flags: Mapping[str, str]) -> AuditConfiguration | None:
        """The configuration that has these flags; None if there is none. `flags` may hold others, which do not count.

        What it returns is only a guess in so far as nothing is said about the policy's folder and how numbers are
        spelled: whoever needs certainty compares `flags` of it with what was given.
        """
        if not flags.keys() >= set(OUR_FLAGS):
            return None
        digest = digest_in_name(flags[POLICY_FILE])
        if not digest:
            return None
        try:
            log = _LOG.validate_strings(
                {
                    "path": flags[LOG_PATH],
                    "max_age": flags[LOG_MAX_AGE],
                    "max_backup": flags[LOG_MAX_BACKUP],
                    "max_size": flags[LOG_MAX_SIZE],
                    "mode": flags[LOG_MODE],
                    "truncate_enabled": flags[TRUNCATE_ENABLED],
                    "truncate_max_event_size": flags[TRUNCATE_MAX_EVENT_SIZE],
                    "truncate_max_batch_size": flags[TRUNCATE_MAX_BATCH_SIZE],
                },
            )
        except ValidationError:
            return None
        return cls(digest, log)


def policy_file_name(digest: str) -> str:
    """Names a policy's file, wherever one is kept: another policy is another file."""
    return f"policy-{digest}.yaml"


def digest_in_name(path: str) -> str:
    """The digest in the name of a policy's file; empty if it was not named by `policy_file_name`."""
    found = _POLICY_FILE_NAME.match(path.rpartition("/")[2])
    return found[1] if found else ""


_LOG = TypeAdapter(LogSettings)


class GivenFlag(NamedTuple):
    """One flag among arguments; `arguments[first:end]` is where it stands, one item or two."""

    name: str
    value: str
    first: int
    end: int


SWITCHES = frozenset(
    {
        TRUNCATE_ENABLED,
        "--audit-log-compress",
        "--audit-log-batch-throttle-enable",
        "--audit-webhook-batch-throttle-enable",
        "--audit-webhook-truncate-enabled",
    }
)
"""Audit flags that are true when given without a value."""


def given_flags(arguments: Sequence[str]) -> Iterator[GivenFlag]:
    """The flags among a kube-apiserver's arguments, in their order; of a repeated one, the last counts.

    Audit flags are read as spf13/pflag and component-base's `WordSepNormalizeFunc` read them: ``--audit_log_path``
    is ``--audit-log-path``, a switch alone is ``true``, any other flag alone takes the next item, whatever that is.
    Which of the many other flags are switches is not known here; one of them takes the next item unless that is a
    flag, and is ``true`` if there is none.
    """
    index = 0
    while index < len(arguments):
        first, index = index, index + 1
        written, equals, value = arguments[first].partition("=")
        if not written.startswith("--"):
            continue
        name = "--" + written[2:].replace("_", "-")
        if not equals:
            value = "true"
            if index < len(arguments) and _takes_next(name, arguments[index]):
                value, index = arguments[index], index + 1
        yield GivenFlag(name, value, first, index)


def _takes_next(name: str, successor: str) -> bool:
    if name.startswith(AUDIT_PREFIX):
        return name not in SWITCHES
    return not successor.startswith("--")


def effective_flags(arguments: Sequence[str]) -> dict[str, str]:
    """Name and value of each flag that counts."""
    return {flag.name: flag.value for flag in given_flags(arguments)}
