"""The machine's tables, read by several sources of one process at the same moment."""

from congress_dse.datasources import host_driver
from congress_dse.runtime import chosen as runtime

ROUNDS = 15


def test_several_native_threads_may_list_processes_at_once():
    """psutil's objects are shared by all, and their locks are of greenthreads, not of threads."""
    found = []

    def read():
        found.extend(runtime.in_thread(host_driver.processes) for _ in range(ROUNDS))

    readers = [runtime.spawn(read) for _ in range(6)]
    for reader in readers:
        reader.wait()
    assert len(found) == ROUNDS * len(readers)
    assert all(found)
