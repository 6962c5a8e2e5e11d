"""The bases of every driver, where Congress's drivers look for them.

A driver derives from `PollingDataSourceDriver` where the engine reads the source, from
`PushedDataSourceDriver` where the source writes to the engine.
"""

from congress_dse.datasources.polled import PollingDataSourceDriver
from congress_dse.datasources.pushed import PushedDataSourceDriver
from congress_dse.datasources.source import ALL, STALE, DataSourceDriver

__all__ = [
    "ALL",
    "STALE",
    "DataSourceDriver",
    "PollingDataSourceDriver",
    "PushedDataSourceDriver",
]
