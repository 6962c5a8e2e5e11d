"""A source that writes down who runs it, and when: a line for each poll."""

import os
import secrets
import time

from oslo_config import cfg

from congress_dse.datasources.datasource_driver import PollingDataSourceDriver


class OwnerDriver(PollingDataSourceDriver):
    """Its one table says who polls it."""

    SCHEMA = {"owner": ("who", "polls")}
    OPTIONS = [cfg.StrOpt("book", required=True), cfg.StrOpt("who", required=True)]
    polls = 0
    life = ""

    def update_from_datasource(self):
        self.polls += 1
        self.life = self.life or f"{self.args['who']}/{os.getpid()}/{secrets.token_hex(4)}"
        with open(self.args["book"], "a") as book:
            book.write(f"{time.monotonic():.6f} {self.name} {self.life}\n")
        self.state["owner"] = {(self.args["who"], self.polls)}


def d6service(name, keys, inbox, datapath, args):
    return OwnerDriver(name, keys, inbox, datapath, args)
