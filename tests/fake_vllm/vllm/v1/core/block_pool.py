"""Pages counted by reference; one of them, the null page, is a placeholder."""

from __future__ import annotations


class KVCacheBlock:
    def __init__(self, block_id: int) -> None:
        self.block_id = block_id
        self.ref_cnt = 0
        self._block_hash: bytes | None = None
        self.is_null = False


class BlockPool:
    def __init__(self, num_gpu_blocks: int) -> None:
        self.num_gpu_blocks = num_gpu_blocks
        self.blocks = [KVCacheBlock(number) for number in range(num_gpu_blocks)]
        self.free = self.blocks[1:]
        self.null_block = self.blocks[0]
        self.null_block.is_null = True

    def get_num_free_blocks(self) -> int:
        return len(self.free)

    def get_new_blocks(self, count: int) -> list[KVCacheBlock]:
        taken, self.free = self.free[:count], self.free[count:]
        for block in taken:
            block.ref_cnt += 1
            block._block_hash = None
        return taken

    def cache_full_blocks(self, blocks: list[KVCacheBlock]) -> None:
        for block in blocks:
            block._block_hash = b"prefix"

    def touch(self, blocks: list[KVCacheBlock]) -> None:
        for block in blocks:
            if block.ref_cnt == 0 and not block.is_null:
                self.free.remove(block)
            block.ref_cnt += 1

    def free_blocks(self, blocks: list[KVCacheBlock]) -> None:
        for block in blocks:
            block.ref_cnt -= 1
            if block.ref_cnt == 0 and not block.is_null:
                self.free.append(block)
