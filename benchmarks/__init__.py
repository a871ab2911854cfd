"""The figures of the design, each measured beside its peer in the same run: `./run bench [NAME...]`."""
