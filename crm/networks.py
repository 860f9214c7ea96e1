"""The part of an internet address that may be kept or counted: enough to tell networks, not people."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

HOUSEHOLD, PROOF = 56, 48
"""How much of an IPv6 address is kept, in bits: what a household or a provider's customer has, and what a proof needs."""


def network_of(address: str, *, bits: int) -> str:
    """The network an address is in: IPv4 /24, IPv6 as many bits as told; "" for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ip_network((found, 24 if found.version == 4 else bits), strict=False))


def network_of_request(request: HttpRequest, *, bits: int) -> str:
    """The network a request comes from; "" behind a socket, where nobody knows it."""
    try:
        return network_of(get_adapter(request).get_client_ip(request), bits=bits)
    except PermissionDenied:
        return ""
