"""Recordings for other tools: rows of any range, in formats that pandas, DuckDB or a spreadsheet take.

`rows` reads a recording, `formats` writes files; a new format is one class there and one line in `FORMATS`.
"""

from blackbox.outputs.files.formats import FORMATS, Writer
from blackbox.outputs.files.rows import EVENT_COLUMNS, SERIES_COLUMNS, Column, event_rows, sample_rows, series_rows

__all__ = ["EVENT_COLUMNS", "FORMATS", "SERIES_COLUMNS", "Column", "Writer", "event_rows", "sample_rows", "series_rows"]
