"""A table that `ncu --csv` printed."""

from collections.abc import Sequence

from blackbox.cli.commands.import_ncu import read
from blackbox.errors import FailureError
from tests.fuzz.files import as_file
from tests.ncu import details_page, raw_page, recorded

ALLOWED = (FailureError,)


def seeds() -> Sequence[bytes]:
    reports = [recorded(name)[:2] for name in ("a40-full", "gtx1660ti-basic")]
    return [page(report).encode() for report in reports for page in (raw_page, details_page)]


def run(data: bytes) -> None:
    with as_file(data) as path:
        read(path)
