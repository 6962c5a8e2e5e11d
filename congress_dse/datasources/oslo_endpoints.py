"""oslo.messaging in every runtime, and coroutine functions as methods of its endpoints.

oslo.messaging looks at eventlet when it is imported, unless oslo.service has been told before to
use threads; `messaging` sees to that. Its dispatcher calls endpoints from threads of its executor
and knows no coroutines: `plain` makes an endpoint of plain methods, each of which has the coroutine
awaited on the loop of this process and waits, in its thread, for what comes of it. As many calls
run at a time as the executor has threads.

`rpc_server` and `notification_listener` make servers of such endpoints. Told how many calls may run
`at_once`, they give each call a task instead of a thread, and keep threads for what blocks: words
with the broker, and plain methods. Filters, REQUEUE and acknowledgements stay oslo's own.
"""

import asyncio
import functools
import inspect
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from congress_dse.exceptions import EngineError, SourceError
from congress_dse.runtime import chosen as runtime

NO_METHODS = ("target", "filter_rule")  # attributes of an endpoint; a target can be called
WORDS = 8  # threads in which a server of tasks acknowledges and replies


def messaging() -> Any:
    """The package oslo_messaging; in mixed and asyncio it is kept from eventlet."""
    if not runtime.PATCHED:
        backend = import_module("oslo_service.backend")
        try:
            backend.init_backend(backend.BackendType.THREADING)
        except Exception as error:
            raise SourceError(
                f"oslo.messaging without eventlet needs oslo.service's threads: {error}; is the "
                "extra there (pip install 'oslo.service[threading]'), and was oslo.messaging "
                "imported before?"
            ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what it says of its own imports
        return import_module("oslo_messaging")


def rpc_server(
    transport: Any, target: Any, endpoints: list[Any], at_once: int = 0, **named: Any
) -> Any:
    """A server of remote calls; methods of its endpoints may be coroutine functions.

    With `at_once` 0 each call has a thread of the executor; with a number each has a task, and so
    many run at a time. `named` is for oslo.messaging's ``get_rpc_server``.
    """
    oslo = messaging()
    if not at_once:
        plains = [plain(endpoint) for endpoint in endpoints]
        return oslo.get_rpc_server(transport, target, plains, executor="threading", **named)
    tasks = Tasks(at_once)
    plains = [plain(endpoint, tasks.call) for endpoint in endpoints]
    base = named.pop("server_cls", None) or import_module(f"{oslo.__name__}.rpc.server").RPCServer
    named["server_cls"] = functools.partial(_in_tasks(base), tasks)
    return oslo.get_rpc_server(transport, target, plains, executor="threading", **named)


def notification_listener(
    transport: Any,
    targets: list[Any],
    endpoints: list[Any],
    at_once: int = 0,
    serializer: Any = None,
    **named: Any,
) -> Any:
    """A listener to notifications; as `rpc_server`. The order is kept with ``at_once=1``.

    `named` is for oslo.messaging's ``get_notification_listener``: ``allow_requeue``, ``pool``.
    """
    if not at_once:
        return messaging().get_notification_listener(
            transport,
            targets,
            [plain(endpoint) for endpoint in endpoints],
            executor="threading",
            serializer=serializer,
            **named,
        )
    tasks = Tasks(at_once)
    oslo = import_module(f"{messaging().__name__}.notify.listener")
    dispatcher = oslo.notify_dispatcher.NotificationDispatcher(
        [plain(endpoint, tasks.call) for endpoint in endpoints], serializer
    )
    named.setdefault("allow_requeue", False)
    return _in_tasks(oslo.NotificationServer)(
        tasks, transport, targets, dispatcher, executor="threading", **named
    )


class plain:  # noqa: N801 - it stands for the endpoint that it is given
    """An endpoint as the dispatcher wants it: its coroutine methods are waited for.

    `beside` makes the call of a method that is no coroutine function, for who must not block.
    """

    def __init__(self, endpoint: Any, beside: Callable[..., Any] | None = None) -> None:
        self._endpoint = endpoint
        self._beside = beside

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._endpoint, name)
        if name in NO_METHODS or not callable(found):
            return found
        if self._beside is None or inspect.iscoroutinefunction(found):
            return _waiting(found, found)
        return _waiting(found, functools.partial(self._beside, found))

    def __dir__(self) -> list[str]:
        return dir(self._endpoint)


