"""How clients reach the service: by which URL and host names, through which proxies, and only by HTTPS."""

import json
import os
import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

import idna
from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from app.core.settings.section import Section, WebUrl

ANY = "*"
FORMER_NAME = "FORWARDED_ALLOW_IPS"  # uvicorn's own: an environment variable, never a line of .env
UVICORNS_DEFAULT = ["127.0.0.1"]
JSON_ARRAY = re.compile(r'\s*\[\s*["\]]')  # not the [ of an IPv6 address
HOST = re.compile(r"(?:\*\.)?[\w-]+(?:\.[\w-]+)*")


def listed(value: object) -> object:
    """The items of a text that separates them by commas, or is a JSON array. Anything else stays as it is."""
    if isinstance(value, str):
        value = json.loads(value) if JSON_ARRAY.match(value) else value.split(",")
    if isinstance(value, list):
        return [item.strip() for item in map(str, value) if item.strip()]
    return value


def former_proxies() -> list[str]:
    """The proxies that the variable of earlier versions names."""
    return [item.strip() for item in os.environ.get(FORMER_NAME, "").split(",") if item.strip()]


class NetworkSettings(Section):
    """The way from a client to the service."""

    public_url: WebUrl = ""
    public_url_allow_http: bool = False
    backend_cors_origins: Annotated[list[str], NoDecode] = []
    force_https: bool | None = None
    trusted_proxies: Annotated[list[str], NoDecode] = Field(default_factory=former_proxies)
    allowed_hosts: Annotated[list[str], NoDecode] = []

    @field_validator("backend_cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        found = listed(value)
        return [origin.rstrip("/") for origin in found] if isinstance(found, list) else found

    @field_validator("trusted_proxies", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return listed(value)

    @property
    def proxies(self) -> list[str]:
        """Whose `X-Forwarded-For` and `X-Forwarded-Proto` count: addresses, networks, or `*`."""
        return [ANY] if ANY in self.trusted_proxies else self.trusted_proxies or UVICORNS_DEFAULT

    @property
    def served_hosts(self) -> list[str]:
        """The host names that the service answers for, in lower case, as a Host header spells them."""
        own = urlsplit(self.public_url).hostname or ""
        return [_spelled(host.strip("[]")) for host in (own, *self.allowed_hosts) if host]

    def problems(self) -> list[str]:
        named = FORMER_NAME if self.trusted_proxies == former_proxies() else "TRUSTED_PROXIES"
        cure = "list addresses or networks, such as 10.0.0.5 or 10.0.0.0/8"
        strange = next((proxy for proxy in self.trusted_proxies if not _is_network(proxy)), None)
        found = [] if strange is None else [f'{named} names "{strange}", which is no address and no network: {cure}']
        unusable = next((host for host in self.allowed_hosts if host != ANY and not _is_host(host)), None)
        if unusable is not None:
            cure = "list names without scheme and port, such as pager.example.com or *.example.com"
            found.append(f'ALLOWED_HOSTS names "{unusable}", which is no host name: {cure}')
        return found

    def production_problems(self) -> list[str]:
        if self.public_url.lower().startswith("https://") or self.public_url_allow_http:
            return []
        cure = "set it to the https:// address that people reach, or set PUBLIC_URL_ALLOW_HTTP=true"
        return [f"PUBLIC_URL is missing or plain http, so links and passwords could be read on the way: {cure}"]

    def serving_problems(self) -> list[str]:
        if not self.force_https or self.trusted_proxies:
            return []
        cure = "set it to the address of the proxy that speaks TLS, or set FORCE_HTTPS=false"
        return [f"TRUSTED_PROXIES is missing, so every request would be refused because it is not HTTPS: {cure}"]


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return text == ANY
    return True


def _is_host(text: str) -> bool:
    if ":" not in text:
        return HOST.fullmatch(text) is not None
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _spelled(host: str) -> str:
    """A host name as clients send it: in lower case, and in ASCII (RFC 5890)."""
    try:
        return host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return host.lower()
