#!/bin/sh
# From JSON Lines Polars reads what it saw in the first 100 rows; keys that come later are dropped without a word.
#
# Expected: a key that first appears in the 101st row is a column that is null before, as in pandas, pyarrow and DuckDB;
# or an error. What happens: the first 100 rows decide the columns, keys that come later are left out silently, those of
# nested objects too, and the numbers of a list that was empty at first are nulls. Only a column that was null for 100
# rows and then has a value is an error. That is what recordings look like: for minutes there is no out-of-memory, then
# there is one. With polars 2.1.0, pandas 3.1.1 and pyarrow 26.0.1.
#
# So: `infer_schema_length=None`, or a schema; and who writes such files writes every key in every row.

. "$(dirname "$0")/evidence.sh"

install polars==2.1.0 pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
evidence <<'PYTHON'
import io
import json

from evidence import Evidence, outcome


import pandas
import polars
from pyarrow.json import read_json


def lines(early: dict, late: dict) -> bytes:
    return "\n".join(json.dumps(row) for row in [early] * 100 + [late]).encode()


def last(early: dict, late: dict, **options: object) -> object:
    return outcome(lambda: polars.read_ndjson(lines(early, late), **options).row(-1, named=True))


evidence = Evidence()
event = {"used": 1}, {"used": 2, "refused": 3}
evidence.see("a key that comes late", last(*event), {"used": 2})
evidence.see("by pandas", pandas.read_json(io.BytesIO(lines(*event)), lines=True).iloc[-1].to_dict(), {"used": 2.0, "refused": 3.0})
evidence.see("by pyarrow", read_json(io.BytesIO(lines(*event))).to_pylist()[-1], {"used": 2, "refused": 3})
evidence.see("inside an object", last({"gpu": {"used": 1}}, {"gpu": {"used": 2, "refused": 3}}), {"gpu": {"used": 2}})
evidence.see("in a list that was empty", last({"pids": []}, {"pids": [4711, 4712]}), {"pids": [None, None]})
evidence.see("in a column of nulls", last({"refused": None}, {"refused": 3}), "ComputeError")
evidence.see("asked to look at all rows", last(*event, infer_schema_length=None), {"used": 2, "refused": 3})
evidence.close()
PYTHON
