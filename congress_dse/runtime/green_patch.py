"""The standard library made to wait on eventlet, also for those who imported it earlier."""

import eventlet


def patch() -> None:
    """Patch the standard library; once is enough, and again does no harm."""
    eventlet.monkey_patch()
    _mend_tls()


def _mend_tls() -> None:
    """Give the class of TLS contexts as it was before the patch what eventlet's own has.

    Whoever imported it earlier, as urllib3 does, keeps it. Its setters look for it by a name that
    is now eventlet's class and would call themselves for ever, and its sockets would block the hub.
    """
    green = eventlet.green.ssl.GreenSSLContext
    for name, mended in vars(green).items():
        if isinstance(mended, property) or name == "wrap_socket":
            setattr(green.__base__, name, mended)
