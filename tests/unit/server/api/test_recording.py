"""Which times of a recording nothing can be told of."""

from pathlib import Path

import pytest

from blackbox.model.text import rfc3339
from blackbox.recorder import Recording
from blackbox.server.api.recording import recorded_moment
from blackbox.server.http.answer import Viewer
from blackbox.server.http.request import HTTPError
from tests.moments import TIMESTAMP, moment
from tests.recordings import recorded

GAP_SECONDS = 600


def test_a_gap_is_not_called_outside_of_what_is_recorded(tmp_path: Path) -> None:
    lived = [moment(seq=seq, timestamp=TIMESTAMP + at) for seq, at in enumerate((0, GAP_SECONDS), 1)]
    with recorded(tmp_path, lived):
        pass
    reach = f"the recording reaches from {rfc3339(TIMESTAMP)} to {rfc3339(TIMESTAMP + GAP_SECONDS)}"
    recording = Recording(tmp_path)
    for then, words in ((TIMESTAMP + GAP_SECONDS / 2, f"{reach}, with a gap there"), (TIMESTAMP - 60, reach)):
        with pytest.raises(HTTPError) as refused:
            recorded_moment(recording, then, None, Viewer())
        assert refused.value.reason == f"nothing was recorded at {rfc3339(then)}: {words}"
