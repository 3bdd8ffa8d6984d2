"""Would the real kube-apiserver accept this policy? The binary itself is asked, in a third of a second, without etcd.

kube-apiserver has no flag for it. But it loads the audit policy and opens the audit log next, so that a log path which
can never be opened makes it end by itself right after it has accepted the policy. Were the path fine, it would go on
and wait for etcd. What it says last tells accepted from refused; nothing else that it says does.

Source of the order: `AuditOptions.ApplyTo` in pkg/server/options/audit.go of kubernetes/apiserver.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Location, Severity
from audit_operator.controlplane import klog
from audit_operator.controlplane.api_server import CERTIFICATES_FLAG
from audit_operator.controlplane.ports import ADDRESS_IN_USE, free_ports
from audit_operator.controlplane.static_pod.audit_flags import POLICY_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

REFUSED = "refused-by-api-server"
LENIENT = "lenient-decoding"
INCONCLUSIVE = "preflight-inconclusive"

TIME_LIMIT = 30.0

_SENTINEL = "/dev/null/policy-accepted"  # below a file that is no folder: nobody can ever create it, not even root
_ACCEPTED = "mkdir /dev/null"
_LOADING_FAILED = "loading audit policy file: "
_FELL_BACK = "falling back to lenient decoding"
_ATTEMPTS = 5


class Verdict(StrEnum):
    """What the binary made of a policy. Inconclusive: it did not come to a decision; try again."""

    ACCEPTED = "Accepted"
    REFUSED = "Refused"
    INCONCLUSIVE = "Inconclusive"


@dataclass(frozen=True, slots=True)
class Preflight:
    """The verdict, and what the API server says, in its own words.

    An accepted policy has a finding if keys in it are unknown or double: the API server drops these, and goes on.
    """

    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    @property
    def flawless(self) -> bool:
        """Whether the API server would run exactly what is written."""
        return self.verdict is Verdict.ACCEPTED and not self.findings


def preflight(binary: Path, policy: bytes | str, *, file: str = "", time_limit: float = TIME_LIMIT) -> Preflight:
    """Let a kube-apiserver judge a policy. Blocks for 0.2 to 0.6 seconds, `time_limit` at most.

    Args:
        binary: kube-apiserver, of the version that is to run the policy.
        policy: the text.
        file: the name that findings use.
        time_limit: seconds after which the binary is killed.
    """
    content = policy.encode() if isinstance(policy, str) else policy
    with tempfile.TemporaryDirectory(prefix="audit-operator-preflight-") as folder:
        path = Path(folder) / "policy.yaml"
        path.write_bytes(content)
        for port in islice(free_ports(), _ATTEMPTS):
            try:
                said = subprocess.run(  # noqa: S603  # the kube-apiserver that was given
                    [binary, *_flags(Path(folder), port), f"{POLICY_FILE}={path}"],
                    env={},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    timeout=time_limit,
                    check=False,
                ).stderr.decode(errors="replace")
            except subprocess.TimeoutExpired:
                return _inconclusive(f"no verdict within {time_limit:.0f} s", file)
            except OSError as error:
                return _inconclusive(f"{binary}: {error.strerror}", file)
            if ADDRESS_IN_USE not in said:
                break
        return judge(said, str(path), file)


def judge(said: str, path: str, file: str = "") -> Preflight:
    """The verdict in what kube-apiserver has written to standard error about the policy in `path`."""
    log = list(klog.entries(said))
    final = klog.reason_for_end(log)
    if final.startswith(_LOADING_FAILED):
        message = final.removeprefix(_LOADING_FAILED).removesuffix(f": from file {path}")
        refusal = Finding(
            id=REFUSED,
            severity=Severity.ERROR,
            message=message,
            mend="mend the policy: an API server that is started with it does not come up",
            path=_field_path(message),
            rule=_rule(message),
            location=Location(file),
        )
        return Preflight(Verdict.REFUSED, (refusal, *_dropped(log, file)))
    if _ACCEPTED in final:
        return Preflight(Verdict.ACCEPTED, tuple(_dropped(log, file)))
    return _inconclusive(final or "kube-apiserver ended without a word", file)


def _dropped(log: Iterable[klog.Entry], file: str) -> Iterable[Finding]:
    for entry in log:
        if _FELL_BACK in entry.message:
            yield Finding(
                id=LENIENT,
                severity=Severity.WARNING,
                message=entry.message,
                mend="mend the keys: the API server drops those that it does not know, and rules change their meaning",
                location=Location(file),
            )


def _inconclusive(reason: str, file: str) -> Preflight:
    finding = Finding(
        id=INCONCLUSIVE,
        severity=Severity.WARNING,
        message=f"kube-apiserver could not be asked about the policy: {reason}",
        mend="mend what it names; the policy itself was not judged",
        location=Location(file),
    )
    return Preflight(Verdict.INCONCLUSIVE, (finding,))


def _field_path(message: str) -> str:
    """The first field that a message names, for example ``rules[3].resources.group``."""
    found = re.search(r"rules\[\d+\](?:\.[A-Za-z]+(?:\[\d+\])?)*", message)
    return found.group() if found else ""


def _rule(message: str) -> int | None:
    found = re.search(r"rules\[(\d+)\]", message)
    return int(found.group(1)) if found else None


def _flags(folder: Path, port: int) -> tuple[str, ...]:
    """Valid all of them, since TLS, authentication and authorization are set up before the policy is loaded."""
    key = folder / "apiserver.key"  # made by kube-apiserver when it makes its certificate
    return (
        "--etcd-servers=http://127.0.0.1:1",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--advertise-address=127.0.0.1",
        f"{CERTIFICATES_FLAG}={folder}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        f"--audit-log-path={_SENTINEL}",
        "--logging-format=json",
    )
