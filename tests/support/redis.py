"""A Redis of a test's own; it forgets everything when it is killed."""

from tests.support.daemon import Daemon, running


class RedisServer(Daemon):
    program = "redis-server"
    always = True
    asked, answered = b"PING\r\n", b"+PONG"

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]


def redis_server(folder):
    """A Redis that runs; where there is none to be had the test skips, and fails under CI."""
    return running(RedisServer(folder))
