"""Process managers side by side: start, replacement, stop, memory and idle wake-ups of a master.

``python -m benchmarks.processes`` runs the same service, four workers that do nothing, under
congress_dse, cotyledon (fork, and spawn) and oslo.service, one after the other, and prints a table.
What is not installed (extra ``bench``), or does not bring back a killed worker, is named and left
out. Times are medians of ``--rounds`` rounds.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psutil

WORKERS = 4
KILLS = 5
IDLE_S = 10.0
PROGRAMS = {
    "congress_dse": """
from congress_dse.manager import Service, ServiceManager
class Idle(Service):
    def run(self): announce()
if __name__ == "__main__":
    manager = ServiceManager()
    manager.add(Idle, workers=4)
    manager.run()
""",
    "congress_dse green": """
from congress_dse.manager import Service, ServiceManager
class Idle(Service):
    runtime = "green"
    def run(self): announce()
if __name__ == "__main__":
    manager = ServiceManager()
    manager.add(Idle, workers=4)
    manager.run()
""",
    "cotyledon fork": """
import cotyledon
class Idle(cotyledon.Service):
    def run(self): announce()
if __name__ == "__main__":
    manager = cotyledon.ServiceManager()
    manager.add(Idle, workers=4)
    manager.run()
""",
    "cotyledon spawn": """
import multiprocessing
import cotyledon
class Idle(cotyledon.Service):
    def run(self): announce()
if __name__ == "__main__":
    manager = cotyledon.ServiceManager(mp_context=multiprocessing.get_context("spawn"))
    manager.add(Idle, workers=4)
    manager.run()
""",
    "oslo.service": """
from oslo_config import cfg
from oslo_service import service
class Idle(service.Service):
    def start(self): announce()
if __name__ == "__main__":
    conf = cfg.ConfigOpts()
    conf([])
    service.launch(conf, Idle(), workers=4).wait()
""",
}
ANNOUNCE = """
import os
def announce():
    os.write(1, b"up %d\\n" % os.getpid())
"""


class Run:
    """One master under measurement."""

    def __init__(self, program, directory):
        path = Path(directory) / "program.py"
        path.write_text(ANNOUNCE + program)
        root = str(Path(__file__).resolve().parent.parent)
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": root},
            start_new_session=True,
        )
        self.up = []
        self.came = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            found = re.match(rb"up (\d+)", line)
            if found:
                with self.came:
                    self.up.append((int(found[1]), time.monotonic()))
                    self.came.notify_all()

    def wait_up(self, count, timeout_s=30.0):
        with self.came:
            if not self.came.wait_for(lambda: len(self.up) >= count, timeout_s):
                raise TimeoutError(f"{len(self.up)} of {count} workers after {timeout_s} s")
            return self.up[count - 1][1]

    def measure(self):
        figures = {"start of 4 (s)": self.wait_up(WORKERS) - self.begin}
        took = []
        for n in range(KILLS):
            victim = self.up[-1][0]
            begin = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            took.append(self.wait_up(WORKERS + n + 1) - begin)
        figures["replacement, median (s)"] = statistics.median(took)
        figures["replacement, worst of 5 (s)"] = max(took)
        master = psutil.Process(self.process.pid)
        figures["memory of the master (MB)"] = master.memory_info().rss / 1e6
        figures["memory, unshared (MB)"] = master.memory_full_info().uss / 1e6
        before = switches(self.process.pid)
        threading.Event().wait(IDLE_S)
        figures["wake-ups of an idle master (1/s)"] = (switches(self.process.pid) - before) / IDLE_S
        begin = time.monotonic()
        self.process.terminate()
        self.process.wait(30)
        figures["stop (s)"] = time.monotonic() - begin
        return figures


def switches(pid):
    """Voluntary context switches of all threads of a process: each wait that ended is one."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)[1])
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    results = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            if name in results:
                try:
                    results[name].append(measured(program))
                except (ImportError, TimeoutError) as error:
                    print(f"{name} is left out: {error}")
                    del results[name]
    show(results)


def measured(program):
    module = re.search(r"^(?:import|from) (cotyledon|oslo_service)\b", program, re.MULTILINE)
    if module and find_spec(module[1]) is None:
        raise ImportError(f"{module[1]} is not installed")
    with tempfile.TemporaryDirectory() as directory:
        run = Run(program, directory)
        try:
            return run.measure()
        finally:
            if run.process.poll() is None:
                run.process.kill()
            run.process.wait()


def show(results):
    ours = "congress_dse"
    medians = {
        name: {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        for name, runs in results.items()
    }
    print(f"{'':34}" + "".join(f"{name:>20}" for name in medians))
    for key, own in medians[ours].items():
        cells = []
        for name in medians:
            value = medians[name][key]
            ratio = f" ({value / own:.1f}x)" if own > 0 and name != ours else ""
            cells.append(f"{value:.3f}{ratio}".rjust(20))
        print(f"{key:34}" + "".join(cells))


if __name__ == "__main__":
    main()
