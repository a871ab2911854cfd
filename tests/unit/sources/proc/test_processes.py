"""Facts about processes, out of a /proc tree on disk and out of the real one."""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.model.listed import ListedProcesses, share_roster
from blackbox.model.parts import MemoryLimit
from blackbox.sources.proc import exit_status, processes
from blackbox.sources.proc.device_processes import Holder, NamedProcesses
from blackbox.sources.proc.memory_limits import MemoryLimitReader
from blackbox.sources.proc.processes import (
    HOST_CGROUP_NAMESPACE,
    HOST_PID_NAMESPACE,
    INSIDE,
    NO_CGROUP,
    ProcessFacts,
    Procfs,
    container_id,
    user_name,
)

BOOT_SECONDS = 1_700_000_000
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
ID = "0123456789abcdef" * 4
OUTER_ID = "f" * 64
POD = "0b1c2d3e-aaaa-bbbb-cccc-0123456789ab"


class ProcTree:
    """A /proc on disk."""

    def __init__(self, root: Path, files_max: int) -> None:
        self.root = root
        self.files_max = files_max
        self.views: list[Procfs] = []
        (root / "stat").write_text(f"cpu  1 2 3 4\nintr 5\nbtime {BOOT_SECONDS}\nprocesses 6\n")

    def write(
        self,
        pid: int,
        *,
        name: str = "python3",
        state: str = "S",
        cpu_ticks: int = 0,
        start_ticks: int = 100,
        uid: int = 0,
        cgroup: str = "0::/",
    ) -> Path:
        folder = self.root / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        fields = [state, *["0"] * 10, str(cpu_ticks), *["0"] * 7, str(start_ticks), *["0"] * 30]
        (folder / "task" / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
        (folder / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t1\t1\t1\nGid:\t0\t0\t0\t0\n")
        (folder / "cgroup").write_text(cgroup + "\n")
        (folder / "cmdline").write_text("python3\0--token=canary\0")
        return folder

    def open(self, **options: Any) -> Procfs:
        """A view of the tree, closed with it."""
        view = Procfs(self.root, files_max=self.files_max, **options)
        self.views.append(view)
        return view

    def end(self, pid: int) -> None:
        """A file of a process that ended has nothing to read, for those who hold it open, too."""
        folder = self.root / str(pid)
        (folder / "task" / str(pid) / "stat").write_text("")
        shutil.rmtree(folder)


@pytest.fixture(params=[0, 1, 100], ids=["opens", "holds-one", "holds-all"])
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ProcTree]:
    tree = ProcTree(tmp_path, request.param)
    yield tree
    for view in tree.views:
        view.close()


def test_a_process_with_all_its_facts(tree: ProcTree) -> None:
    tree.write(7, name="trainer", start_ticks=250, uid=1234, cgroup=f"0::/system.slice/docker-{ID}.scope")
    facts = tree.open(find_user=lambda uid: f"user{uid}").look(7)
    assert facts is not None
    assert (facts.pid, facts.name, facts.start_ticks) == (7, "trainer", 250)
    assert facts.start_time == BOOT_SECONDS + 250 / TICKS_PER_SECOND
    assert (facts.uid, facts.user, facts.container) == (1234, "user1234", ID)
    assert facts.state == "waiting"


@pytest.mark.parametrize("name", ["a b", "x) S 1 (y", "((", "))", ""])
def test_names_with_blanks_and_parentheses(tree: ProcTree, name: str) -> None:
    tree.write(7, name=name, start_ticks=42)
    facts = tree.open().look(7)
    assert facts is not None
    assert (facts.name, facts.start_ticks) == (name, 42)


@pytest.mark.fault(65)
def test_row_65_a_name_moves_no_cursor_and_begins_no_line(tree: ProcTree) -> None:
    tree.write(7, name="a\n\x1b[2J root\x9b", start_ticks=42)
    facts = tree.open().look(7)
    assert facts is not None
    assert facts.name == "a??[2J root?"


@pytest.mark.fault(65)
@pytest.mark.parametrize("path", ["lxc/{}", "lxc.payload.{}/init.scope", "machine.slice/machine-{}.scope"])
def test_row_65_a_container_moves_no_cursor_either(path: str, tree: ProcTree) -> None:
    """Who was given cgroups of his own calls them as he likes, but for slashes and ends of lines."""
    tree.write(7, name="a", start_ticks=42, cgroup="0::/user.slice/" + path.format("web\x1b[2J\x9b\r"))
    facts = tree.open().look(7)
    assert facts is not None
    assert facts.container == "web?[2J??"


@pytest.mark.fault(65)
def test_row_65_the_parent_of_a_dead_process_moves_no_cursor_either(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "comm").write_bytes(b"a\n\x1b[2J root\n")
    assert exit_status.name_of(7, tmp_path) == "a??[2J root"
    (tmp_path / "7" / "comm").write_bytes(b"\n")
    assert exit_status.name_of(7, tmp_path) is None


def test_names_of_many_users_are_not_all_remembered(tree: ProcTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "USERS_KNOWN_MAX", 3)
    opened = tree.open(find_user=lambda uid: f"user{uid}")
    for uid in (1, 2, 3, 4, 1):
        tree.write(uid + 10, name="a", start_ticks=uid, uid=uid)
        facts = opened.look(uid + 10)
        assert facts is not None
        assert facts.user == f"user{uid}"
        assert len(opened._users) <= 3


@pytest.mark.parametrize(
    ("state", "expected"), [("R", "running"), ("S", "waiting"), ("D", "waiting"), ("T", "waiting"), ("Z", "waiting")]
)
def test_state_of_the_main_thread(tree: ProcTree, state: str, expected: str) -> None:
    tree.write(7, state=state)
    facts = tree.open().look(7)
    assert facts is not None
    assert facts.state == expected


def test_active_means_cpu_time_since_the_last_look(tree: ProcTree) -> None:
    procfs = tree.open()
    states: list[str] = []
    for ticks in (5, 5, 6, 6):
        tree.write(7, cpu_ticks=ticks)
        facts = procfs.look(7)
        assert facts is not None
        states.append(facts.state)
    assert states == ["waiting", "waiting", "active", "waiting"]


def test_no_process_is_none(tree: ProcTree) -> None:
    assert tree.open().look(7) is None


def test_a_process_that_is_gone_is_forgotten(tree: ProcTree) -> None:
    procfs = tree.open()
    tree.write(7, name="first")
    assert procfs.look(7)
    tree.end(7)
    assert procfs.look(7) is None
    tree.write(7, name="first", uid=5)
    facts = procfs.look(7)
    assert facts is not None
    assert facts.uid == 5


def test_another_process_under_the_same_pid_is_read_anew(tree: ProcTree) -> None:
    procfs = tree.open()
    tree.write(7, name="python3", start_ticks=100, uid=1, cpu_ticks=50)
    procfs.look(7)
    tree.write(7, name="python3", start_ticks=101, uid=2, cpu_ticks=60, cgroup=f"0::/docker/{ID}")
    facts = procfs.look(7)
    assert facts is not None
    assert (facts.uid, facts.container, facts.state) == (2, ID, "waiting")


def test_another_program_in_the_same_process_is_read_anew(tree: ProcTree) -> None:
    procfs = tree.open()
    tree.write(7, name="sudo", uid=0)
    procfs.look(7)
    tree.write(7, name="python3", uid=1000)
    facts = procfs.look(7)
    assert facts is not None
    assert (facts.name, facts.uid) == ("python3", 1000)


def test_a_known_process_is_not_read_anew(tree: ProcTree) -> None:
    procfs = tree.open()
    folder = tree.write(7, uid=1)
    procfs.look(7)
    (folder / "status").unlink()
    (folder / "cgroup").unlink()
    facts = procfs.look(7)
    assert facts is not None
    assert facts.uid == 1


def test_keep_forgets_all_others(tree: ProcTree) -> None:
    procfs = tree.open()
    for pid in (7, 8):
        tree.write(pid, uid=1)
        procfs.look(pid)
    procfs.keep([7])
    for pid in (7, 8):
        tree.write(pid, uid=2)
    assert [facts.uid for pid in (7, 8) if (facts := procfs.look(pid))] == [1, 2]


@pytest.mark.parametrize("content", ["", "7 (x", "7 (x) S", "7 (x) S " + "0 " * 10, "7 (x) S " + "y " * 40])
def test_a_broken_stat_is_none(tree: ProcTree, content: str) -> None:
    (tree.write(7) / "task" / "7" / "stat").write_text(content)
    assert tree.open().look(7) is None


@pytest.mark.parametrize("missing", ["status", "cgroup"])
def test_a_file_that_vanishes_leaves_a_gap_and_no_error(tree: ProcTree, missing: str) -> None:
    (tree.write(7) / missing).unlink()
    facts = tree.open().look(7)
    assert facts is not None
    assert facts.container is None
    assert (facts.uid is None) == (missing == "status")


def test_a_reused_pid_is_another_life_with_another_pod(tree: ProcTree) -> None:
    procfs = tree.open()
    lives = [
        (100, f"0::/kubepods/pod{POD}/{ID}"),
        (200, "0::/system.slice/slurmstepd.scope/job_7/step_0"),
        (300, "0::/"),
    ]
    seen: list[ProcessFacts] = []
    for start_ticks, cgroup in lives:
        if seen:
            tree.end(7)
        tree.write(7, start_ticks=start_ticks, cgroup=cgroup)
        facts = procfs.look(7)
        assert facts is not None
        seen.append(facts)
    pods = [one.workload and one.workload.pod_uid for one in seen]
    jobs = [one.workload and one.workload.slurm_job for one in seen]
    assert (pods, jobs) == ([POD, None, None], [None, "7", None])
    assert len({one.identity for one in seen}) == len(lives)


@pytest.mark.parametrize(
    ("namespace", "cgroup", "reason"),
    [
        (HOST_CGROUP_NAMESPACE, "0::/", None),
        ("cgroup:[4026532001]", "0::/", INSIDE),
        ("cgroup:[4026532001]", f"0::/../{ID}", None),
        (HOST_CGROUP_NAMESPACE, None, NO_CGROUP),
    ],
)
def test_nobody_named_is_told_apart_from_not_to_be_seen(
    tree: ProcTree, namespace: str, cgroup: str | None, reason: str | None
) -> None:
    (tree.root / "self" / "ns").mkdir(parents=True)
    (tree.root / "self" / "ns" / "cgroup").symlink_to(namespace)
    folder = tree.write(7, cgroup=cgroup or "")
    if cgroup is None:
        (folder / "cgroup").unlink()
    facts = tree.open().look(7)
    assert facts is not None
    assert facts.no_workload == reason
    (row,) = NamedProcesses().rows([[Holder(7, "GPU-0", 1, "compute")]], tree.open())
    assert row.unknown.get("workload") == reason


def test_without_a_boot_time_the_start_is_unknown(tree: ProcTree) -> None:
    (tree.root / "stat").unlink()
    tree.write(7, start_ticks=100)
    facts = tree.open().look(7)
    assert facts is not None
    assert (facts.start_time, facts.start_ticks) == (None, 100)


def test_start_times_do_not_move_when_the_clock_is_set(tree: ProcTree) -> None:
    procfs = tree.open()
    tree.write(7)
    before = procfs.look(7)
    (tree.root / "stat").write_text(f"btime {BOOT_SECONDS + 3600}\n")
    assert procfs.look(7) == before


def test_users_are_looked_up_once(tree: ProcTree) -> None:
    asked: list[int] = []

    def find_user(uid: int) -> str:
        asked.append(uid)
        return "somebody"

    procfs = tree.open(find_user=find_user)
    for pid in (7, 8, 9):
        tree.write(pid, uid=5)
        procfs.look(pid)
    assert asked == [5]


def test_user_names() -> None:
    assert user_name(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    nobody_has = max(entry.pw_uid for entry in pwd.getpwall()) + 12345
    assert user_name(nobody_has) == str(nobody_has)


@pytest.mark.parametrize(("inode", "is_host"), [(HOST_PID_NAMESPACE, True), ("pid:[4026532000]", False)])
def test_pid_namespace(tree: ProcTree, inode: str, is_host: bool) -> None:
    (tree.root / "self" / "ns").mkdir(parents=True)
    (tree.root / "self" / "ns" / "pid").symlink_to(inode)
    assert tree.open().sees_host_pids is is_host


def test_an_unknown_pid_namespace_is_not_the_host(tree: ProcTree) -> None:
    assert not tree.open().sees_host_pids


def test_this_process_in_the_real_proc() -> None:
    facts = Procfs().look(os.getpid())
    assert facts is not None
    assert facts.name == Path("/proc/self/comm").read_text().strip()
    assert facts.uid == os.getuid()
    assert facts.start_time is not None
    assert facts.start_time <= time.time() + 2


def test_a_zombie_and_a_reaped_process_are_no_errors() -> None:
    process = subprocess.Popen(["true"])
    procfs = Procfs()
    try:
        facts = procfs.look(process.pid)
        assert facts is None or facts.pid == process.pid
    finally:
        process.wait()
    assert procfs.look(process.pid) is None


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{ID}.scope",
        f"12:memory:/docker/{ID}\n11:pids:/docker/{ID}",
        f"0::/../{ID}",
        f"0::/kubepods/burstable/pod0b1c2d3e-aaaa-bbbb-cccc-0123456789ab/{ID}",
        f"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podabc_def.slice/cri-containerd-{ID}.scope",
        f"0::/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope",
        f"5:cpu:/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:{ID}",
        f"0::/machine.slice/libpod-{ID}.scope",
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
        f"0::/docker/{OUTER_ID}/kubelet/kubepods/pod1/cri-containerd-{ID}.scope",
        f"0::/docker/{ID}/system.slice/sshd.service",
        f"0::/ecs/1a2b3c/{ID}",
    ],
)
def test_container_ids(cgroup: str) -> None:
    assert container_id(cgroup) == ID


