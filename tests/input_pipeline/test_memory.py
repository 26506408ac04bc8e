import pytest

from input_pipeline import memory

MEMINFO = "MemTotal: 24684084 kB\nMemFree: 100 kB\nMemAvailable:   8000000 kB\n"


@pytest.fixture
def system(tmp_path):
    """Writes what Linux says: file -> content."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def group(folder, limit, current, inactive):
    return {
        f"{folder}/memory.max": f"{limit}\n",
        f"{folder}/memory.current": f"{current}\n",
        f"{folder}/memory.stat": f"anon 5\ninactive_file {inactive}\n",
    }


def test_without_control_groups_it_is_what_the_machine_has_left(system):
    root = system({"proc/meminfo": MEMINFO})
    assert memory.available_gigabytes(root) == pytest.approx(8.192)


def test_the_tightest_control_group_above_the_process_counts(system):
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/pod/worker\n"}
    files |= group("sys/fs/cgroup/pod/worker", "max", 10**9, 0)
    # 4 GB, of which 3 are taken, 0.5 of them by cached files.
    files |= group("sys/fs/cgroup/pod", 4 * 10**9, 3 * 10**9, 5 * 10**8)
    assert memory.available_gigabytes(system(files)) == pytest.approx(1.5)


def test_a_container_that_sees_its_group_as_the_root_is_limited_too(system):
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/docker/4f5e\n"}
    files |= group("sys/fs/cgroup", 2 * 10**9, 10**9, 0)
    assert memory.available_gigabytes(system(files)) == pytest.approx(1.0)


def test_the_first_kind_of_control_groups_is_read_too(system):
    folder = "sys/fs/cgroup/memory/job"
    root = system(
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "5:devices:/job\n4:memory:/job\n0::/\n",
            f"{folder}/memory.limit_in_bytes": "3000000000\n",
            f"{folder}/memory.usage_in_bytes": "1000000000\n",
            f"{folder}/memory.stat": "inactive_file 1\ntotal_inactive_file 400000000\n",
        }
    )
    assert memory.available_gigabytes(root) == pytest.approx(2.4)


def test_a_group_over_its_limit_leaves_nothing(system):
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"}
    files |= group("sys/fs/cgroup", 10**9, 2 * 10**9, 0)
    assert memory.available_gigabytes(system(files)) == 0


def test_where_the_system_does_not_say_8_gigabytes_are_assumed(tmp_path):
    assert memory.available_gigabytes(tmp_path) == 8


def test_this_machine_has_some_memory_left():
    assert 0 < memory.available_gigabytes() < 1e5
