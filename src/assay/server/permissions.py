"""Who may change what, where the settings ask for more than a tenant: owners, administrators, and code of one's own.

The user is that of the API key, or without keys what the proxy in front of the server says (`X-User`). All of this is off
unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request

from assay.model.access import Scope
from assay.model.errors import LocalCodeRefused, NotAdministrator, NotOwner, ReservedUser
from assay.scheduler.catalogue import SYSTEM
from assay.server.services import Caller, caller, services

_CODE_PARAMETERS = ("include_path", "confirm_unsafe_code")
"""Parameters of a benchmark that make the worker's machine run code that neither Assay nor its catalogue brought."""


def author(request: Request) -> Caller:
    """Return who makes something. Raises ReservedUser for the name that owns the catalogue's entries."""
    who = caller(request)
    if who.user == SYSTEM:
        raise ReservedUser(user=who.user)
    return who


def require_owner(request: Request, kind: str, resource_id: str, owner: str) -> None:
    """Raise NotOwner where only owners and administrators may change things, and the caller is neither."""
    who = caller(request)
    if owners_only(request) and who.user != owner and not _is_administrator(request, who):
        raise NotOwner(kind=kind, id=resource_id, owner=owner)


def require_administrator(request: Request) -> None:
    """Raise NotAdministrator where the settings name administrators, and a caller without a key is none of them."""
    who = caller(request)
    if services(request).settings.admins and not who.key and not _is_administrator(request, who):
        raise NotAdministrator


def owners_only(request: Request) -> bool:
    """Say whether only its owner and administrators may change something."""
    return bool(services(request).settings.owner_policy == "owner_or_admin")


def require_code_permission(request: Request, fields: Iterable[str]) -> None:
    """Raise LocalCodeRefused where `fields` names any and only administrators may bring code."""
    restricted = services(request).settings.local_code == "admins"
    if restricted and not _is_administrator(request, caller(request)):
        for field in fields:
            raise LocalCodeRefused(field=field)


def code_of_benchmarks(benchmarks: Iterable[Mapping[str, Any]], path: str = "benchmarks") -> dict[str, Any]:
    """Return what benchmarks of a job or collection bring of code: field to value."""
    return {
        f"{path}[{i}].parameters.{name}": value
        for i, benchmark in enumerate(benchmarks)
        for name in _CODE_PARAMETERS
        if (value := benchmark.get("parameters", {}).get(name))
    }


def code_of_job(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a submission brings of code."""
    overrides = body.get("collection", {}).get("benchmarks", [])
    return code_of_benchmarks(body.get("benchmarks", [])) | code_of_benchmarks(overrides, "collection.benchmarks")


def code_of_resource(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a provider or a collection brings of code."""
    runtime = body.get("runtime", {})
    found = {f"runtime.local.{name}": value for name, value in runtime.get("local", {}).items() if value}
    if folder := runtime.get("assay", {}).get("include_path"):
        found["runtime.assay.include_path"] = folder
    return found | code_of_benchmarks(body.get("benchmarks", []))


def _is_administrator(request: Request, who: Caller) -> bool:
    if who.key and Scope.TENANT_MANAGE in who.scopes:
        return True
    return bool(who.user) and who.user in services(request).settings.admins