@pytest.mark.parametrize(
    ("cgroup", "name"),
    [
        ("0::/lxc/101/ns/system.slice/cron.service", "101"),
        ("0::/lxc.payload.web-1/init.scope", "web-1"),
        ("0::/lxc.payload/web", "web"),
        ("4:devices:/lxc/web", "web"),
        ("0::/machine.slice/machine-bookworm.scope/payload", "bookworm"),
    ],
)
def test_containers_known_by_name(cgroup: str, name: str) -> None:
    assert container_id(cgroup) == name


@pytest.mark.parametrize(
    "cgroup",
    [
        "",
        "0::/",
        "0::/user.slice/user-1000.slice/session-3.scope",
        "0::/system.slice/docker.service",
        "0::/system.slice/containerd.service",
        f"0::/machine.slice/libpod-conmon-{ID}.scope",
        f"0::/system.slice/crio-conmon-{ID}.scope",
        "0::/lxc.monitor.web",
        r"0::/machine.slice/machine-qemu\x2d1\x2dvm.scope",
        f"0::/system.slice/{ID}0.service",
        f"0::/app.slice/{ID[:63]}",
    ],
)
def test_outside_of_containers(cgroup: str) -> None:
    assert container_id(cgroup) is None


@given(st.text())
def test_any_cgroup_text_is_taken(cgroup: str) -> None:
    found = container_id(cgroup)
    assert found is None or found in cgroup


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_held_files_are_counted_and_given_back(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path, files_max=3)
    for pid in range(1, 6):
        tree.write(pid)
    held_before = open_files()
    procfs = tree.open()
    for pid in range(1, 6):
        assert procfs.look(pid)
    assert open_files() == held_before + 3
    procfs.keep([1])
    assert open_files() == held_before + 1
    procfs.close()
    assert open_files() == held_before


