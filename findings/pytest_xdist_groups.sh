#!/bin/sh
# pytest-xdist under pytest 9.2: tests of one `xdist_group` run in several processes, without a word.
#
# Expected: with `--dist loadgroup`, tests marked `@pytest.mark.xdist_group("name")` run in the same worker, so that they
# can share what a fixture of their module made. What happens: xdist 3.8.0 carries the group in the name of the test, by
# assigning to `item._nodeid`; since pytest 9.2 the name is made of something else, the assignment has no effect, and
# every test is handed out by itself. Nothing warns; fixtures of modules are made once a worker. 9.1 is well.
#
# So: `pytest_xdist_make_scheduler` in conftest.py with a scheduler of one's own (tests/workers.py), or `--dist loadfile`.

. "$(dirname "$0")/evidence.sh"

seen() {
    cat >"$folder/test_group.py" <<'PYTHON'
import os, pathlib, pytest
pytestmark = pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(20))
def test_part(number):
    (pathlib.Path(os.environ["SEEN"]) / os.environ["PYTEST_XDIST_WORKER"]).touch()
PYTHON
    rm -rf "$folder/seen"
    mkdir "$folder/seen"
    SEEN=$folder/seen "$folder/venv/bin/python" -m pytest -q -n 2 --dist loadgroup --rootdir "$folder" "$folder/test_group.py" >/dev/null
    export "$1=$(ls "$folder/seen" | wc -l)"
}

install pytest==9.1.0 pytest-xdist==3.8.0
seen BEFORE
install pytest==9.2.0 pytest-xdist==3.8.0
seen SINCE
evidence <<'PYTHON'
import os

from evidence import Evidence

evidence = Evidence()
evidence.see("processes of one group with pytest 9.1.0", int(os.environ["BEFORE"]), 1)
evidence.see("processes of one group with pytest 9.2.0", int(os.environ["SINCE"]), 2)
evidence.close()
PYTHON
