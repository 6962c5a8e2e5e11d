"""A typical oslo.service application, with only its imports changed.

After "Oslo.service migration examples"; what the document leaves open (`do_...`) prints here.
"""

import multiprocessing
import os

from oslo_config import cfg

from congress_dse import service


def do(what, *details):
    print(" ".join(map(str, (what, *details, "in", os.getpid()))) + "\n", end="", flush=True)


class MyService(service.Service):
    def __init__(self, conf):
        # Called in the master; the object's state crosses to the workers.
        self.conf = conf
        self.master_pid = os.getpid()

        self.queue = multiprocessing.Queue()

    def start(self):
        # Called in each worker.
        if self.master_pid == os.getpid():
            do("master process start")
        else:
            task = self.queue.get()
            do("child process start", task)

    def stop(self):
        if self.master_pid == os.getpid():
            do("master process stop")
        else:
            do("child process stop")

    def restart(self):
        # Called at a reload, with restart_method 'mutate'; with 'reload' workers are replaced.
        if self.master_pid == os.getpid():
            do("master process reload")
        else:
            do("child process reload")


class MyOtherService(service.Service):
    pass


class MyThirdService(service.Service):
    def reset(self):
        do("third service reset")


def main():
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.IntOpt("other_workers", default=1, mutable=True)])
    conf()
    my_service = MyService(conf)
    for number in range(100):
        my_service.queue.put(f"task {number}")
    launcher = service.launch(conf, my_service, workers=2, restart_method="reload")
    launcher.launch_service(MyOtherService(), workers=conf.other_workers)

    # Two launchers share the one master of their process, which runs in the first wait().
    launcher2 = service.launch(conf, MyThirdService(), workers=2, restart_method="mutate")

    launcher.wait()
    launcher2.wait()


if __name__ == "__main__":
    main()
