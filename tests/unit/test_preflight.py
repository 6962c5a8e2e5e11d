"""What does not pickle is named by its path."""

import _thread
import functools
import multiprocessing

import pytest

from congress_dse.exceptions import NotPlain
from congress_dse.manager.preflight import check


class Slotted:
    __slots__ = ("inner",)

    def __init__(self, inner):
        self.inner = inner


class Bag:
    def __init__(self, **things):
        self.__dict__.update(things)

    def method(self):
        """Bound to what it is called on."""


LOCK = _thread.RLock()  # a native one, also where `threading` is patched


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"args": (LOCK,)}, r"args\[0\] is an? R?[Ll]ock"),
        ({"args": ({"a": [1, LOCK]},)}, r"args\[0\]\['a'\]\[1\] is an? R?[Ll]ock"),
        ({"kwargs": {"x": Bag(y=Bag(z=LOCK))}}, r"kwargs\['x'\].y.z is an? R?[Ll]ock"),
        ({"args": (Slotted(LOCK),)}, r"args\[0\].inner is an? R?[Ll]ock"),
        ({"hooks": [functools.partial(print, LOCK)]}, r"hooks\[0\].args\[0\] is an? R?[Ll]ock"),
        ({"hooks": [Bag(z=LOCK).method]}, r"hooks\[0\].__self__.z is an? R?[Ll]ock"),
        ({"service": lambda: None}, r"service is a function"),
        ({"args": (LOCK, lambda: None)}, r"args\[0\] is an? R?[Ll]ock"),
    ],
)
def test_the_path_leads_to_what_cannot_cross(parts, path):
    with pytest.raises(NotPlain, match=f"^svc: {path}, which cannot cross"):
        check("svc", parts)


def test_a_circle_of_attributes_is_walked_once():
    bag = Bag(bad=LOCK)
    bag.me = bag
    with pytest.raises(NotPlain, match=r"args\[0\]\.bad is an? R?[Ll]ock"):
        check("svc", {"args": (bag,)})


def test_plain_data_and_queues_of_the_spawn_kind_pass():
    queue = multiprocessing.get_context("spawn").Queue()
    check("svc", {"args": (1, "x", Bag(deep=[{"a": (1, 2)}]), queue), "service": Bag})
    queue.close()


def test_a_queue_of_the_fork_kind_is_named():
    queue = multiprocessing.get_context("fork").Queue()
    with pytest.raises(NotPlain, match="spawn"):
        check("svc", {"args": (queue,)})
    queue.close()
