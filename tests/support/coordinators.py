"""An etcd and a ZooKeeper of a test's own; each keeps what it has when it is killed."""

from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running
from tests.support.ports import free_ports

JAR = Path("/usr/share/java/zookeeper.jar")  # where Debian puts it


class Etcd(Daemon):
    program = "etcd"
    asked, answered = b"GET /health HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"

    def __init__(self, folder):
        super().__init__(folder)
        self.peer = free_ports(1)[0]

    @property
    def url(self):
        return f"etcd3+http://127.0.0.1:{self.port}"

    def command(self):
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer}"
        given = {
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
        }
        return ["etcd", *(f"--{name}={value}" for name, value in given.items())]


class ZooKeeper(Daemon):
    program = "java"
    asked, answered = b"ruok", b"imok"

    @property
    def url(self):
        return f"zookeeper://127.0.0.1:{self.port}"

    def command(self):
        conf = self.folder / "zoo.cfg"
        conf.write_text(
            f"dataDir={self.folder}/zookeeper\nclientPort={self.port}\n"
            "clientPortAddress=127.0.0.1\ntickTime=500\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=ruok\n"
        )
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        jvm = ["-Xmx128m", "-Dzookeeper.jmx.log4j.disable=true", "-cp", str(JAR)]
        return ["java", *jvm, main, str(conf)]


def etcd(folder):
    """An etcd that runs; where it, or its client, is not installed the test skips."""
    pytest.importorskip("etcd3gw", reason="no tooz[etcd3gw]")
    return running(Etcd(folder))


def zookeeper(folder):
    """A ZooKeeper that runs; where it, or its client, is not installed the test skips."""
    pytest.importorskip("kazoo", reason="no tooz[zookeeper]")
    if not JAR.exists():
        pytest.skip("no zookeeper")
    return running(ZooKeeper(folder))
