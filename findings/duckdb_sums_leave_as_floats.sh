#!/bin/sh
# DuckDB's sum of whole bytes is a whole number, until it is written to Parquet or handed to pandas.
#
# Expected: `sum` over BIGINT is a BIGINT or an error where that does not hold it, and what is an integer in one is an
# integer in the other. What happens: the sum of any integers is a HUGEINT of 128 bits, even that of one small number;
# Parquet and pandas have no such type, and get a floating-point number without a word, which counts in steps of 2 from
# 9 PB on, and in pandas makes `1.0` of 1. CSV, JSON and Polars get the digits. With duckdb 2.0.1 and pyarrow 26.0.1.
#
# So: `sum(used_bytes)::BIGINT`, wherever the result is stored or compared.

. "$(dirname "$0")/evidence.sh"

install duckdb==2.0.1 pandas==3.1.1 polars==2.1.0 pyarrow==26.0.1 numpy==2.4.6
evidence <<'PYTHON'
import json
import tempfile
from pathlib import Path

from evidence import Evidence


import duckdb
import pyarrow.parquet

LARGE = 2**53 + 1
database = duckdb.connect()
database.sql(f"CREATE TABLE held AS SELECT unnest([{LARGE}, 0])::BIGINT AS bytes")
total = database.sql("SELECT sum(bytes) AS total FROM held")

evidence = Evidence()
evidence.see("type of the sum, and of a sum of small ones", [str(total.types[0]), str(database.sql("SELECT sum(1::TINYINT)").types[0])], ["HUGEINT", "HUGEINT"])
evidence.see("in Python, less what it is", total.fetchall()[0][0] - LARGE, 0)
evidence.see("in Polars", int(total.pl()["total"][0]) - LARGE, 0)
evidence.see("in pandas", (str(total.df()["total"].dtype), int(total.df()["total"][0]) - LARGE), ("float64", -1))
with tempfile.TemporaryDirectory() as folder:
    parquet, lines = Path(folder, "total.parquet"), Path(folder, "total.json")
    total.write_parquet(str(parquet))
    database.sql(f"COPY (SELECT sum(bytes) AS total FROM held) TO '{lines}'")
    table = pyarrow.parquet.read_table(parquet)
    evidence.see("in Parquet", (str(table.schema.field("total").type), int(table["total"][0].as_py()) - LARGE), ("double", -1))
    evidence.see("in JSON", json.loads(lines.read_text())["total"] - LARGE, 0)
cast = database.sql("SELECT sum(bytes)::BIGINT AS total FROM held").df()["total"]
evidence.see("cast, in pandas", (str(cast.dtype), int(cast[0]) - LARGE), ("int64", 0))
evidence.close()
PYTHON
