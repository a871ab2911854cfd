"""Who may reach the server at all."""

import pytest

from blackbox.errors import UsageError
from blackbox.server.auth.exposure import require_protection
from blackbox.server.auth.web_config import WebConfig
from blackbox.settings import Settings, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    assert is_loopback(host)
    require_protection(Settings(hosts=(host,)), None)


@pytest.mark.fault(41)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_row_41_anything_wider_needs_protection(host: str) -> None:
    assert not is_loopback(host)
    settings = Settings(hosts=("127.0.0.1", host))
    with pytest.raises(UsageError, match="--token-file, --web-config or --no-auth"):
        require_protection(settings, None)


@pytest.mark.fault(41)
def test_row_41_a_web_config_without_users_protects_nothing() -> None:
    with pytest.raises(UsageError, match="lets anyone in"):
        require_protection(Settings(hosts=("::",)), WebConfig())
    require_protection(Settings(hosts=("::",)), WebConfig(basic_auth_users={"ada": "hash"}))


def test_a_wide_bind_can_be_asked_for() -> None:
    require_protection(Settings(hosts=("0.0.0.0",), no_auth=True), None)
