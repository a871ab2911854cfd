"""Tell the fleet's database which GPUs of this machine a job was given, and with --ended that it gave them back; then
`blackbox fleet waste` knows which of them were empty. For a scheduler's hooks: deploy/slurm has Slurm's.

What is not given comes from Slurm's variables: SLURM_JOB_ID, SLURM_JOB_USER, SLURM_JOB_GPUS.

examples:
  blackbox fleet allocate --job 4711 --gpus 0,1 --job-user ann --url https://db.example.org:8443
  blackbox fleet allocate --job 4711 --ended --url https://db.example.org:8443
"""

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import fleet_arguments, parsers
from blackbox.errors import UsageError

if TYPE_CHECKING:
    from blackbox.fleet.allocations import Allocation

DIRECTORY = "/run/blackbox-allocations"
SERVER = "http://localhost:6767"


def configure(parser: ArgumentParser) -> None:
    """Which job, which GPUs, and where the database is."""
    parser.add_argument("--job", metavar="NUMBER", help="the job (default: SLURM_JOB_ID)")
    parser.add_argument("--gpus", metavar="LIST", help="its GPUs: indices or UUIDs (default: SLURM_JOB_GPUS)")
    parser.add_argument("--job-user", metavar="NAME", help="whose job it is (default: SLURM_JOB_USER)")
    parser.add_argument("--ended", action="store_true", help="the job gave them back")
    parser.add_argument("--tenant", metavar="NAME", default="", help="as servers are told by --fleet-tenant")
    parser.add_argument(
        "--users", choices=("hash", "name", "none"), default="hash", help="as servers are told by --fleet-users"
    )
    parser.add_argument("--server", metavar="URL", default=SERVER, help=f"this machine's (default: {SERVER})")
    parser.add_argument("--server-token-file", metavar="FILE", help="file with the token that it asks for")
    parser.add_argument(
        "--directory", metavar="DIRECTORY", default=DIRECTORY, help=f"keeps what lasts (default: {DIRECTORY})"
    )
    fleet_arguments.add_engine_flags(parser)


def run(arguments: Namespace) -> int:
    """Writes the rows."""
    import socket
    import time

    from blackbox.fleet.allocations import AllocationFiles, tell

    job = arguments.job or os.environ.get("SLURM_JOB_ID", "")
    if not job:
        raise UsageError("which job? --job NUMBER, or SLURM_JOB_ID")
    (access,) = fleet_arguments.accesses(arguments)[:1]
    files, host = AllocationFiles(parsers.path(arguments.directory)), socket.gethostname()
    now = int(time.time())
    if arguments.ended:
        allocation = files.read(job)
        tell(access, host, arguments.tenant, allocation, now)
        files.remove(job)
        return 0
    allocation = _allocation(arguments, job, now)
    files.write(allocation)
    tell(access, host, arguments.tenant, allocation, None)
    return 0


def _allocation(arguments: Namespace, job: str, now: int) -> "Allocation":
    """Raises `UsageError` and `FailureError`."""
    from blackbox.client import Client
    from blackbox.fleet.allocations import Allocation, chosen
    from blackbox.fleet.rows import Origin
    from blackbox.private_file import private_lines

    named = arguments.gpus or os.environ.get("SLURM_JOB_GPUS", "")
    if not named:
        raise UsageError("which GPUs? --gpus 0,1, or SLURM_JOB_GPUS")
    token = None
    if arguments.server_token_file is not None:
        token = next(iter(private_lines(parsers.path(arguments.server_token_file))), None)
    seen = Client(arguments.server, token=token).snapshot(blocks="none")
    uuids = [(gpu.index, gpu.uuid) for gpu in seen.gpus if gpu.parent_uuid is None]
    user = arguments.job_user or os.environ.get("SLURM_JOB_USER")
    owner = Origin("", "", arguments.tenant, arguments.users).user(user)
    return Allocation(job=job, since=now, gpu_uuids=chosen(named, uuids), user=owner)
