"""What a cgroup may hold of a GPU, out of the kernel's files."""

from pathlib import Path

import pytest

from blackbox.model.parts import MemoryLimit
from blackbox.sources.proc.memory_limits import MemoryLimitReader
from blackbox.sources.proc.processes import cgroup_path

GIB = 1024**3
UUID, ADDRESS = "GPU-1", "0000:03:00.0"
REGION = f"drm/{ADDRESS}/vram0"
OTHER = "drm/0000:04:00.0/vram0"


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    root = tmp_path / "fs/cgroup"
    root.mkdir(parents=True)
    (root / "dmem.capacity").write_text(f"{REGION} {80 * GIB}\n")
    return root


def limit(root: Path, path: str, allowed: str, used: int | None = None) -> None:
    directory = root / path
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "dmem.max").write_text(f"{OTHER} 4096\n{REGION} {allowed}\ndrm/{ADDRESS}/stolen 77\n")
    if used is not None:
        (directory / "dmem.current").write_text(f"{OTHER} 1\n{REGION} {used}\n")


def of(cgroups: Path, path: str | None, **changes: str) -> MemoryLimit | None:
    return MemoryLimitReader(cgroups.parents[1], {UUID: ADDRESS} | changes).of(path, UUID)


@pytest.mark.edge(9)
def test_the_limit_of_a_cgroup_and_what_it_holds(cgroups: Path) -> None:
    limit(cgroups, "pod/box", str(8 * GIB), 3 * GIB)
    expected = MemoryLimit(kind="dmem", limit_bytes=8 * GIB, used_bytes=3 * GIB, cgroup="/pod/box")
    assert of(cgroups, "/pod/box") == expected
    assert not (cgroups / "pod/box/dmem.peak").exists(), "which kernels before 2026 lack, is not needed"


def test_a_cgroup_whose_name_begins_with_a_dot_keeps_it(cgroups: Path) -> None:
    limit(cgroups, "lxc/.lxc", str(8 * GIB))
    found = of(cgroups, "/lxc/.lxc")
    assert found is not None
    assert found.cgroup == "/lxc/.lxc"


def test_the_tightest_of_those_around_it_counts(cgroups: Path) -> None:
    limit(cgroups, "pod/box", str(8 * GIB))
    limit(cgroups, "pod", str(2 * GIB), GIB)
    found = of(cgroups, "/pod/box")
    assert found is not None
    assert (found.cgroup, found.limit_bytes) == ("/pod", 2 * GIB)


def test_the_one_that_leaves_least_counts_though_it_is_the_larger(cgroups: Path) -> None:
    limit(cgroups, "pod/box", str(8 * GIB), GIB)
    limit(cgroups, "pod", str(10 * GIB), 9 * GIB)
    found = of(cgroups, "/pod/box")
    assert found is not None
    assert (found.cgroup, found.limit_bytes) == ("/pod", 10 * GIB)


@pytest.mark.parametrize("allowed", [80 * GIB, 100 * GIB])
def test_what_is_not_less_than_the_gpu_has_is_no_limit(cgroups: Path, allowed: int) -> None:
    limit(cgroups, "box", str(allowed), GIB)
    assert of(cgroups, "/box") is None


def test_in_a_container_the_root_is_its_own_cgroup(cgroups: Path) -> None:
    (cgroups / "dmem.capacity").unlink()
    limit(cgroups, ".", str(4 * GIB), GIB)
    found = of(cgroups, "/")
    assert found == MemoryLimit(kind="dmem", limit_bytes=4 * GIB, used_bytes=GIB, cgroup="/")
    limit(cgroups, "inner", "max", GIB)
    assert of(cgroups, "/inner") == found


@pytest.mark.parametrize("region", ["vram", "vram0", "fb", "memory"])
def test_whatever_a_driver_calls_its_regions_they_bear_the_address(cgroups: Path, region: str) -> None:
    (cgroups / "box").mkdir()
    (cgroups / "box/dmem.max").write_text(f"drm/{ADDRESS}/{region} 4096\nxe/0000:04:00.0/vram0 1\n")
    found = of(cgroups, "/box")
    assert found is not None
    assert (found.limit_bytes, found.used_bytes) == (4096, None)


def test_of_several_regions_those_without_a_limit_are_left_out(cgroups: Path) -> None:
    (cgroups / "box").mkdir()
    (cgroups / "box/dmem.max").write_text(f"drm/{ADDRESS}/vram0 4096\ndrm/{ADDRESS}/vram1 max\n")
    (cgroups / "box/dmem.current").write_text(f"drm/{ADDRESS}/vram0 1024\ndrm/{ADDRESS}/vram1 9999\n")
    found = of(cgroups, "/box")
    assert found is not None
    assert (found.limit_bytes, found.used_bytes) == (4096, 1024)


@pytest.mark.parametrize("path", [None, "/", "/../other", "/free", "/none/such"])
def test_without_a_limit_there_is_none(cgroups: Path, path: str | None) -> None:
    limit(cgroups, "free", "max", GIB)
    assert of(cgroups, path) is None


@pytest.mark.parametrize("promise", ["dmem.low", "dmem.min"])
def test_what_a_cgroup_is_only_promised_limits_nothing(cgroups: Path, promise: str) -> None:
    limit(cgroups, "box", "max", GIB)
    (cgroups / "box" / promise).write_text(f"{REGION} {GIB}\n")
    assert of(cgroups, "/box") is None


def test_a_kernel_without_the_controller_is_not_asked(cgroups: Path) -> None:
    limit(cgroups, "box", str(GIB))
    (cgroups / "dmem.capacity").unlink()
    assert of(cgroups, "/box") is None


def test_a_driver_that_keeps_limits_itself_is_asked_beside_the_kernel(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(uuid: str, directory: Path) -> MemoryLimit | None:
        asked.append(str(directory.relative_to(tmp_path)))
        own = MemoryLimit(kind="nvml", limit_bytes=GIB, used_bytes=0, cgroup=str(directory))
        return own if directory.name == "pod" else None

    reader = MemoryLimitReader(tmp_path, {UUID: ADDRESS}, ask)
    first = reader.of("/pod/box", UUID)
    assert first is not None
    assert first.kind == "nvml"
    assert reader.of("/pod/box", UUID) == first
    assert asked == ["fs/cgroup/pod/box", "fs/cgroup/pod"], "what processes share is asked once"


def test_the_path_of_a_process_in_the_unified_hierarchy() -> None:
    assert cgroup_path("4:memory:/a\n0::/kubepods/pod1\n") == "/kubepods/pod1"
    assert cgroup_path("4:memory:/a\n") is None
    assert cgroup_path("") is None
