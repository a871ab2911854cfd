"""Where Blackbox keeps its files."""

import subprocess
import sys
from pathlib import Path

from blackbox.paths import agent_sockets, data_directory, runtime_directory, settings_file
from tests.waiting import PATIENCE_SECONDS


def test_where_servers_announce_themselves() -> None:
    assert runtime_directory({"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/x"}, 1) == Path("/run/a")
    assert runtime_directory({"XDG_RUNTIME_DIR": "/x"}, 1) == Path("/x/blackbox")
    assert runtime_directory({}, 0) == Path("/run/blackbox")
    assert runtime_directory({}, 1000).name == "blackbox-1000"


def test_the_services_directory_comes_before_the_users() -> None:
    environ = {"STATE_DIRECTORY": "/s/blackbox:/other", "XDG_STATE_HOME": "/x", "HOME": "/h"}
    assert data_directory(environ) == Path("/s/blackbox")
    del environ["STATE_DIRECTORY"]
    assert data_directory(environ) == Path("/x/blackbox")
    environ["XDG_STATE_HOME"] = "relative"
    assert data_directory(environ) == Path("/h/.local/state/blackbox")


def test_an_agent_looks_where_a_server_of_its_user_listens_then_for_one_of_all() -> None:
    environ = {"XDG_RUNTIME_DIR": "/run/user/1000", "TMPDIR": "/t"}
    own, for_all = agent_sockets(environ, 1000)
    assert own == str(runtime_directory(environ, 1000) / "agent.sock")
    assert for_all == str(runtime_directory({}, 0) / "agent.sock")
    assert agent_sockets({"TMPDIR": "/t"}, 1000)[0] == "/t/blackbox-1000/agent.sock"


def test_settings_are_in_the_users_configuration() -> None:
    assert settings_file({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/blackbox/config.toml")
    assert settings_file({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}) == Path("/h/.config/blackbox/config.toml")
    assert settings_file({}) is None


def test_a_program_with_an_agent_does_not_wait_for_its_imports() -> None:
    """`pathlib` and `tempfile` take longer to import than all of the agent's start."""
    source = str(Path("src").resolve())
    program = f"import sys; sys.path.insert(0, {source!r})\nimport blackbox.paths\n"
    program += "print(*({'pathlib', 'tempfile', 'pwd', 'typing'} & sys.modules.keys()))"
    ran = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(Path('src').resolve())!r}); {program}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert ran.stdout.strip() == ""
