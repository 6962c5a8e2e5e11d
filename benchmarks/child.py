"""child: one measurement in a process of its own, so that no subject lives among another's litter.

Pykka also needs it: in a process where eventlet has patched the standard library its threads would
be greenthreads. Usage: ``python -m benchmarks.child MODULE FUNCTION MANY``; prints JSON.
"""

import importlib
import json
import os
import subprocess
import sys

from benchmarks.meter import Meter

LIMIT_S = 120


def measured(subject: str, many: int) -> dict[str, float]:
    """Run ``module.function`` in a fresh process; the figures of its meter."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.child",
        *subject.split("."),
        str(many),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise RuntimeError(f"{subject} {many}: exit {done.returncode}: {' '.join(last)}")
    return json.loads(done.stdout)


def main(module: str, function: str, many: str) -> None:
    meter = Meter()
    getattr(importlib.import_module(f"benchmarks.{module}"), function)(int(many), meter)
    print(json.dumps(meter.figures()), flush=True)
    os._exit(0)  # thousands of threads and greenthreads need no farewell


if __name__ == "__main__":
    main(*sys.argv[1:])
