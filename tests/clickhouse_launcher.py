"""A ClickHouse server out of its library: `clickhouse_launcher.py LIBRARY CLICKHOUSE_LOCAL_ARGUMENT ...`.

The library's own program is `clickhouse-local`, which serves HTTP when it is told to and lives as long as its query
reads from standard input: so it ends with whoever started it.
"""

import ctypes
import sys

library, *arguments = sys.argv[1:]
chdb = ctypes.CDLL(library)
chdb.chdb_query_cmdline.restype = ctypes.c_void_p
chdb.chdb_result_error.restype = ctypes.c_char_p
chdb.chdb_result_error.argtypes = [ctypes.c_void_p]
words = [b"clickhouse", *(word.encode() for word in arguments)]
result = chdb.chdb_query_cmdline(len(words), (ctypes.c_char_p * (len(words) + 1))(*words, None))
error = chdb.chdb_result_error(result)
sys.exit(error.decode(errors="replace") if error else 0)
