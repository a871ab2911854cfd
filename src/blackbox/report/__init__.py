"""Reports: what happened before the memory ran out, from a recording, a dump, a server or a PyTorch snapshot.

`evidence` and `origins` gather the input, `builder` makes a `Report` of it with `blackbox.analysis`, `text` and `page`
print the report.
"""

from blackbox.report.builder import build_report
from blackbox.report.document import to_json
from blackbox.report.evidence import Evidence, Inside, from_moments, from_summaries
from blackbox.report.folded import to_folded
from blackbox.report.page import to_html
from blackbox.report.report_data import Report
from blackbox.report.text import to_text

__all__ = [
    "Evidence",
    "Inside",
    "Report",
    "build_report",
    "from_moments",
    "from_summaries",
    "to_folded",
    "to_html",
    "to_json",
    "to_text",
]
