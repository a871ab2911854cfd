"""Many machines in one database: what every machine's Blackbox knew, in the ClickHouse that somebody runs already.

`schema` is the tables, `send` the way to the engine. What a server ships is made of its recording alone: `cursor` says
how far it has come, `rows` makes the rows of a stretch of minutes, `batch` the bytes of them, and `shipper` is the
thread that does so. Nothing here is imported by a server without `--fleet`.
"""
