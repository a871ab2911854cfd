"""Every edge has a test that bears its number."""

from tests.edges import EDGES, edges_tested


def test_every_edge_has_a_test_of_its_own() -> None:
    tested = edges_tested()
    assert sorted(EDGES.keys() - tested.keys()) == []
    assert sorted(tested.keys() - EDGES.keys()) == []
