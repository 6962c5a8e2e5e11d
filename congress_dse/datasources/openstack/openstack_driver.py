"""OpenStackDriver: the base of the drivers of OpenStack's services.

A driver says which lists fill its root tables and how; its tables are read one after the other,
and each that fails is stale, alone. Its actions are the methods of openstacksdk's client of the
service, and Congress's names for some of them.
"""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import openstack.connection
import openstack.exceptions
import openstack.proxy
import openstack.resource

from congress_dse import exceptions
from congress_dse.d6message import d6msg
from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.datasources.execution_driver import Arguments, ExecutionDriver
from congress_dse.datasources.openstack import access
from congress_dse.datasources.openstack.listing import Listing, objects, pages
from congress_dse.runtime import chosen as runtime


class OpenStackDriver(ExecutionDriver, PollingDataSourceDriver):
    """The tables and actions of one service of a cloud."""

    OPTIONS: ClassVar[list[Any]] = access.OPTIONS
    SERVICE: ClassVar[str] = ""  # its name in openstacksdk
    LISTINGS: ClassVar[dict[str, Listing]] = {}  # of each root table
    ACTIONS: ClassVar[dict[str, str]] = {}  # Congress's names to those of openstacksdk

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access = access.Access(self.args)
        self._wanted_fields = {
            str(each["table-name"]): tuple(
                dict.fromkeys(str(f["fieldname"]) for f in each["field-translators"])
            )
            for each in self.TRANSLATORS
        }
        methods = client_methods(self.SERVICE)
        for action in sorted({*methods, *self.ACTIONS}):
            method = methods[self.ACTIONS.get(action, action)]
            self.add_executable_method(action, arguments(method), about(method))

    @classmethod
    def check(cls, args: dict[str, Any]) -> list[tuple[str, str]]:
        """(option, what is wrong with it) of what can be seen without asking the cloud."""
        return access.faults(args)

    def update_from_datasource(self) -> None:
        wanted = [root for root in self.LISTINGS if self.wanted(root)]
        if not wanted:
            return
        try:
            service = self._service()
            for root in wanted:
                with self.reading(*self.translators.tables(root)):
                    self.update_state(root, self._read(service, root))
        except BaseException:
            self.access.close()
            raise
        if self._to_reconnect():
            self.access.close()

    def cleanup(self) -> None:
        super().cleanup()
        self.access.close()

    def reqhandler(self, msg: d6msg) -> None:
        ExecutionDriver.reqhandler(self, msg)

    def execute(self, action: str, action_args: Arguments) -> Any:
        """Do `action`: a method of this driver, or of the service's client; returns plain data."""
        self.check_executable(action)
        own = getattr(type(self), action, None)
        if own is not None:
            return plain(self._execute_api(self, action, action_args))
        with access.told(action):
            service = self._service()
            return plain(self._execute_api(service, self.ACTIONS.get(action, action), action_args))

    def _service(self) -> Any:
        try:
            return self.access.service(self.SERVICE)
        finally:
            self._secrets += [s for s in self.access.secrets if s not in self._secrets]

    def _read(self, service: Any, root: str) -> list[dict[str, Any]]:
        """Every object of a root table's list, with the wanted fields alone."""
        listing, wanted = self.LISTINGS[root], self._wanted_fields[root]
        first = listing.first(wanted, self.args["page_size"], self.args["all_projects"])
        found: list[dict[str, Any]] = []
        asked = pages(listing, first)
        query = next(asked, None)
        while query is not None:
            answer = self._get(service, listing, query)
            found += objects(listing, answer, wanted)
            try:
                query = asked.send(answer)
            except StopIteration:
                query = None
            runtime.sleep()  # a page takes a while to parse; others have their turn
        return found

    @staticmethod
    def _get(service: Any, listing: Listing, query: Mapping[str, Any]) -> Any:
        with access.told(f"GET {listing.path}"):
            answer = service.get(listing.path, params=query, microversion=listing.microversion)
            openstack.exceptions.raise_from_response(answer)
            return answer.json()

    def _to_reconnect(self) -> bool:
        """Whether something failed that a new connection may cure, which a refusal is not."""
        causes = [e.__cause__ for e in self._outcomes if e is not None]
        return any(not isinstance(c, openstack.exceptions.ForbiddenException) for c in causes)


def client_methods(service: str) -> dict[str, Any]:
    """The public methods of openstacksdk's newest client of a service, by name."""
    versions = getattr(openstack.connection.Connection, service).supported_versions
    client = versions[max(versions, key=int)]
    own = set(dir(client)) - set(dir(openstack.proxy.Proxy))
    return {
        name: method
        for name, method in inspect.getmembers(client, inspect.isfunction)
        if name in own and not name.startswith("_")
    }


def arguments(method: Any) -> list[dict[str, str]]:
    """The arguments of an action, in the form of Congress's API."""
    names = [name for name in inspect.signature(method).parameters if name != "self"]
    return [{"name": name, "description": "None"} for name in names]


def about(method: Any) -> str:
    """What an action does: the first line of its documentation."""
    return (inspect.getdoc(method) or "").partition("\n")[0]


def plain(result: Any) -> Any:
    """What an action returned as plain data: openstacksdk's objects as dicts."""
    if result is None or isinstance(result, (str, int, float)):
        return result
    if isinstance(result, openstack.resource.Resource):
        return plain(result.to_dict(computed=False))
    if isinstance(result, Mapping):
        return {str(key): plain(value) for key, value in result.items()}
    if inspect.isgenerator(result) or isinstance(result, (list, tuple, set)):
        return [plain(each) for each in result]
    return str(result)


def pairs(cells: tuple[Any, ...]) -> dict[str, str]:
    """Alternating names and values, as a policy's arguments give them; raises RequestFailed."""
    if len(cells) % 2:
        raise exceptions.RequestFailed(f"{cells[-1]!r} has no value: give names and values in turn")
    return {str(key): str(value) for key, value in zip(cells[::2], cells[1::2], strict=True)}
