"""routeTable: which destinations a dotted key reaches.

The words are those of AMQP 0-9-1 (section 3.1.3.3, topic exchange): a key is words joined by dots,
in a pattern ``*`` stands for exactly one word and ``#`` for zero or more. Read as RabbitMQ reads
it: the empty key has no words, and a word may be empty (``a..b`` has three).

A binding is counted: what was added twice is removed by the second removal. A lookup walks a trie,
so its cost follows the words of the key and not the number of bindings; answers are kept per key
until a binding that could change them does.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from congress_dse import exceptions

KEY_MAX_B = 255  # a short string on the wire (AMQP 0-9-1, 4.2.5.3)
CACHE_MAX = 50_000  # answers kept; past this they are forgotten together


def words(key: Any) -> list[str]:
    """Split `key`; raises InvalidKey for what is not text or does not fit AMQP's short string."""
    if not isinstance(key, str):
        raise exceptions.InvalidKey(f"routing key {key!r} is {type(key).__name__}, not text")
    if len(key) * 4 > KEY_MAX_B and len(key.encode()) > KEY_MAX_B:
        size_b = len(key.encode())
        raise exceptions.InvalidKey(
            f"routing key {key[:40]!r}... has {size_b} bytes, the limit is {KEY_MAX_B}"
        )
    return key.split(".") if key else []


class _Node:
    __slots__ = ("children", "destinations")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.destinations: dict[Hashable, int] = {}


class routeTable:
    """Bindings of patterns to destinations; a destination is any hashable object."""

    def __init__(self) -> None:
        self._root = _Node()
        self._cache: dict[str, tuple[Any, ...]] = {}
        self._bindings = 0

    def __len__(self) -> int:
        return self._bindings

    def add(self, pattern: str | Iterable[str], destination: Hashable) -> None:
        """Bind a pattern, or each of several; all are checked before the first is bound."""
        for text, path in self._paths(pattern):
            node = self._root
            for word in path:
                child = node.children.get(word)
                if child is None:
                    child = node.children[word] = _Node()
                node = child
            node.destinations[destination] = node.destinations.get(destination, 0) + 1
            self._bindings += 1
            self._forget(text, path)

    def remove(self, pattern: str | Iterable[str], destination: Hashable) -> None:
        """Take one binding of each pattern back; what is not bound is left alone."""
        for text, path in self._paths(pattern):
            if self._unbind(self._root, path, 0, destination):
                self._bindings -= 1
                self._forget(text, path)

    def lookup(self, key: str) -> set[Any]:
        """Every destination that `key` reaches, each once; the set is the caller's own."""
        return set(self.routes(key))

    def routes(self, key: str) -> tuple[Any, ...]:
        """The same as a tuple that is kept for the next lookup of `key`."""
        try:
            found = self._cache.get(key)
        except TypeError:  # what cannot be hashed is no text either
            found = None
        if found is None:
            found = tuple(dict.fromkeys(self._walk(words(key))))
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            self._cache[key] = found
        return found

    def statistics(self) -> dict[str, int]:
        """Counts of bindings and of kept answers."""
        return {"bindings": self._bindings, "cached": len(self._cache)}

    @staticmethod
    def _paths(pattern: str | Iterable[str]) -> list[tuple[str, list[str]]]:
        many = [pattern] if isinstance(pattern, str) else list(pattern)
        return [(text, words(text)) for text in many]

    def _forget(self, text: str, path: list[str]) -> None:
        if "*" in path or "#" in path:
            self._cache.clear()
        else:
            self._cache.pop(text, None)

    def _unbind(self, node: _Node, path: list[str], at: int, destination: Hashable) -> bool:
        if at == len(path):
            count = node.destinations.get(destination, 0)
            if count > 1:
                node.destinations[destination] = count - 1
            else:
                node.destinations.pop(destination, None)
            return count > 0
        child = node.children.get(path[at])
        if child is None:
            return False
        done = self._unbind(child, path, at + 1, destination)
        if done and not child.children and not child.destinations:
            del node.children[path[at]]
        return done

    def _walk(self, path: list[str]) -> Iterator[Hashable]:
        """Follow every reading of the pattern at once: the nodes reached after each word."""
        reached = _with_hashes({id(self._root): (self._root, False)})
        for word in path:
            after: dict[int, tuple[_Node, bool]] = {}
            for node, loops in reached.values():
                if loops:  # a `#` swallows this word and stays
                    after[id(node)] = (node, True)
                for name in (word, "*"):
                    child = node.children.get(name)
                    # A key may hold the characters `#` and `*` as plain words; a pattern's are
                    # wild.
                    if child is not None and name != "#" and id(child) not in after:
                        after[id(child)] = (child, False)
            reached = _with_hashes(after)
        for node, _ in reached.values():
            yield from node.destinations


def _with_hashes(reached: dict[int, tuple[_Node, bool]]) -> dict[int, tuple[_Node, bool]]:
    """Add the `#` children, which match here with zero words, and theirs in turn."""
    todo = list(reached.values())
    while todo:
        node, _ = todo.pop()
        child = node.children.get("#")
        if child is not None and id(child) not in reached:
            reached[id(child)] = (child, True)
            todo.append((child, True))
    return reached
