"""Reports: what happened before the memory ran out, from whatever recorded it.

`evidence` gathers, `analysis` finds, `text` and `page` print.
"""

from blackbox.report.analysis import analyse
from blackbox.report.evidence import Evidence, Inside, from_moments, from_readings
from blackbox.report.page import to_html
from blackbox.report.report_data import Report
from blackbox.report.text import to_text

__all__ = ["Evidence", "Inside", "Report", "analyse", "from_moments", "from_readings", "to_html", "to_text"]
