"""Addresses and their secrets: what is refused, and that no text of ours holds one."""

import sys
from pathlib import Path

import pytest

from blackbox.errors import BlackboxError, UsageError
from blackbox.outputs.notify import services
from blackbox.outputs.notify.services import load_services

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise on Python 3.11

SECRET = "hunter2hunter2"
SECRET_ADDRESSES = (
    f"json://user:{SECRET}@localhost/",
    f"slack://T1JJ3T3L2/A1BRTD4JD/{SECRET}dnlazkcOX/",
    f"mailto://somebody:{SECRET}@example.org",
    f"json://localhost/?+Authorization={SECRET}",
)


def secret_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "addresses"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_services_are_named_by_scheme_and_place(tmp_path: Path) -> None:
    file = secret_file(tmp_path, f"# mail\n\njson://user:{SECRET}@localhost/\n")
    found = load_services(["json://localhost:1/"], file)
    assert [service.name for service in found] == ["json #1", "json #2"]


@pytest.mark.parametrize("address", SECRET_ADDRESSES)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(UsageError, match="--notify-file") as refused:
        load_services([address], None)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("address", [f"nonsense://{SECRET}", SECRET, f"slack://{SECRET}", f"{SECRET}://x"])
def test_an_address_that_nobody_understands_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_services([address], None)
    assert SECRET not in str(refused.value).partition("://")[2]


def test_a_file_without_an_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no address"):
        load_services([], secret_file(tmp_path, "# nothing\n"))


def test_too_many_are_refused() -> None:
    with pytest.raises(UsageError, match="the most"):
        load_services(["json://localhost/"] * (services.SERVICES_MAX + 1), None)


def test_where_apprise_is_missing_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(BlackboxError) as refused:
        load_services(["json://localhost/"], None)
    assert str(refused.value) == services.MISSING


def test_a_service_that_is_not_there_says_so_without_its_address() -> None:
    (service,) = load_services(["json://127.0.0.1:1/secret-path"], None)
    reason = service.send("title", "body")
    assert reason == "could not be reached"
