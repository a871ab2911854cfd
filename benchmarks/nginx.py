"""nginx as the peer: one worker serving a file, or its nchan module publishing to event streams."""

import contextlib
import http.client
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import SERVER_CORE, PeerMissingError, free_port, process, wait_for_port

NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
OPEN_FILES = 20_000
WORKER_CONNECTIONS = 16_000

_CONFIG = """
{modules}
daemon off;
master_process on;
worker_processes 1;
worker_rlimit_nofile {open_files};
pid {folder}/pid;
error_log {folder}/error.log error;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
    access_log off;
    sendfile {sendfile};
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    open_file_cache max=10;
    default_type application/json;
    client_body_temp_path {folder}/body;
    client_max_body_size 8m;
    client_body_buffer_size 4m;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder}/files;
        {server}
    }}
}}
"""
_NCHAN_HTTP = "nchan_shared_memory_size 128M;"
_NCHAN_SERVER = """
        location = /publish { nchan_publisher; nchan_channel_id all; nchan_message_buffer_length 2; }
        location = /stream { nchan_subscriber eventsource; nchan_channel_id all; nchan_subscriber_first_message -1; }
"""
NCHAN_SEQ_PATTERN = r'"seq":(\d+)'
"""nchan's own event ids are times; the published message carries the number."""


class Nginx(NamedTuple):
    """A running nginx."""

    port: int
    pid: int
    """Of the master; its one worker is a child."""


def version() -> str:
    """nginx' version. Raises `PeerMissingError`."""
    if shutil.which("nginx") is None:
        raise PeerMissingError("nginx")
    shown = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return shown.strip().rpartition("/")[2]


@contextlib.contextmanager
def serving(files: dict[str, bytes], *, nchan: bool = False, sendfile: bool = False) -> Iterator[Nginx]:
    """nginx on a free port and one core, serving `files`, and `/publish` and `/stream` through nchan.

    `sendfile` is faster for files of megabytes and slower for small ones. Raises `PeerMissingError`.
    """
    version()
    if nchan and not NCHAN.exists():
        raise PeerMissingError("nginx' nchan module")
    with tempfile.TemporaryDirectory(prefix="blackbox-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "files").mkdir()
        for file_name, content in files.items():
            (folder / "files" / file_name).write_bytes(content)
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                modules=f"load_module {NCHAN};" if nchan else "",
                open_files=OPEN_FILES,
                connections=WORKER_CONNECTIONS,
                folder=folder,
                port=port,
                sendfile="on" if sendfile else "off",
                http=_NCHAN_HTTP if nchan else "",
                server=_NCHAN_SERVER if nchan else "",
            )
        )
        with process(["nginx", "-p", folder, "-e", folder / "error.log", "-c", config], SERVER_CORE) as started:
            wait_for_port(port, started)
            yield Nginx(port, started.pid)


@contextlib.contextmanager
def publishing(port: int, body_bytes: int, interval: float) -> Iterator[None]:
    """Posts a numbered message of this size to nchan at every interval, from a thread."""
    stop = threading.Event()

    def publish() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        seq = 0
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            seq += 1
            due += interval
            connection.request("POST", "/publish", numbered(seq, body_bytes))
            connection.getresponse().read()
        connection.close()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def numbered(seq: int, body_bytes: int) -> bytes:
    """A JSON message with its number, padded to a size."""
    head, tail = b'{"seq":%d,"pad":"' % seq, b'"}'
    return head + b"x" * (body_bytes - len(head) - len(tail)) + tail
