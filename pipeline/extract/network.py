"""The way to the source: its address, a proxy, certificates, and the token that proves who we are."""

from __future__ import annotations

import importlib.util
import ipaddress
import ssl
import warnings
from urllib.request import getproxies, proxy_bypass

import httpx
import jwt

from pipeline.errors import FixSettings

__all__ = ["proxy_for", "server_token", "tls_context", "url_of"]


def url_of(name: str, text: str) -> httpx.URL:
    """Parse `text`, the value of variable `name`, as a URL. Raises `FixSettings` if its host or port is not possible.

    The message does not repeat the address: it may contain a password.
    """
    try:
        url = httpx.URL(text)
        if url.host and 0 < (url.port or 1) < 65536:
            return url
    except (httpx.InvalidURL, ValueError):
        pass
    raise FixSettings(f"{name} is not a usable address; write it like https://host.example:8080")


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy that the environment names for an address; None for an address on this machine.

    Raises `FixSettings` for a proxy that cannot be used.
    """
    if _is_loopback(url.host) or proxy_bypass(url.host):
        return None
    known = getproxies()
    scheme = url.scheme if known.get(url.scheme) else "all"
    if not (text := known.get(scheme)):
        return None
    name = f"{scheme.upper()}_PROXY"
    proxy = url_of(name, text if "://" in text else f"http://{text}")
    if proxy.scheme not in ("http", "https", "socks5", "socks5h"):
        raise FixSettings(f"{name} is not the address of a proxy; write it like http://host.example:3128")
    if proxy.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise FixSettings(f"{name} is a SOCKS proxy; run `pip install 'httpx[socks]'` first, or use another proxy")
    return httpx.Proxy(proxy)


def tls_context() -> ssl.SSLContext:
    """Return the context for TLS. Raises `FixSettings` if the environment names certificates that cannot be read."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # of ssl too
        raise FixSettings(
            f"SSL_CERT_FILE or SSL_CERT_DIR has no certificates that can be read ({error.strerror}); correct it"
        ) from None


def server_token(secret: str) -> str:
    """Return a JSON Web Token for server-side requests.

    Without `iat` it is valid whatever our clock says. (Stream's Python SDK signs `{}`.)
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the length of the secret, which is Stream's choice
        return jwt.encode({"server": True}, secret, algorithm="HS256")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
