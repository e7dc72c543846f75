"""Every route, setting, command, option, error code, metric and parameter is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points

import click
import pytest

from assay.config import SETTINGS, Setting
from assay.config.evalhub_keys import KEYS, Key
from assay.engines.lm_eval.planner import LmEvalParameters
from assay.model.errors import AssayError
from assay.practice.options import Options
from assay.server.metrics import Metrics
from assay.server.metrics.gauges import Standing
from assay.server.routes import Route
from assay.server.table import ROUTES
from assay.store.base import Connections

from .pages import ROOT, code, commands, page, section

_SOURCE = ROOT / "src" / "assay"
_SHARED = {"--help", "--json", "--key", "--key-file", "--server", "--tenant"}
"""Options of many commands, explained at the top of their page."""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_documented_with_its_query(route: Route) -> None:
    text = page("api.md")
    assert f"| `{route.method} {route.path}` |" in text
    assert [query.name for query in route.query if not re.search(rf"[`?&]{query.name}\b", _all_of(text, route))] == []


def _all_of(text: str, route: Route) -> str:
    """Return where the query of a route may be explained: the workers' is in the protocol's page."""
    return text if route.tag != "workers" else page("protocols/worker.md")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented_with_its_variable_option_and_default(setting: Setting) -> None:
    rows = [
        line
        for line in page("configuration.md").splitlines()
        if line.startswith(f"| `{setting.name}` | `{setting.environment}` |")
    ]
    assert len(rows) == 1
    flag, default = (cell.strip() for cell in rows[0].split("|")[3:5])
    options = {option for parameter in commands()["serve"].params for option in parameter.opts}
    assert flag == (f"`{setting.flag}`" if setting.flag in options else "")
    described = {"slots", "secrets", "engines"}
    assert setting.name in described or default.strip("`") == setting.default


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_of_evalhub_is_documented_with_its_setting(key: Key) -> None:
    becomes = f"`{key.setting}`" if key.setting else "no effect" if key.without_effect else ""
    assert f"| `{key.name}` | {becomes} | {key.without_effect}" in page("configuration.md")


def test_every_environment_variable_is_documented() -> None:
    between_programs = {"ASSAY_ATTEMPT", "ASSAY_GUARD", "ASSAY_WORKER", "ASSAY_RUN_TOKEN"}
    found: set[str] = set()
    for path in _SOURCE.rglob("*.py"):
        found |= set(re.findall(r"(?<![_A-Z])ASSAY_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
    told = set(re.findall(r"`(ASSAY_[A-Z_]*[A-Z])(?:_<NAME>)?`", page("configuration.md")))
    assert found - between_programs - told == set()


@pytest.mark.parametrize("name", commands())
def test_every_command_has_an_example_and_its_options_are_documented(name: str) -> None:
    text = page("cli.md")
    under = section(text, f"`assay {name}`")
    assert f"assay {name}" in code(under), "there is no example"
    for parameter in commands()[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            option = max(parameter.opts, key=len)
            assert re.search(rf"`{option}[` ]", text if option in _SHARED else under), option


def test_every_option_that_commands_share_is_documented() -> None:
    text = page("cli.md")
    assert {option for option in _SHARED if not re.search(rf"`(assay COMMAND )?{option}[` ]", text)} == set()


def _errors(kind: type[AssayError] = AssayError) -> Iterator[type[AssayError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _errors(below)


@pytest.mark.parametrize("status_and_code", sorted({(error.status, error.code) for error in _errors()}), ids=str)
def test_every_error_code_is_documented_with_its_status(status_and_code: tuple[int, str]) -> None:
    status, name = status_and_code
    rows = [line for line in section(page("api.md"), "Errors").splitlines() if f"`{name}`" in line]
    assert rows
    ends_a_start = "end the start" in rows[0]
    assert ends_a_start or f"| {status} |" in rows[0]


def test_every_code_of_a_failed_run_is_documented() -> None:
    found: set[str] = set()
    for path in [*(_SOURCE / "engines").rglob("*.py"), *(_SOURCE / "worker").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'RunFailed\(\s*"([a-z_]+)"', text))
        found |= set(re.findall(r'outcome="(?:failed|exited)",\s*code="([a-z_]+)"', text))
        found |= set(re.findall(r'failed\(\s*(?:self\.)?lease,\s*"([a-z_]+)"', text))
    assert len(found) > 15
    assert {name for name in found if f"`{name}`" not in page("api.md")} == set()


def test_every_metric_is_documented() -> None:
    standing = Standing([("", "pending", 1)], {"queued": 1}, Connections("sqlite", "assay.db", 1, 3, 4), {"logs": 1})
    scrape = Metrics("http://127.0.0.1:8080").render(standing).decode()
    kinds = dict(re.findall(r"^# TYPE (?!process_|python_)(\w+) (\w+)$", scrape, re.MULTILINE))
    assert len(kinds) > 20
    told = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section(page("operating.md"), "Health and metrics"), re.MULTILINE))
    assert told == kinds


def test_every_parameter_of_lm_eval_is_documented_with_its_default() -> None:
    table = section(page("running-evaluations.md"), "Parameters")
    told = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", table, re.MULTILINE))
    defaults = dict(zip(LmEvalParameters.__struct_fields__, LmEvalParameters.__struct_defaults__, strict=True))
    assert set(told) == set(defaults)
    for name, default in defaults.items():
        if isinstance(default, bool | int | float) or (isinstance(default, str) and default):
            assert told[name].strip(" `") == str(default).lower(), name


def test_every_fault_of_the_practice_model_is_documented() -> None:
    text = page("models-and-credentials.md")
    names = {name.replace("_", "-") for name in Options.__dataclass_fields__} - {"model"}
    assert {name for name in names if f"`--{name}" not in text} == set()


def test_every_engine_is_named() -> None:
    text = page("architecture.md")
    for group in ("assay.planners", "assay.executors"):
        assert f"`{group}`" in text
        assert [point.name for point in entry_points(group=group) if f"`{point.name}`" not in text] == []
