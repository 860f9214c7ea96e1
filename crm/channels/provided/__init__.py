"""The providers: each module here is one, and is found by its name."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from crm.channels.providers import Provider


class NoSuchProvider(LookupError):
    """No provider of this name is part of this version."""


@cache
def all_of_them() -> dict[str, Provider]:
    """Every provider by its name, in alphabetical order."""
    found = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
        provider: Provider = import_module(f"{__name__}.{module}").PROVIDER
        if provider.name != module:
            raise NoSuchProvider(f"The provider in {module}.py calls itself {provider.name}.")
        found[module] = provider
    return found


def by_name(name: str) -> Provider:
    """The provider of this name. Raises NoSuchProvider."""
    try:
        return all_of_them()[name]
    except KeyError:
        raise NoSuchProvider(name) from None