def expected_exceptions(*kinds: type[Exception]) -> Callable[[Any], Any]:
    """As oslo.messaging's decorator of this name, which catches nothing of a coroutine function."""

    def decorate(method: Any) -> Any:
        @functools.wraps(method)
        async def called(*args: Any, **named: Any) -> Any:
            try:
                return await method(*args, **named)
            except kinds as error:
                raise messaging().ExpectedException() from error

        return called

    return decorate


class Tasks:
    """What a server takes for its executor: each call in a task, `at_once` at most.

    A call that comes when so many run waits for its turn; it never holds up the thread that reads
    from the broker, since that thread also writes the acknowledgements.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running = 0
        self._queue: deque[tuple[Any, ...]] = deque()
        self._ended: Any = None
        self._calls: ThreadPoolExecutor
        self._words: ThreadPoolExecutor

    def __call__(self, max_workers: int) -> "Tasks":
        """Begin; as the class of an executor is called when a server starts."""
        self._ended = None
        self._calls = ThreadPoolExecutor(max_workers, thread_name_prefix="endpoint")
        self._words = ThreadPoolExecutor(WORDS, thread_name_prefix="acknowledge")
        return self

    def submit(self, call: Callable[..., Any], *args: Any) -> None:
        """Have a call made; called in the thread that reads from the broker."""
        _in_hub(self._take, call, *args)

    def shutdown(self, wait: bool = True) -> None:
        """End when all calls have ended."""
        ended = runtime.Waiter()
        _in_hub(self._end, ended)
        if wait:
            ended.wait()

    def call(self, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Make a call that may block, and wait for it in the present task."""
        return _beside(self._calls, call, *args, **named)

    def word(self, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """The same for a word with the broker, which waits for no method of an endpoint."""
        return _beside(self._words, call, *args, **named)

    def beat(self, call: Callable[..., Any]) -> None:
        """A word that nobody waits for: whoever sends it is waited for by the hub."""
        if runtime.PATCHED:
            call()
        else:
            self._words.submit(call)

    def _take(self, *call: Any) -> None:
        if self._running >= self._at_once:
            self._queue.append(call)
        else:
            self._running += 1
            runtime.spawn(self._work, *call)

    def _work(self, call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        finally:
            self._running -= 1
            if self._queue:
                self._take(*self._queue.popleft())
            self._look()

    def _end(self, ended: Any) -> None:
        self._ended = ended
        self._look()

    def _look(self) -> None:
        if self._ended is not None and not self._running:
            self._calls.shutdown(wait=False)
            self._words.shutdown(wait=False)
            self._ended.send()


class _Incoming:
    """A message whose words with the broker block nobody else."""

    def __init__(self, incoming: Any, tasks: Tasks) -> None:
        self._incoming = incoming
        self._tasks = tasks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._incoming, name)

    def acknowledge(self) -> None:
        self._tasks.word(self._incoming.acknowledge)

    def requeue(self) -> None:
        self._tasks.word(self._incoming.requeue)

    def reply(self, *args: Any, **named: Any) -> None:
        self._tasks.word(self._incoming.reply, *args, **named)

    def heartbeat(self) -> None:
        self._tasks.beat(self._incoming.heartbeat)


@functools.cache
def _in_tasks(base: Any) -> Any:
    """A class of servers whose calls are tasks."""

    class Server(base):  # type: ignore[misc]
        """Start, stop and wait stay its base's, which orders them by their names."""

        def __init__(self, tasks: Tasks, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self._executor_cls = self._executor_of_tasks = tasks

        def _process_incoming(self, incoming: list[Any]) -> None:
            tasks = self._executor_of_tasks
            super()._process_incoming([_Incoming(each, tasks) for each in incoming])

    return Server


def _in_hub(call: Callable[..., Any], *args: Any) -> None:
    if runtime.foreign():
        runtime.from_thread(call, *args)
    else:
        call(*args)


def _beside(pool: ThreadPoolExecutor, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    if runtime.PATCHED:
        return call(*args, **named)
    made = pool.submit(call, *args, **named)
    return runtime.finish(asyncio.wrap_future(made, loop=runtime.loop()))


def _waiting(method: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """A plain method for `method`, of which `call` begins it; what awaits inside is looked at."""

    @functools.wraps(method)
    def called(*args: Any, **named: Any) -> Any:
        try:
            return runtime.finish(call(*args, **named))
        except SystemExit as error:  # oslo.messaging would not answer
            raise EngineError(f"{method.__name__}: SystemExit: {error}") from error

    return called
