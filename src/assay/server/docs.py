"""The API's documentation as it is served: the OpenAPI document, and a page made from it."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import Response

from assay import __version__
from assay.server.openapi import document
from assay.server.respond import json_response
from assay.server.routes import Table


class Plain(yaml.SafeDumper):
    """Writes what occurs twice twice, rather than as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@cache
def _current(table: Table) -> dict[str, Any]:
    return document(table.routes)


@cache
def _yaml(table: Table) -> bytes:
    return yaml.dump(_current(table), sort_keys=False, allow_unicode=True, Dumper=Plain).encode()


async def openapi(request: Request) -> Response:
    """Answer with the OpenAPI document."""
    if "application/json" in request.headers.get("accept", ""):
        return json_response(_current(request.scope["assay.table"]))
    return Response(_yaml(request.scope["assay.table"]), media_type="application/yaml")


async def page(request: Request) -> Response:
    """Answer with the documentation as one self-contained page."""
    headers = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache", "Expires": "0"}
    return Response(_page(request.scope["assay.table"]), headers=headers, media_type="text/html; charset=utf-8")


_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2433;background:#fff}
h1{margin-bottom:0}section{border-top:1px solid #d8dde6;padding:1rem 0}h2{font-size:1.3rem}
a{color:#0b5cad}
h3{overflow-wrap:anywhere;font:600 1rem ui-monospace,monospace;margin:1.4rem 0 .2rem}b{color:#0b6b57;margin-right:.6rem}
table{border-collapse:collapse;font-size:.92rem}td{overflow-wrap:anywhere;padding:.1rem 1rem .1rem 0;vertical-align:top}
code{background:#f1f4f8;padding:0 .25rem}pre{background:#f1f4f8;padding:.8rem;overflow:auto;font-size:.82rem}
@media(prefers-color-scheme:dark){body{background:#14181f;color:#dfe5ee}a{color:#7ab8ff}code,pre{background:#222833}b{color:#5fd0b3}
section{border-color:#333b48}}
"""


@cache
def _page(table: Table) -> bytes:
    described = _current(table)
    out = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Assay API</title><style>{_STYLE}</style><h1>Assay API</h1>",
        f"<p>Version {__version__}. The same as <a href=/openapi.yaml>OpenAPI 3.1</a>.",
    ]
    tags = dict.fromkeys(op["tags"][0] for ops in described["paths"].values() for op in ops.values())
    for tag in tags:
        out.append(f"<section><h2>{tag.capitalize()}</h2>")
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                if operation["tags"][0] == tag:
                    out.append(_entry(method, path, operation))
        out.append("</section>")
    return "".join(out).encode()


def _entry(method: str, path: str, operation: dict[str, Any]) -> str:
    def row(name: str, text: str) -> str:
        return f"<tr><td><code>{html.escape(name)}</code><td>{prose(text)}"

    def prose(text: str) -> str:
        return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))

    rows = [row(p["name"], p.get("description", "")) for p in operation["parameters"]]
    rows += [row(status, answer["description"]) for status, answer in operation["responses"].items()]
    body = operation.get("requestBody")
    described = body["content"].get("application/json") if body else None
    shown = yaml.dump(described["schema"], sort_keys=False, Dumper=Plain) if described else ""
    details = f"<details><summary>Request body</summary><pre>{html.escape(shown)}</pre></details>" if shown else ""
    return (
        f"<h3 id={operation['operationId']}><b>{method.upper()}</b>{html.escape(path)}</h3>"
        f"<p>{prose(operation['summary'])}<table>{''.join(rows)}</table>{details}"
    )
