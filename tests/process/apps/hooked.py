"""Every hook prints."""

from common import manager

from congress_dse.manager import Service


class Hooked(Service):
    """Replaced at each reload."""


def new_worker(service_id, worker_id, service):
    print("new worker", service_id, worker_id, type(service).__name__, flush=True)


if __name__ == "__main__":
    app = manager()
    app.register_hooks(
        on_terminate=lambda: print("terminate hook", flush=True),
        on_reload=lambda: print("reload hook", flush=True),
        on_new_worker=new_worker,
        on_dead_worker=lambda *args: print("dead worker", *args, flush=True),
    )
    app.add(Hooked)
    app.run()
