"""What one client may cost the server. Deadlines are checked once a sweep, so each is one sweep below the promise."""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Limits of the HTTP server. The defaults keep the promises of the fault catalogue, rows 27-33."""

    head_seconds: float = 9.0
    """From the first byte of a request to the end of its head: 10 s promised."""
    body_seconds: float = 29.0
    """From the end of the head to the end of the body: 30 s promised."""
    idle_seconds: float = 74.0
    """Between requests: 75 s promised, longer than the usual scrape interval of 60 s."""
    stall_seconds: float = 29.0
    """A peer that takes none of the bytes waiting for it, or fewer than it must: 30 s promised."""
    linger_seconds: float = 2.0
    """Reading on after a refusal, so that the peer gets to see the answer instead of a reset."""
    sweep_seconds: float = 1.0
    """Between checks of all deadlines; a timer per connection would cost more than the connection."""
    stop_seconds: float = 2.0
    """For open connections to take their last bytes when the server stops; 3 s promised in all."""
    heartbeat_seconds: float = 15.0
    """Silence on a stream after which a comment is sent; proxies give up after 30 to 60 s."""

    url_bytes: int = 8 * 1024
    """As nginx and Apache."""
    head_bytes: int = 32 * 1024
    """As nginx's default of four buffers of 8 KiB."""
    headers: int = 100
    """As Apache."""
    body_bytes: int = 64 * 1024
    """No route reads a body; this much is read and discarded so that the connection stays usable."""
    pipelined: int = 32
    """Requests waiting behind the one being answered; a peer that sends more is closed after these."""

    spare_fds: int = 64
    """File descriptors kept from connections: for the driver's child and files; a quarter of them answer 503."""
    waiting_bytes: int = 32 * 1024 * 1024
    """Held in memory for all clients together until they take it: twice the largest answers there are. Bytes that many
    wait for count once. Beyond it the slowest clients are ended; large answers and new streams are refused with 503.
    """
    waiting_share_bytes: int = 2 * 1024 * 1024
    """Of it for one client. Whoever holds more is ended before those who hold less."""
    waiting_rate_bytes: int = 16 * 1024
    """A second, which a client for whom bytes wait takes at least, over `stall_seconds`: less than any line carries
    that one would watch GPUs over."""
    unsent_bytes: int = 128 * 1024
    """Stream data the kernel holds before the peer counts as slow; more would be a backlog of old frames."""
    verifications: int = 16
    """Passwords that wait to be checked, one at a time; each costs 50 ms or more of a core, so the last waits a second.
    The next one is answered 503."""
