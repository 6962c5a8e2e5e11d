"""Access to a cloud: its options, and a connection that is made when needed and made anew.

An expired token is renewed by the connection itself. After a failure it is dropped, since it may
hold a catalog that lacks a service or has it at an old place.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keystoneauth1.exceptions
import openstack
import openstack.config
import openstack.exceptions
import requests.exceptions
from oslo_config import cfg

from congress_dse import exceptions

OPTIONS = [
    cfg.StrOpt("cloud", help="Name of a cloud in clouds.yaml, in place of auth_url and the rest."),
    cfg.StrOpt(
        "clouds_file",
        help="Path of clouds.yaml; by default the places where OpenStack's clients look.",
    ),
    cfg.StrOpt("auth_url", help="URL of Keystone, as in http://keystone.example.org:5000/v3."),
    cfg.StrOpt("username", help="User who reads the cloud."),
    cfg.StrOpt("password", secret=True, help="Password of the user."),
    cfg.StrOpt("project_name", help="Project of the user."),
    cfg.StrOpt("user_domain_name", default="Default", help="Domain of the user."),
    cfg.StrOpt("project_domain_name", default="Default", help="Domain of the project."),
    cfg.StrOpt(
        "system_scope",
        choices=["all"],
        help="Read with system scope in place of a project; Ironic's nodes need it.",
    ),
    cfg.StrOpt("application_credential_id", help="Id of an application credential."),
    cfg.StrOpt("application_credential_secret", secret=True, help="Its secret."),
    cfg.StrOpt("region", help="Region whose services are read; without it, the only one."),
    cfg.StrOpt(
        "interface",
        choices=["public", "internal", "admin"],
        default="public",
        help="Which of a service's endpoints to use.",
    ),
    cfg.StrOpt("cacert", help="File of CA certificates to check the servers' against."),
    cfg.BoolOpt("insecure", default=False, help="Do not check the servers' certificates."),
    cfg.FloatOpt(
        "request_timeout",
        default=10.0,
        min=0.1,
        help="Seconds after which a request without an answer fails.",
    ),
    cfg.IntOpt(
        "page_size",
        default=500,
        min=0,
        help="Objects to ask for at a time; 0 leaves it to the service.",
    ),
    cfg.BoolOpt(
        "all_projects",
        default=True,
        help="Read servers, volumes and snapshots of every project, which needs an admin.",
    ),
]
PASSWORD = ("username", "password")
APPLICATION_CREDENTIAL = ("application_credential_id", "application_credential_secret")
SECRET_AUTH = ("password", "application_credential_secret", "token", "passcode")
FAULTS = (
    openstack.exceptions.SDKException,
    keystoneauth1.exceptions.ClientException,
    requests.exceptions.RequestException,
)
# What differs from one failure to the next without telling anything, and what says all again.
_NOISE = re.compile(
    r" ?\(Request-ID: [^)]*\)| at 0x[0-9a-f]+| ?\(HTTP \d+\)|: HTTPS?ConnectionPool\(.*"
)
_UNVERIFIED = re.compile(r"certificate verify failed: [^()]*[^() ]")


def faults(args: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(option, what is wrong with it) of what can be seen without asking the cloud."""
    for option in ("cacert", "clouds_file"):
        if args[option] and not Path(args[option]).is_file():
            return [(option, f"no file at {args[option]!r}")]
    if args["cloud"]:
        return _faults_of_cloud(args)
    if not args["auth_url"]:
        return [("auth_url", "required without cloud, and missing")]
    if not args["auth_url"].startswith(("http://", "https://")):
        return [("auth_url", "is no http:// or https:// URL")]
    needed = APPLICATION_CREDENTIAL if _by_application_credential(args) else PASSWORD
    wrong = [(option, "required, and missing") for option in needed if not args[option]]
    if needed == PASSWORD and not (args["project_name"] or args["system_scope"]):
        wrong.append(("project_name", "required without system_scope, and missing"))
    return wrong


class Access:
    """The connection of one source to its cloud."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._args = args
        self._connection: Any = None
        self.secrets: list[str] = []  # what must not be seen, once the connection was made

    def service(self, name: str) -> Any:
        """The client of a service, by its name in openstacksdk; raises SourceError."""
        with told(name):
            if self._connection is None:
                self._connection = self._connected()
            return getattr(self._connection, name)

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.session.session.close()  # its sockets; openstacksdk leaves them open
            connection.close()

    def _connected(self) -> Any:
        region = _region(self._args)
        auth = region.get_auth_args()
        self.secrets = [str(auth[key]) for key in SECRET_AUTH if auth.get(key)]
        connection = openstack.connection.Connection(config=region)
        try:
            connection.session.get_token()
        except BaseException:
            connection.session.session.close()
            connection.close()
            raise
        return connection


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise as SourceError, in a line that stays the same, what a cloud's client raises."""
    try:
        yield
    except FAULTS as error:
        raise exceptions.SourceError(f"{what}: {said(error)}") from error


def said(error: BaseException) -> str:
    """What a client's error says, without what changes from one to the next."""
    if isinstance(error, openstack.exceptions.ServiceDisabledException):
        return "no such service in the catalog"
    if isinstance(error, openstack.exceptions.HttpException) and error.status_code:
        text = f"{error.status_code} {error.details or error.message}"
    else:
        text = str(error)
    unverified = _UNVERIFIED.search(text)
    if unverified:
        return f"{_NOISE.sub('', text)}: {unverified[0]}"
    return _NOISE.sub("", " ".join(text.split())) or type(error).__name__


def _faults_of_cloud(args: Mapping[str, Any]) -> list[tuple[str, str]]:
    both = [option for option in ("auth_url", *PASSWORD, *APPLICATION_CREDENTIAL) if args[option]]
    if both:
        return [(option, "stands beside cloud; give one of the two") for option in both]
    try:
        _region(args)
    except FAULTS as error:
        return [("cloud", said(error))]
    return []


def _region(args: Mapping[str, Any]) -> Any:
    """The configuration of openstacksdk for these options; reads files, and no network."""
    common = {
        "region_name": args["region"],
        "interface": args["interface"],
        "verify": not args["insecure"],
        "cacert": args["cacert"],
        "api_timeout": args["request_timeout"],
        "app_name": "congress-dse",
    }
    given = {key: value for key, value in common.items() if value is not None}
    if args["cloud"]:
        files = [args["clouds_file"]] if args["clouds_file"] else None
        conf = openstack.config.OpenStackConfig(config_files=files, load_envvars=False)
        return conf.get_one(cloud=args["cloud"], **given)
    conf = openstack.config.OpenStackConfig(load_yaml_config=False, load_envvars=False)
    return conf.get_one(auth_type=_auth_type(args), auth=_auth(args), **given)


def _by_application_credential(args: Mapping[str, Any]) -> bool:
    return any(args[option] for option in APPLICATION_CREDENTIAL)


def _auth_type(args: Mapping[str, Any]) -> str:
    return "v3applicationcredential" if _by_application_credential(args) else "password"


def _auth(args: Mapping[str, Any]) -> dict[str, Any]:
    if _by_application_credential(args):
        keys: tuple[str, ...] = ("auth_url", *APPLICATION_CREDENTIAL)
    elif args["system_scope"]:
        keys = ("auth_url", *PASSWORD, "user_domain_name", "system_scope")
    else:
        keys = ("auth_url", *PASSWORD, "user_domain_name", "project_name", "project_domain_name")
    return {key: args[key] for key in keys}
