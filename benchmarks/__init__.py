"""Benchmarks: the engine beside raw eventlet and Pykka, in one run and one table.

`table` lists what is measured and the goals; `ours`, `green` and `threads` hold the two or three
ways of doing each; `meter` reads the clocks; `child` runs one measurement in a process of its own.
"""
