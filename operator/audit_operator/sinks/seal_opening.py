"""From a store to what reads all of it, and to where seals are kept in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.sinks.file_scanner import FileScanner
from audit_operator.sinks.files import FileStore
from audit_operator.sinks.loki import LokiStore
from audit_operator.sinks.loki_scanner import LokiScanner
from audit_operator.sinks.open_search import OpenSearchStore
from audit_operator.sinks.open_search_scanner import OpenSearchScanner
from audit_operator.sinks.s3 import S3Store
from audit_operator.sinks.s3_scanner import S3Scanner
from audit_operator.sinks.seal_archive import S3Archive, folder_of
from audit_operator.sinks.store import Unsupported
from audit_operator.sinks.unsupported import UnsupportedStore
from audit_operator.sinks.victoria_logs import VictoriaLogsStore
from audit_operator.sinks.victoria_logs_scanner import VictoriaLogsScanner

if TYPE_CHECKING:
    from audit_operator.integrity.seal import Scope
    from audit_operator.sinks.scanning import Scanner
    from audit_operator.sinks.seal_archive import SealArchive
    from audit_operator.sinks.store import Store

_CANNOT_SCAN = Unsupported(
    "this release reads whole intervals out of VictoriaLogs, Loki, OpenSearch, Elasticsearch, S3 and files alone"
)
_CANNOT_KEEP = Unsupported("seals are kept in sinks of type S3 alone, or in a folder")


def scanner_of(store: Store) -> Scanner | Unsupported:
    """What reads whole intervals out of a store."""
    scanner: Scanner | Unsupported = _CANNOT_SCAN
    match store:
        case VictoriaLogsStore():
            scanner = VictoriaLogsScanner(store)
        case LokiStore():
            scanner = LokiScanner(store)
        case OpenSearchStore():
            scanner = OpenSearchScanner(store)
        case S3Store():
            scanner = S3Scanner(store)
        case FileStore():
            scanner = FileScanner(store)
        case UnsupportedStore(reason=reason):
            scanner = Unsupported(reason)
    return scanner


def archive_of(store: Store, scope: Scope) -> SealArchive | Unsupported:
    """Where the seals of a chain are kept in a store."""
    match store:
        case S3Store():
            return S3Archive(store, folder_of(scope))
        case UnsupportedStore(reason=reason):
            return Unsupported(reason)
        case _:
            return _CANNOT_KEEP