def test_a_held_file_of_a_process_that_ended_does_not_show_its_successor() -> None:
    procfs = Procfs(files_max=10)
    child = subprocess.Popen(["sleep", "60"])
    assert procfs.look(child.pid)
    child.kill()
    child.wait()
    assert procfs.look(child.pid) is None
    procfs.close()


holders = st.lists(
    st.builds(Holder, st.integers(1, 4), st.just("GPU-0"), st.integers(0, 2), st.just("compute")),
    max_size=4,
    unique=True,
)
lives = st.dictionaries(
    st.integers(1, 4), st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.sampled_from(("/", "/slice")))
)
limits = st.sampled_from((None, {}, {"/": 1}, {"/": 2}, {"/slice": 1}))


class Limits(MemoryLimitReader):
    """Limits by cgroup alone."""

    def __init__(self, limits: dict[str, int]) -> None:
        super().__init__(Path("/nowhere"), {}, lambda _uuid, _directory: None)
        self._limits = limits

    def of(self, cgroup: str | None, gpu_uuid: str) -> MemoryLimit | None:
        limit = self._limits.get(cgroup or "")
        return None if limit is None else MemoryLimit(kind="dmem", limit_bytes=limit, used_bytes=None)


@settings(max_examples=60)
@given(st.lists(holders, min_size=2, max_size=2), st.lists(st.tuples(st.integers(0, 1), lives, limits), max_size=8))
def test_rows_are_kept_only_while_they_would_be_made_the_same(
    pool: list[list[Holder]], steps: list[tuple[int, dict[int, tuple[str, int, str]], dict[str, int] | None]]
) -> None:
    with TemporaryDirectory() as folder:
        tree = ProcTree(Path(folder), files_max=100)
        procfs, kept = tree.open(), NamedProcesses()
        before = ListedProcesses.of(())
        for place, living, limit in steps:
            for gone in [entry for entry in tree.root.iterdir() if entry.name.isdigit()]:
                tree.end(int(gone.name))
            for pid, (name, start_ticks, cgroup) in living.items():
                tree.write(pid, name=name, start_ticks=start_ticks, cgroup=f"0::{cgroup}")
            reader = None if limit is None else Limits(limit)
            lists = pool[place], pool[1]
            made = kept.rows(lists, procfs, reader)
            anew = tree.open()
            assert made == NamedProcesses().rows(lists, anew, reader)
            assert not share_roster(made, before) or before.with_amounts(made.amounts) == made
            before = made
            anew.close()
            assert kept.rows(lists, procfs, reader) is made or set(pool[place]) & set(pool[1])
        procfs.close()
