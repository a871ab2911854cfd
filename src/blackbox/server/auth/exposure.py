"""The check at start-up that nobody opens the server to other machines by accident."""

from blackbox.errors import UsageError
from blackbox.server.auth.web_config import WebConfig
from blackbox.settings import Settings, is_loopback


def require_protection(settings: Settings, web_config: WebConfig | None) -> None:
    """Raises `UsageError` when others could reach the server and nothing would keep them out."""
    wide = [host for host in settings.hosts if not is_loopback(host)]
    protected = settings.token_file is not None or (web_config is not None and web_config.authenticates)
    if not wide or protected or settings.no_auth:
        return
    if web_config is not None:
        raise UsageError(f"web config {settings.web_config} lets anyone in on {wide[0]}: add basic_auth_users to it")
    raise UsageError(
        f"listening on {wide[0]} would let other machines ask: add --token-file, --web-config or --no-auth"
    )
