"""One master and many spawned workers, under cotyledon's names."""

from congress_dse.manager.base import Service
from congress_dse.manager.service_manager import ServiceManager

__all__ = ["Service", "ServiceManager"]
