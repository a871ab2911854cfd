"""What an allocator's trace tells: the memory at any of its steps, its peak, and what was refused. Pure.

`entries` and `layout` are what a file holds, `replay` rolls it back and forward again, `moments` and `findings` tell of
single steps, `situations` says what a truthful reader has to add.
"""
