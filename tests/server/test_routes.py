"""How a path finds its route."""

from __future__ import annotations

import re

import pytest
from starlette.requests import Request
from starlette.responses import Response

from assay.server.routes import Route, Table
from assay.server.table import ROUTES, table


async def nothing(request: Request) -> Response:
    return Response()


def route(path: str, method: str = "GET") -> Route:
    return Route(f"{method} {path}", method, path, nothing, "")


@pytest.mark.parametrize("of", ROUTES, ids=lambda of: of.name)
def test_every_route_is_found_by_its_path_and_told_its_parameters(of: Route) -> None:
    wanted = {name: f"any {name}" for name in re.findall(r"{(\w+)}", of.path)}
    found = table().find(of.path.format(**wanted))
    assert found is not None
    by_method, parameters = found
    assert by_method[of.method] is of
    assert parameters == wanted


@pytest.mark.parametrize("path", ["", "/", "/a", "/a/x/b/y", "/a//b", "/a/x/", "a/x/b", "/fixed/", "/a/x/c"])
def test_a_path_that_is_not_there_finds_nothing(path: str) -> None:
    assert Table([route("/a/{one}/b"), route("/a/{one}/b/{two}/c"), route("/fixed")]).find(path) is None


def test_a_parameter_may_be_anything_that_has_no_slash() -> None:
    found = Table([route("/a/{one}/b")]).find("/a/ü \n.%2f/b")
    assert found is not None
    assert found[1] == {"one": "ü \n.%2f"}


@pytest.mark.parametrize(
    "paths",
    [
        ("/a/{one}", "/a/{one}"),
        ("/a", "/a"),
        ("/a/{one}/b", "/a/x/{two}"),
        ("/a/x/{two}", "/a/{one}/b"),
        ("/a/{one}", "/a/{two}"),
    ],
)
def test_paths_that_could_be_mistaken_for_one_another_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=re.escape(paths[1])):
        Table([route(path) for path in paths])
