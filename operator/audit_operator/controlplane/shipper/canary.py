"""Tries a configuration before it is used.

`validate` takes much that loses records: a path with a wrong field, a file that does not exist, a pattern that matches
nothing. Shippers try what they were told on their node, and the operator what it is about to tell sidecars: their pods
have no room for a second collector. Blocks.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.files import write_atomically
from audit_operator.controlplane.shipper.collector import Collector
from audit_operator.controlplane.shipper.trial import Outcome, Rehearsal, Stage, StageCollector, Trial, TrialTimes
from audit_operator.shipping.application.configuration import ENVIRONMENT, POD_UID_VARIABLE, POD_VARIABLE
from audit_operator.shipping.canary.application_prediction import KEY, POD, POD_UID
from audit_operator.shipping.canary.planted import EPOCH, Canary
from audit_operator.shipping.canary.rehearsed import rehearsed, rehearsed_table
from audit_operator.shipping.collector.pseudonym_keys import keys_text
from audit_operator.shipping.collector.yaml_text import parsed, yaml_text
from audit_operator.shipping.redaction.rendering import PSEUDONYM_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.plan.collector_files import CollectorFiles
    from audit_operator.shipping.canary.application_rehearsed import ApplicationRehearsal

__all__ = ["Outcome", "Trial", "TrialTimes", "clear", "try_application", "try_out"]

FOLDER, BEGUN = "canary", "canary.begun"
"""In the collector's folder; and a file with the digest of what is being tried. Where there is no room for a second
collector, the kernel may end all of a container: whoever starts next must not try the same again, for ever."""
_ELSEWHERE = "outside"


def try_out(
    folder: Path,
    binary: Path,
    files: CollectorFiles,
    halted: Callable[[], bool] = lambda: False,
    times: TrialTimes = TrialTimes(),  # noqa: B008  # frozen
) -> Trial:
    """Run a configuration once with its own lines; `folder` is that of the collector which it is for."""
    canary = Canary.decoded(files.canary)
    if canary is None:
        return Trial(Outcome.PASSED)

    def rehearsal(place: Path) -> Rehearsal:
        return _of_shipper(place, canary, files)

    return _tried(folder, files.digest, rehearsal, binary=binary, halted=halted, times=times)


def try_application(
    folder: Path,
    binary: Path,
    wanted: ApplicationRehearsal,
    halted: Callable[[], bool] = lambda: False,
    times: TrialTimes = TrialTimes(),  # noqa: B008  # frozen
) -> Trial:
    """Run a sidecar's configuration once; `folder` is there for that alone."""

    def rehearsal(place: Path) -> Rehearsal:
        return _of_sidecar(place, wanted)

    return _tried(folder, wanted.digest, rehearsal, binary=binary, halted=halted, times=times)


def clear(folder: Path) -> None:
    """End what was left of a trial by one that was killed, and remove its folder."""
    place = folder / FOLDER
    if place.exists():
        with suppress(OSError):
            Collector(place).stop(0.0)
        shutil.rmtree(place, ignore_errors=True)


def _tried(  # noqa: PLR0913  # what both have in common
    folder: Path,
    digest: str,
    rehearsal: Callable[[Path], Rehearsal],
    *,
    binary: Path,
    halted: Callable[[], bool],
    times: TrialTimes,
) -> Trial:
    place, begun = folder / FOLDER, folder / BEGUN
    try:
        clear(folder)
        if begun.exists() and begun.read_text() == digest:
            return Trial(Outcome.UNFINISHED, ("whoever tried it was killed meanwhile",))
        place.mkdir(mode=0o700)
        write_atomically(begun, digest.encode())
        told = rehearsal(place)
        return Stage(StageCollector(place, told.environment), binary, told, times, halted).play()
    except (OSError, ValueError) as error:
        return Trial(Outcome.UNFINISHED, (f"it could not be tried: {error}",))
    finally:
        clear(folder)
        begun.unlink(missing_ok=True)


def _of_shipper(place: Path, canary: Canary, files: CollectorFiles) -> Rehearsal:
    wanted = {exporter for each in canary.planted for exporter in each.exporters}
    made = rehearsed(parsed(files.config), wanted, str(place))
    lines: dict[str, str] = {}
    if canary.log:
        # One of them in a file that was rotated: these must be read, too.
        log = Path(f"{place}{canary.log}")
        first, *others = (f"{each.line}\n" for each in canary.planted)
        rotated = log.with_name(f"{log.stem}-2026-01-02T03-04-05.678{log.suffix}")
        lines = {str(rotated): first, str(log): "".join(others)}
    return Rehearsal(
        canary,
        yaml_text(made.configuration),
        made.folders,
        lines,
        table=(files.table_file, rehearsed_table(files.table)),
        keys=keys_text(canary.pseudonymous, EPOCH),
    )


def _of_sidecar(place: Path, wanted: ApplicationRehearsal) -> Rehearsal:
    """Each line is the last of its file, and has no end; what is outside is a link there."""
    made = wanted.within(str(place.resolve()))
    outside = {each.path: f"{place}/{_ELSEWHERE}/{number}" for number, each in enumerate(made.lines) if each.outside}
    return Rehearsal(
        made.canary,
        yaml_text(made.configuration),
        made.folders,
        {outside.get(each.path, each.path): each.planted.line for each in made.lines},
        links=outside,
        environment={**ENVIRONMENT, POD_VARIABLE: POD, POD_UID_VARIABLE: POD_UID, PSEUDONYM_VARIABLE: KEY},
    )
