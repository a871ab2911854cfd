"""Shapes of snapshots, told apart in entity tags."""

from itertools import product

from blackbox.model.view import Shape
from blackbox.server.api.snapshot import tagged
from blackbox.server.http.negotiation import has_tag


def test_no_two_shapes_have_one_tag_whatever_gpu_is_asked_for() -> None:
    gpus = (None, "", "*", "0", "0;none", "0;none;1", "None", '"', "a, b", "GPU-1f", "%3B", ";", "\N{SNOWMAN}")
    shapes = [Shape(*one) for one in product(gpus, ("full", "none", "columns"), (None, 0, 1, 1000))]
    tags = [f'W/"{tagged(shape).tag}"' for shape in shapes]
    assert len(set(tags)) == len(shapes)
    assert all(tag.isascii() and tag.isprintable() and tag.count('"') == 2 for tag in tags)
    assert all(has_tag(tag.encode(), tag) for tag in tags), "none is taken for a list"
