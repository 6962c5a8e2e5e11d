"""A typical cotyledon application, with only its imports changed.

After "Oslo.service migration examples"; what the document leaves open (`do_...`) prints here.
"""

import multiprocessing
import os

from oslo_config import cfg

from congress_dse.manager import Service, ServiceManager, oslo_config_glue


def do(what, *details):
    print(" ".join(map(str, (what, *details, "in", os.getpid()))) + "\n", end="", flush=True)


class MyService(Service):
    name = "MyService fancy name that will showup in 'ps xaf'"

    # Everything in this object is called in a worker.
    def __init__(self, worker_id, conf, queue):
        do("service built", worker_id)
        self.conf = conf
        self.queue = queue

    def run(self):
        # Optional method to run the child mainloop or whatever
        task = self.queue.get()
        do("child process start", task)

    def terminate(self):
        do("child process stop")

    def reload(self):
        # Done at a reload, after the worker has read its configuration files again.
        do("child reload", self.conf.other_workers)


class MyOtherService(Service):
    name = "Second Service"


class MyThirdService(Service):
    pass


class MyServiceManager(ServiceManager):
    def __init__(self, conf):
        super().__init__(control=os.environ.get("APP_CONTROL", ""))
        self.conf = conf
        oslo_config_glue.setup(self, self.conf, reload_method="reload")
        self.queue = multiprocessing.Queue()
        for number in range(100):
            self.queue.put(f"task {number}")

        # The queue is passed to the workers explicitly.
        self.add(MyService, workers=2, args=(self.conf, self.queue))
        self.other_id = self.add(MyOtherService, workers=conf.other_workers)
        self.add(MyThirdService, workers=2)

    def run(self):
        do("master process start")
        super().run()
        do("master process stop")

    def reload(self):
        # The configuration files have been read again already.
        do("master process reload")

        # Changes the number of workers of MyOtherService.
        self.reconfigure(self.other_id, workers=self.conf.other_workers)


def main():
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.IntOpt("other_workers", default=1, mutable=True)])
    conf()
    MyServiceManager(conf).run()


if __name__ == "__main__":
    main()
