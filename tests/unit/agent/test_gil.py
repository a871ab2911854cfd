"""The agent's thread lets the program run between pieces of its work."""

from blackbox.agent.gil import REST_SECONDS, WORK_SECONDS, Turns


class Thread:
    """With a clock of its own, which stands while it rests."""

    def __init__(self) -> None:
        self.worked_seconds = 0.0
        self.rests: list[float] = []
        self.turns = Turns(self.rests.append, lambda: self.worked_seconds)

    def work(self, seconds: float) -> None:
        self.worked_seconds += seconds
        self.turns.rest()


def test_a_long_work_rests_after_every_piece() -> None:
    thread = Thread()
    for _ in range(100):
        thread.work(WORK_SECONDS * 1.01)
    assert thread.rests == [REST_SECONDS] * 100


def test_pieces_that_are_short_are_done_in_one_go() -> None:
    thread = Thread()
    for _ in range(100):
        thread.work(WORK_SECONDS / 10)
    assert 8 <= len(thread.rests) <= 10
