"""What ClickHouse, OpenTelemetry's library, Prometheus and the kernel do that is easily got wrong: each has tests
of its own, marked `@pytest.mark.edge(row)`. `./run test -m edge` runs them alone."""

from tests.fault_table import marked_tests

EDGES = {
    1: "The status of an error does not say whether it passes: 500 stands for both, the engine's own number decides",
    2: "A time as a bare number is read as another one, 1.0 is no whole number, and null becomes 0 where none belongs",
    3: "A token keeps repeats away, in the roll-ups only by a setting, and other rows that come under it for good",
    4: "Columns that older tables lack are dropped in silence unless that is switched off",
    5: "The newest value by `argMax` is an older one where the newest is unknown",
    6: "With asynchronous inserts a 200 may come before the rows are stored",
    7: "None, a number that no point holds, too many attributes or a dead receiver cost other points, or time",
    8: "A counter that first appears above 0 hides what it counted before",
    9: "The kernel's `dmem` knows a GPU's own memory alone: on a processor with graphics the carve-out",
}
"""Row -> what is so."""


def edges_tested() -> dict[int, list[str]]:
    """Row -> the tests marked with it."""
    return marked_tests("edge")
