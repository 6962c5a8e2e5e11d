"""Access: who asks and what they may, and the certificate that the API shows.

Without authentication the API is for this machine alone. A static token names its owner and, with
the word ``reader``, only reads. Keystone's tokens are validated by keystonemiddleware, and what
their roles may is said by oslo.policy's rules, which an operator may write anew.
"""

import base64
import binascii
import hmac
import ipaddress
import ssl
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from congress_dse import exceptions
from congress_dse.api.http import NOBODY, Request, Who
from congress_dse.exceptions import ApiError

Authenticate = Callable[[Request], Who]

READS = frozenset({"GET", "HEAD"})
READ, WRITE = "congress:read", "congress:write"
RULES = {
    READ: ("role:admin or role:reader", "See sources, tables and rows, and follow tables."),
    WRITE: ("role:admin", "Create and delete sources, write rows, refresh and execute."),
}


def none(_request: Request) -> Who:
    """Whoever reaches the API may ask."""
    return NOBODY


class Tokens:
    """Static tokens, each with the name of its owner and its role."""

    def __init__(self, path: str) -> None:
        self._known = [(token.encode(), who) for token, who in _tokens(path)]

    def __call__(self, request: Request) -> Who:
        given = _given(request)
        found = None
        for token, who in self._known:  # all of them: how long it takes tells nothing
            if hmac.compare_digest(token, given) and given:
                found = who
        if found is None:
            raise _unauthorized('Basic realm="congress-dse"')
        if request.method not in READS and "admin" not in found.roles:
            raise ApiError(403, f"{found.name} may read, and not {request.method}")
        return found


class Keystone:
    """Keystone's tokens. keystonemiddleware is a WSGI filter: it filters a request made up here."""

    def __init__(self, conf: Any) -> None:
        made = _loaded("keystonemiddleware.auth_token").AuthProtocol
        policy = _loaded("oslo_policy.policy")
        self._filter = made(_confirmed, {"oslo_config_config": conf, "delay_auth_decision": True})
        self._enforcer = policy.Enforcer(conf)
        for name, (rule, text) in RULES.items():
            self._enforcer.register_default(policy.RuleDefault(name, rule, text))

    def __call__(self, request: Request) -> Who:
        environ = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "SERVER_NAME": "api",
            "SERVER_PORT": "0",
            "wsgi.url_scheme": request.scheme,
        }
        for name in ("x-auth-token", "x-service-token"):
            if name in request.headers:
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = request.headers[name]
        answer: list[str] = []
        found = list(self._filter(environ, lambda status, *_: answer.append(status)))
        if not answer or not answer[0].startswith("200"):
            raise ApiError(503, "Keystone cannot be asked at present", retry_s=5)
        if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed" or not found:
            raise _unauthorized(f"Keystone uri={request.scheme!r}")
        return self._allowed(request, environ)

    def _allowed(self, request: Request, environ: dict[str, str]) -> Who:
        roles = tuple(r for r in environ.get("HTTP_X_ROLES", "").lower().split(",") if r)
        project = environ.get("HTTP_X_PROJECT_ID", "")
        who = Who(environ.get("HTTP_X_USER_NAME", ""), roles, project)
        rule = READ if request.method in READS else WRITE
        credentials = {
            "roles": roles,
            "project_id": project,
            "user_id": environ.get("HTTP_X_USER_ID", ""),
        }
        if not self._enforcer.enforce(rule, {}, credentials):
            raise ApiError(403, f"the rule {rule} does not allow {who.name} to {request.method}")
        return who


def authenticate(conf: Any) -> Authenticate:
    """What tells who asks, as configured; raises ConfigError for what cannot be had."""
    if conf.api.auth == "token":
        if not conf.api.tokens_file:
            raise exceptions.ConfigError("[api] tokens_file: required where auth = token")
        return Tokens(conf.api.tokens_file)
    if conf.api.auth == "keystone":
        return Keystone(conf)
    if not conf.api.allow_unauthenticated and not loopback(conf.api.bind_host):
        raise exceptions.ConfigError(
            f"[api] bind_host: {conf.api.bind_host} can be reached from other machines, and "
            "[api] auth is none: set auth, or allow_unauthenticated = true to serve anybody"
        )
    return none


def loopback(host: str) -> bool:
    """Whether `host` is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls(conf: Any) -> ssl.SSLContext | None:
    """The API's certificate and key; None without. Raises ConfigError."""
    cert, key = conf.api.tls_cert, conf.api.tls_key
    if not cert:
        if key:
            raise exceptions.ConfigError("[api] tls_cert: required where tls_key is set")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        both = f"{cert} and {key}" if key else cert
        raise exceptions.ConfigError(f"[api] tls_cert, tls_key: {both}: {error}") from error
    return context


def _tokens(path: str) -> list[tuple[str, Who]]:
    """The tokens of a file, a line for each: ``NAME:TOKEN`` or ``NAME:TOKEN:reader``."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise exceptions.ConfigError(f"[api] tokens_file: {path}: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        token, _, role = rest.partition(":")
        if not name or len(token) < 8 or role not in {"", "reader"}:
            raise exceptions.ConfigError(
                f"[api] tokens_file: {path}, line {number}: is no NAME:TOKEN or "
                "NAME:TOKEN:reader with a token of 8 characters at least"
            )
        found.append((token, Who(name, (role or "admin",))))
    if not found:
        raise exceptions.ConfigError(f"[api] tokens_file: {path}: has no token")
    return found


def _given(request: Request) -> bytes:
    """The token that a request brings: as such, or as the password of basic authentication."""
    token = request.headers.get("x-auth-token", "")
    kind, _, rest = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        token = rest.strip()
    elif kind.lower() == "basic":
        try:
            token = base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            token = ""
    return token.encode("utf-8", "replace")


def _confirmed(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    """Behind the filter: it was let through; whose it is stands in `environ`."""
    start("200 OK", [])
    return [b"seen"]


def _unauthorized(challenge: str) -> ApiError:
    text = "The request you have made requires authentication."
    return ApiError(401, text, headers={"www-authenticate": challenge})


def _loaded(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise exceptions.ConfigError(
            f"[api] auth: keystone needs a library: {error}; to install it: "
            "pip install 'congress-dse[keystone]'"
        ) from error
