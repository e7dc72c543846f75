"""Quotas: how many slots and GPUs somebody may hold at once, and the weight of a tenant's share.

A quota bounds what is *leased*. Nothing counts up or down: whoever hands out a slot sums the leased runs at that moment.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from assay.model.errors import QuotasInvalid

ANYONE = "*"
"""Names everybody who has no entry of his own."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The most slots (`runs`) and GPUs that may be held at once; None: any number."""

    runs: Count | None = None
    gpus: Count | None = None


class TenantQuota(Quota, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tenant's quota, and its weight: a tenant of weight 2 is given twice the slots of one of weight 1."""

    weight: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 1.0


class Quotas(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All quotas. In `tenants`, `users` and `providers` the name `*` is for each who is not named."""

    total: Quota = Quota()
    tenants: dict[str, TenantQuota] = {}
    users: dict[str, Quota] = {}
    providers: dict[str, Quota] = {}

    def tenant(self, name: str) -> TenantQuota:
        """Return the quota of a tenant."""
        return self.tenants.get(name) or self.tenants.get(ANYONE) or _EQUAL

    def user(self, name: str) -> Quota:
        """Return the quota of a user of any tenant."""
        return self.users.get(name) or self.users.get(ANYONE) or _FREE

    def provider(self, name: str) -> Quota:
        """Return the quota of a provider."""
        return self.providers.get(name) or self.providers.get(ANYONE) or _FREE


_EQUAL, _FREE = TenantQuota(), Quota()

NO_QUOTAS: Final = Quotas()
"""Nothing is bounded, and all tenants are equal."""


def quotas_of(document: Any, path: object) -> Quotas:
    """Return the quotas in a decoded YAML document. Raises QuotasInvalid, which names the member and what it takes."""
    try:
        return msgspec.convert({} if document is None else document, Quotas)
    except msgspec.ValidationError as error:
        raise QuotasInvalid(path=path, problem=_told(str(error))) from error


def _told(problem: str) -> str:
    """Return msgspec's sentence with the names that may stand there."""
    text = problem.replace("Object contains unknown field", "there is no quota named").replace(" - at ", ", at ")
    if "no quota named" in text:
        text += "; known are total, tenants, users and providers, and in each of them runs and gpus, for tenants weight too"
    return text
