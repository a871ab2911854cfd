"""What a reader says of a database that does not have what it asks for."""

from typing import Any

import pytest

from blackbox.fleet.reader import FleetReader
from blackbox.fleet.send import Access, EngineConnection, EngineError


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (47, "run 'blackbox fleet init'"),
        (60, "run 'blackbox fleet init'"),
        (241, "as the engine says"),
    ],
)
def test_tables_of_an_older_version_are_told_with_what_to_do(
    code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(*_: Any) -> list[dict[str, Any]]:
        raise EngineError("setup", "as the engine says", code)

    monkeypatch.setattr(EngineConnection, "rows", rows)
    with pytest.raises(EngineError) as raised:
        FleetReader(Access("http://engine:8123")).rows("SELECT 1 FROM allocation_hour")
    assert told in str(raised.value)
    assert raised.value.code == code
