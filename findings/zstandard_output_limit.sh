#!/bin/sh
# `max_output_size` of zstandard's one-shot `decompress` is no limit where the frame tells its own size, as most do.
#
# Expected: a million bytes do not come out of `decompress(frame, max_output_size=1000)`, and input that is left over is
# an error. What happens: the size in the frame's header wins over the argument (the argument is the size of the buffer
# where the header has none), and what follows the first frame is dropped without a word, while `stream_reader` reads on.
#
# So: bytes from elsewhere are decompressed by `stream_reader(...).read(limit)`, or their header is asked first
# (`frame_content_size`); a file of several frames needs `stream_reader` or `allow_extra_data=False`.

. "$(dirname "$0")/evidence.sh"

install zstandard==0.25.0
evidence <<'PYTHON'
from evidence import Evidence, outcome


import zstandard

TEXT = b"a" * 1_000_000
LIMIT = 1000

sized = zstandard.ZstdCompressor().compress(TEXT)
unsized = zstandard.ZstdCompressor(write_content_size=False).compress(TEXT)
reader = zstandard.ZstdDecompressor

evidence = Evidence()
evidence.see("limit 1000, size in the header", len(reader().decompress(sized, max_output_size=LIMIT)), 1_000_000)
evidence.see(
    "limit 1000, no size in the header",
    outcome(lambda: len(reader().decompress(unsized, max_output_size=LIMIT))),
    "ZstdError",
)
evidence.see("what the header says", zstandard.frame_content_size(sized), 1_000_000)
evidence.see("stream_reader, told to read 1000", len(reader().stream_reader(sized).read(LIMIT)), 1000)
evidence.see("two frames, decompress", len(reader().decompress(sized + sized)), 1_000_000)
evidence.see("two frames, stream_reader", len(reader().stream_reader(sized + sized).read()), 2_000_000)
evidence.see(
    "two frames, allow_extra_data=False",
    outcome(lambda: reader().decompress(sized + sized, allow_extra_data=False)),
    "ZstdError",
)
evidence.close()
PYTHON
