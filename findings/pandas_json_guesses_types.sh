#!/bin/sh
# JSON has types, and pandas guesses them anew: the start of a process becomes a date, an id a number.
#
# Expected: of JSON Lines pandas takes numbers as numbers and text as text, as both are marked as such. What happens: a
# number whose key ends in `_time` or `_at` is a date, if every one is above 31,536,000: `start_time` is, while `time`
# beside it stays a number, and a time that is spent (`up_time` in seconds) becomes a date of 1971. Text becomes a number
# if all of a column look so: "0012" is 12, and the start of a container's id, "12e4", is 120000.0. So a column's type
# depends on which rows the file has. With pandas 3.1.1.
#
# So: `dtype=False`, which switches both off.

. "$(dirname "$0")/evidence.sh"

install pandas==3.1.1 numpy==2.4.6
evidence <<'PYTHON'
import io
import json

from evidence import Evidence


import pandas

ROW = {
    "time": 1764500000.25,
    "start_time": 1764490000.5,
    "up_time": 40_000_000,
    "slurm_job": "0012",
    "container": "12e4",
}


def types(*rows: dict, **options: object) -> list[str]:
    text = "\n".join(json.dumps(row) for row in rows)
    return [str(one) for one in pandas.read_json(io.StringIO(text), lines=True, **options).dtypes]


def value(key: str, **options: object) -> str:
    return str(pandas.read_json(io.StringIO(json.dumps(ROW)), lines=True, **options)[key][0])


evidence = Evidence()
evidence.see("time and start_time", (value("time"), value("start_time")), ("1764500000.25", "2025-11-30 08:06:40.500000"))
evidence.see("up_time of 40,000,000 seconds", value("up_time"), "1971-04-08 23:06:40")
evidence.see("the ids 0012 and 12e4", (value("slurm_job"), value("container")), ("12", "120000.0"))
other = ROW | {"up_time": 7, "container": "12ff"}
evidence.see("types with one more row", types(ROW, other)[2:], ["int64", "int64", "str"])
evidence.see("without guessing", types(ROW, dtype=False), ["float64", "float64", "int64", "str", "str"])
evidence.close()
PYTHON
