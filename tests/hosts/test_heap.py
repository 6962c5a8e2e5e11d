"""What a worker has from its start on: not searched for garbage, and still told of."""

import gc

from congress_dse.runtime import chosen as runtime, heap


def waiting(waiter):
    """What waits for it, among all greenlets."""
    return [g for g in heap.greenlets() if g.gr_frame is not None and waiter._who is g]


def test_greenlets_of_before_and_after_are_told_of():
    threshold, early, late = gc.get_threshold(), runtime.Waiter(), runtime.Waiter()
    threads = [runtime.spawn(early.wait)]
    runtime.sleep(0)
    runtime.sleep(0)
    try:
        heap.settle()
        assert gc.get_freeze_count() > 1000
        threads.append(runtime.spawn(late.wait))
        runtime.sleep(0)
        runtime.sleep(0)
        assert len(waiting(early)) == len(waiting(late)) == 1
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
        for thread in threads:
            thread.kill()
