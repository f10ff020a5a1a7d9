# SPDX-License-Identifier: GPL-2.0-only
"""Requests that change something: refused if a page of another site can have made them.

A browser lets other sites send plain POST requests, but not ones with a header of ours: it asks
first, and gets no permission. To the browser, a site whose own name has the address of this host
(DNS rebinding) is no other site: the Host header shows its name.
"""

import ipaddress
import socket
from functools import cache

from tornado.httputil import HTTPServerRequest

HEADER = "X-Fdscope"
"""The header that the page's own requests have."""


@cache
def _own_names() -> frozenset[str]:
    return frozenset({"localhost", socket.gethostname().lower(), socket.getfqdn().lower()} - {""})


def is_own_host(host: str) -> bool:
    """True for an address, and for a name of this host; ``host``: a Host header."""
    name = host.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in _own_names()
    return True


def foreign_name(request: HTTPServerRequest, knows_users: bool) -> str | None:
    """Why the request is refused for the name it was sent to; None if it is this host's.

    ``knows_users``: the server asks for a password or a certificate, which another site does not
    have under its own name: then any name will do.
    """
    if knows_users or is_own_host(request.host):
        return None
    return (
        "the name in the address is not this host's: use its address, or set a password in the"
        " web configuration"
    )


def refusal(request: HTTPServerRequest, knows_users: bool) -> str | None:
    """Why the request is refused; None if it is one of the page's own, see ``foreign_name``."""
    if HEADER not in request.headers:
        return f"this needs the header {HEADER}, which pages of other sites cannot send"
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site not in ("same-origin", "none"):
        return "a page of another site has asked for this"
    return foreign_name(request, knows_users)
