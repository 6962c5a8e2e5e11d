"""Between greenlets and coroutines, in every runtime, under the names of aioeventlet.

`yield_future` waits, in a greenlet, for a future or coroutine; `wrap_greenthread` makes a future of
a greenthread; `beside` lets a coroutine await a call that waits as greenthreads do; `loop` is the
loop on which coroutines run.
"""

from congress_dse.runtime.chosen import beside, from_thread, loop, wrap_greenthread, yield_future

__all__ = ["beside", "from_thread", "loop", "wrap_greenthread", "yield_future"]
