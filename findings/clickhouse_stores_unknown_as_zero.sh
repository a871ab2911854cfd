#!/bin/sh
# ClickHouse takes a null for a number that cannot be one, and stores 0, though it was told not to.
#
# Expected: with `input_format_null_as_default = 0` a null for a column that is not Nullable is an error, as documented, and
# a number that does not fit is one. What happens, in JSONEachRow: texts, times and booleans are refused so; an integer becomes 0, a
# float NaN, an empty text in a Nullable number 0, not NULL; 3,000,000,000 in an Int32 becomes -1,294,967,296. All are answered for as
# taken, while 1.0 for an integer, which means the same, fails the whole insert. With ClickHouse 26.9 (chdb-core 26.9.0);
# nulls are stored so by a server of 26.7 as well.
#
# So: whoever ships what may be unknown makes sure himself that no null goes where no NULL belongs (tests over every
# column), sends whole numbers without a point, and reads back what he wrote. No answer of the engine replaces that.

. "$(dirname "$0")/evidence.sh"

install --no-deps chdb-core==26.9.0
evidence <<'PYTHON'
from chdb import session

from evidence import Evidence

engine = session.Session()
engine.query(
    "CREATE TABLE t (i Int32, u UInt64, f Float64, s String, d DateTime, b Bool, n Nullable(UInt64)) ENGINE = Memory"
)


def stored(column: str, value: str) -> str:
    """What an insert of one value leaves in its column, or that it is refused."""
    engine.query("TRUNCATE TABLE t")
    row = f'{{"{column}": {value}}}'
    try:
        engine.query(f"INSERT INTO t ({column}) SETTINGS input_format_null_as_default = 0 FORMAT JSONEachRow {row}")
    except Exception as error:
        return "refused" if "DB::Exception" in str(error) else str(error)
    return str(engine.query(f"SELECT toString({column}) FROM t", "TSV")).strip()


evidence = Evidence()
evidence.see("null for an Int32", stored("i", "null"), "0")
evidence.see("null for a UInt64", stored("u", "null"), "0")
evidence.see("null for a Float64", stored("f", "null"), "nan")
evidence.see("null for a String", stored("s", "null"), "refused")
evidence.see("null for a DateTime", stored("d", "null"), "refused")
evidence.see("null for a Bool", stored("b", "null"), "refused")
evidence.see("null for a Nullable(UInt64)", stored("n", "null"), "\\N")
evidence.see('"" for a Nullable(UInt64)', stored("n", '""'), "0")
evidence.see("3000000000 for an Int32", stored("i", "3000000000"), "-1294967296")
evidence.see("-1 for a UInt64", stored("u", "-1"), "refused")
evidence.see("1.0 for a UInt64", stored("u", "1.0"), "refused")
evidence.close()
PYTHON
