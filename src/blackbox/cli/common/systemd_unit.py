"""The systemd unit of the server: what it may do, as text."""

import pwd
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

UNIT = "blackbox.service"
MARK = "# Written by 'blackbox service install'"
"""First line of a unit of ours: no other is replaced or removed."""
CREDENTIALS = (
    "--token-file",
    "--tls-cert",
    "--tls-key",
    "--notify-file",
    "--otlp-headers-file",
    "--fleet-password-file",
    "--fleet-token-file",
    "--fleet-read-password-file",
)
"""Flags with files that systemd hands over, so that they can stay readable by root alone."""
HIDDEN = ("/home", "/run/user", pwd.getpwuid(0).pw_dir)
"""What `ProtectHome=yes` hides."""
PASSING = re.compile(r"/uv/(archive|builds|environments)-v\d+/")
"""In paths of environments that `uvx` makes for one command, and that its cache may lose."""

HEAD = """\
{mark}; a drop-in ('systemctl edit blackbox') changes it and outlives the next install.
[Unit]
Description=Blackbox, the flight recorder for GPU memory
Documentation=https://github.com/blackbox-vram/blackbox/tree/main/docs
After=network.target nvidia-persistenced.service
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
# what crashed is started again; a setting that makes no sense (2) stays as it is
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec=10
OOMPolicy=continue
UMask=0077
"""
SYSTEM = """\
# a user made for the service; programs of all users report to /run/blackbox/agent.sock
DynamicUser=yes
RuntimeDirectory=blackbox
RuntimeDirectoryMode=0755
StateDirectory=blackbox
StateDirectoryMode=0700
# /etc/blackbox/config.toml, where there is one
Environment=XDG_CONFIG_HOME=/etc
# the GPUs, and no other device
DevicePolicy=closed
DeviceAllow=char-nvidia* rw
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RemoveIPC=yes
{network}"""
LOOPBACK = """\
# this machine alone, whatever the settings say
IPAddressDeny=any
IPAddressAllow=localhost
"""
FILTERS = """\
LockPersonality=yes
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallFilter=@chown
SystemCallErrorNumber=EPERM

[Install]
WantedBy={target}
"""


def unit(program: Sequence[str], words: Sequence[str], *, system: bool, loopback: bool) -> str:
    """The unit that runs `program serve` with `words`; `loopback`: it needs no network but this machine's own."""
    quoted, handed = _handed_over(words) if system else ([_quoted(word) for word in words], [])
    head = HEAD.format(mark=MARK, command=" ".join([*map(_quoted, program), "serve", *quoted]))
    head += "".join(f"LoadCredential={line}\n" for line in handed)
    if not system:
        return head + FILTERS.format(target="default.target")
    hidden = any(Path(program[0]).is_relative_to(place) for place in HIDDEN)
    middle = SYSTEM.format(home="read-only" if hidden else "yes", network=LOOPBACK if loopback else "")
    return head + middle + FILTERS.format(target="multi-user.target")


def own_program(executable: str = sys.executable) -> list[str]:
    """How the unit starts this installation of Blackbox."""
    script = Path(executable).with_name("blackbox")
    return [str(script)] if script.exists() else [executable, "-m", "blackbox"]


def unit_path(*, system: bool, environ: Mapping[str, str], home: Path) -> Path:
    """Where the unit is installed."""
    if system:
        return Path("/etc/systemd/system", UNIT)
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if Path(base).is_absolute() else home / ".config") / "systemd" / "user" / UNIT


def _handed_over(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words, quoted, with secret files where systemd puts them; and the lines that have it do so."""
    quoted: list[str] = []
    handed: list[str] = []
    before = ""
    for word in words:
        flag, equals, value = word.partition("=") if word.startswith("--") else (before, "", word)
        before = flag if word.startswith("--") and not equals else ""
        if flag in CREDENTIALS and value:
            name = flag.removeprefix("--")
            handed.append(f"{name}:{Path(value).absolute()}".replace("%", "%%"))
            quoted.append(f"{flag}=%d/{name}" if equals else f"%d/{name}")
        else:
            quoted.append(_quoted(word))
    return quoted, handed


def _quoted(word: str) -> str:
    """A word of `ExecStart=` that systemd takes as it stands."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return escaped if re.fullmatch(r"[\w./:@%+,=-]+", escaped) else f'"{escaped}"'
