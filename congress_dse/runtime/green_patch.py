"""The standard library made to wait on eventlet, also for those who imported it earlier."""

from typing import Any

import eventlet


def patch() -> None:
    """Patch the standard library; once is enough, and again does no harm."""
    eventlet.monkey_patch()
    _mend_contexts()
    _mend_handshakes()


def _mend_contexts() -> None:
    """Give the class of TLS contexts as it was before the patch what eventlet's own has.

    Whoever imported it earlier, as urllib3 does, keeps it. Its setters look for it by a name that
    is now eventlet's class and would call themselves for ever, and its sockets would block the hub.
    """
    green = eventlet.green.ssl.GreenSSLContext
    for name, mended in vars(green).items():
        if isinstance(mended, property) or name == "wrap_socket":
            setattr(green.__base__, name, mended)


def _mend_handshakes() -> None:
    """Have a socket closed whose handshake fails as it is made, as the standard library does."""
    green = eventlet.green.ssl.GreenSSLSocket
    make = green.__init__
    if make.__module__ == __name__:
        return

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            make(self, *args, **kwargs)
        except BaseException:
            self.close()
            raise

    green.__init__ = init
