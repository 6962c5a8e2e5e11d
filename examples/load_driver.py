import os

from congress_dse.datasources.datasource_driver import PollingDataSourceDriver


class LoadDriver(PollingDataSourceDriver):
    SCHEMA = {"load": ("minutes", "average")}

    def update_from_datasource(self):
        self.state["load"] = set(zip((1, 5, 15), os.getloadavg()))


def d6service(name, keys, inbox, datapath, args):
    return LoadDriver(name, keys, inbox, datapath, args)
