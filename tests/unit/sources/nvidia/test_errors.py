"""What the driver's error codes mean for us."""

import pytest

from blackbox.sources.nvidia.errors import Failure, Fault, absence_of, failure_of, fault_of

CLASSES = {
    Fault.PERMANENT: (3, 13, 14, 22, 24, 25, 26, 30),
    Fault.DENIED: (4,),
    Fault.DEVICE_GONE: (11, 15, 16, 28),
    Fault.LIBRARY_GONE: (1, 9, 12, 18),
    Fault.TRANSIENT: (2, 5, 6, 7, 8, 10, 17, 19, 20, 21, 23, 27, 29, 999),
}


@pytest.mark.parametrize(("fault", "code"), [(fault, code) for fault, codes in CLASSES.items() for code in codes])
def test_each_code_has_its_class(fault: Fault, code: int) -> None:
    assert fault_of(code) is fault


def test_every_documented_code_is_classified_here() -> None:
    assert sorted(code for codes in CLASSES.values() for code in codes) == [*range(1, 31), 999]


def test_an_undocumented_code_is_transient_and_still_named() -> None:
    failure = failure_of("nvmlDeviceGetName", 4711)
    assert failure == Failure(Fault.TRANSIENT, "nvmlDeviceGetName: undocumented error (4711)", 4711)


def test_a_failure_names_call_and_code() -> None:
    assert failure_of("nvmlDeviceGetName", 15).reason == "nvmlDeviceGetName: GPU_IS_LOST (15)"


@pytest.mark.parametrize(
    ("code", "state", "hint"),
    [
        (12, "no_driver", "install the NVIDIA driver"),
        (9, "no_driver", "modprobe nvidia"),
        (18, "version_mismatch", "reboot"),
        (4, "no_access", "/dev/nvidia"),
        (999, "no_access", "daemon-reload"),
        (20, "failed", "MEMORY (20)"),
    ],
)
def test_the_source_says_what_is_wrong_and_what_to_do(code: int, state: str, hint: str) -> None:
    absence = absence_of(failure_of("nvmlInitWithFlags", code))
    assert absence.state == state
    assert hint in absence.reason
    assert "\n" not in absence.reason


def test_a_quarantined_start_gives_its_own_reason() -> None:
    assert absence_of(Failure(Fault.QUARANTINED, "init hung")) == ("failed", "init hung")
