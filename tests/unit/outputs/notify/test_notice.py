"""What people are told, in words."""

import re

from blackbox.model.event import Crossing, Event, ProcessLife
from blackbox.model.forecast import Outlook
from blackbox.outputs.notify.notice import SENTENCE_CHARS_MAX, body, folded, of_event, of_outlook, title
from tests import moments

GIB = 1024**3


def full_machine() -> "moments.Moment":
    device = moments.device(0, memory=moments.memory(total=80 * GIB, used=76 * GIB))
    return moments.moment(moments.sample([device], [moments.process(4711, name="train.py")]))


def crossing(*, above: bool = True) -> Event:
    crossed = Crossing(threshold_percent=90, used_percent=95.0, above=above)
    return Event(kind="threshold", timestamp=1e9, message="GPU 0 is above 90 %", gpu_uuid="GPU-0", threshold=crossed)


def refused(message: str = "train.py (4711) was refused 2048.0 MiB") -> Event:
    return Event(kind="oom", timestamp=1e9 + 0.25, message=message, gpu_uuid="GPU-0", pid=4711, uid=1000)


def test_a_notice_has_the_figures_and_a_link_to_the_moment() -> None:
    notice = of_event(refused(), full_machine())
    assert notice is not None
    assert notice.subject == ("oom", "GPU-0", "train.py")
    assert notice.uid == 1000
    assert title(notice, "gpu1") == "gpu1: out of memory"
    told, link = body(notice, "https://gpu1.example.org:6767").splitlines()
    assert told.endswith("train.py (4711) was refused 2048.0 MiB (GPU 0: 76.0 GiB of 80.0 GiB in use)")
    assert re.match(r"\d\d:\d\d:\d\d \S+: ", told)
    assert link == "https://gpu1.example.org:6767/#/moment?t=1000000000.250"


def test_people_are_told_of_what_went_wrong_and_of_nothing_else() -> None:
    died = ProcessLife(name="a", start_time=None, used_bytes=None, peak_used_bytes=None, peak_at=None)
    crash = Event(kind="crash", timestamp=1.0, message="a (7) died", pid=7, process=died)
    assert [of_event(event, None) is not None for event in (refused(), crash, crossing())] == [True] * 3
    start = Event(kind="process_start", timestamp=1.0, message="a (7) uses GPU 0", pid=7, process=died)
    assert [of_event(event, None) for event in (start, crossing(above=False))] == [None] * 2


def test_a_program_that_is_started_again_is_the_same_subject() -> None:
    first, second = full_machine(), moments.moment(moments.sample([], [moments.process(4712, name="train.py")]))
    again = Event(kind="oom", timestamp=2e9, message="m", gpu_uuid="GPU-0", pid=4712)
    one, two = of_event(refused(), first), of_event(again, second)
    assert one is not None
    assert two is not None
    assert one.subject == two.subject


def test_a_prediction_is_told_as_such() -> None:
    outlook = Outlook(
        gpu=0,
        gpu_uuid="GPU-0",
        pid=None,
        name="A100",
        start_time=None,
        used_bytes=76 * GIB,
        headroom_bytes=3 * GIB,
        full_in_seconds_min=300.0,
        full_in_seconds=400.0,
        full_in_seconds_max=500.0,
        since=None,
        evidence=None,
        message="GPU 0: prediction: would be full in 7 min (5 min to 8 min), if it goes on",
    )
    notice = of_outlook(outlook, 1e9, full_machine())
    assert title(notice, "gpu1") == "gpu1: GPU memory will be full"
    assert "prediction" in notice.sentence


def test_a_simulated_machine_says_so() -> None:
    simulated = moments.moment(moments.sample([moments.device()], simulated=True))
    notice = of_event(crossing(), simulated)
    assert notice is not None
    assert title(notice, "gpu1").startswith("[SIMULATED] ")


def test_names_of_programs_can_neither_add_lines_nor_flood() -> None:
    notice = of_event(refused("evil\nhttp://elsewhere\x1b[2J" + "x" * 10_000), None)
    assert notice is not None
    assert notice.sentence.isprintable()
    assert len(notice.sentence) == SENTENCE_CHARS_MAX


def test_notices_told_together_say_how_many_they_are() -> None:
    notice = of_event(refused(), None)
    assert notice is not None
    assert folded(notice, 1) == notice
    assert folded(notice, 7).sentence.startswith("7 times of late; the last: train.py")
