"""Imported by masters: reports at their end whether eventlet came in."""

import atexit
import multiprocessing
import sys

if multiprocessing.parent_process() is None:
    atexit.register(lambda: print("master has eventlet:", "eventlet" in sys.modules, flush=True))
