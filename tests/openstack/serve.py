"""Serve one service's API and whatever works behind it, in one process.

It is run by the services' interpreter, not by ours. One thread answers: on SQLite these services
answer concurrent writes with errors. Each request leaves a line in the file ``access``. The
process and its children end with whoever started it, whose end closes the pipe that it reads.
"""

import importlib
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

HOST = "127.0.0.1"
NODE_ID = "0c5b1a5e-9d0f-4a4e-8f6e-4b9a3c1d2e3f"  # of the compute node, in each of its lives
_kept = []


def main() -> None:
    """Arguments: the service, its application's module or nothing, its port."""
    name, application, port = sys.argv[1:]
    threading.Thread(target=end_with_the_starter, daemon=True).start()
    sys.argv = [name]
    try:
        SERVE.get(name, api)(application, int(port))
    finally:
        traceback.print_exc()
        os._exit(1)  # threads that have begun wait for nothing


def end_with_the_starter() -> None:
    """Wait for the end of the pipe, and end this process and those that it started."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)


def api(module: str, port: int) -> None:
    """Serve an application alone."""
    import waitress

    application = importlib.import_module(module).application
    waitress.serve(logged(application), host=HOST, port=port, threads=1, ident=None)


def nova(module: str, port: int) -> None:
    """Serve Nova's API; its conductor, scheduler and compute are threads beside it."""
    import sqlalchemy

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute", retval=True)
    def queue_for_writing(_connection, _cursor, statement, parameters, *_more):
        """Wait for the one lock at the begin; who asks for it later may be refused it."""
        return "BEGIN IMMEDIATE" if statement == "BEGIN" else statement, parameters

    importlib.import_module(module)  # reads the configuration
    import os_vif
    from nova import conf, context, objects, service
    from nova.objects import host_mapping
    from oslo_utils.fixture import uuidsentinel

    # A compute node whose id is new in its second life refuses to start, and the fake
    # hypervisor makes one in each.
    setattr(uuidsentinel, f"node_{conf.CONF.host}", NODE_ID)
    Path("compute_id").write_text(NODE_ID)
    os_vif.initialize()
    for topic in ("conductor", "scheduler", "compute"):
        worker = service.Service.create(binary=f"nova-{topic}", topic=topic)
        worker.start()
        _kept.append(worker)
    objects.Service.enable_min_version_cache()
    host_mapping.discover_hosts(context.get_admin_context())
    api(module, port)


def cinder(module: str, port: int) -> None:
    """Serve Cinder's API; its volume service and scheduler are greenthreads beside it."""
    sys.argv += ["--config-file", "cinder.conf"]
    from cinder import monkey_patch

    monkey_patch.patch()
    import eventlet
    import eventlet.wsgi

    application = importlib.import_module(module).application
    from cinder import service

    for more in (
        {
            "binary": "cinder-volume",
            "topic": "cinder-volume",
            "host": "volumes1@fake",
            "service_name": "fake",
            "coordination": True,
        },
        {"binary": "cinder-scheduler"},
    ):
        worker = service.Service.create(**more)
        worker.start()
        _kept.append(worker)
    listening = eventlet.listen((HOST, port))
    eventlet.wsgi.server(listening, logged(application), log_output=False)


def ironic(_module: str, _port: int) -> None:
    """Serve Ironic's API and conductor, as its own command does; the port is configured."""
    from ironic.command import singleprocess

    sys.argv += ["--config-file", "ironic.conf"]
    singleprocess.main()


def logged(application):
    """`application`, with a line of each request in the file ``access``."""
    access = open("access", "a", buffering=1)  # noqa: SIM115 - as long as the process

    def log(environ, start_response):
        access.write(f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}\n")
        return application(environ, start_response)

    return log


SERVE = {"nova": nova, "cinder": cinder, "ironic": ironic}

if __name__ == "__main__":
    main()
