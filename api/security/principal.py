"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

from api.security.keys import Scope


@dataclass(frozen=True)
class Principal:
    """A person or a program. `key_id` is that of the API key they showed, if it was one."""

    name: str
    scopes: frozenset[Scope]
    key_id: str = ""

    @classmethod
    def of(cls, name: str, scope: Scope, key_id: str = "") -> Principal:
        """Somebody with a scope and those below it."""
        scopes: frozenset[Scope] = frozenset(("read", "operate") if scope == "operate" else ("read",))
        return cls(name, scopes, key_id)


# Who works on the machine itself, where nothing else is asked for.
LOCAL = Principal.of("local", "operate")
