"""Pushes a small artifact to an OCI registry: blobs, then a manifest with a tag (OCI distribution specification 1.1)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from yarl import URL

from assay.exports.docker_config import Login
from assay.exports.remote import Answer, Remote, RemoteFailed

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_JSON = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True)
class Blob:
    """Bytes of an artifact, of a media type, with the annotations of their descriptor."""

    content: bytes
    media_type: str
    annotations: Mapping[str, str]

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the content."""
        return _digest(self.content)

    def descriptor(self) -> dict[str, Any]:
        """Return what a manifest says of the blob."""
        told = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}
        return told | {"annotations": dict(self.annotations)}


@dataclass(frozen=True)
class Pushed:
    """What a manifest became: its digest, and `host/repository:tag@digest`."""

    digest: str
    reference: str


class Repository:
    """A repository of a registry, with a login. Raises RemoteFailed for a name that no registry takes."""

    def __init__(self, remote: Remote, host: str, repository: str, login: Login) -> None:
        base = host if "://" in host else f"https://{host}"
        try:
            parts = urlsplit(base.rstrip("/"))
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
            raise RemoteFailed("exports.oci.coordinates.oci_host must be a host, like registry.example:5000", lasting=True)
        if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
            text = (
                "exports.oci.coordinates.oci_repository must be a name like team/cards: small letters, digits, '.', '_', '-'"
            )
            raise RemoteFailed(text, lasting=True)
        self._origin = f"{parts.scheme}://{_HUB.get(parts.netloc, parts.netloc)}"
        self._secure = parts.scheme == "https"
        self._remote, self._repository, self._login = remote, repository, login
        self._shown = f"{parts.netloc}/{repository}"
        self._authorization = f"Bearer {login.token}" if login.token else ""

    async def push(self, tag: str, config: Blob, layers: list[Blob], annotations: Mapping[str, str]) -> Pushed:
        """Push an artifact under `tag`, over whatever had that tag. Raises RemoteFailed."""
        if not _TAG.fullmatch(tag):
            text = f"'{tag}' cannot be a tag; choose a shorter oci_tag of letters, digits, '.', '_', '-'"
            raise RemoteFailed(text, lasting=True)
        for blob in (config, *layers):
            await self._put_blob(blob)
        manifest = _JSON.encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.descriptor(),
                "layers": [layer.descriptor() for layer in layers],
                "annotations": dict(annotations),
            }
        )
        answer = await self._send("PUT", f"/manifests/{tag}", manifest, MANIFEST)
        if answer.status != 201:
            raise _refused("the manifest", answer)
        digest = _digest(manifest)
        told = answer.headers.get("Docker-Content-Digest", digest)
        if told != digest:
            raise RemoteFailed("the registry stored another manifest than it was sent")
        return Pushed(digest, f"{self._shown}:{tag}@{digest}")

    async def _put_blob(self, blob: Blob) -> None:
        if (await self._send("HEAD", f"/blobs/{blob.digest}")).status < 400:  # also where it leads to a bucket
            return
        begun = await self._send("POST", "/blobs/uploads/", b"")
        location = begun.headers.get("Location", "")
        if begun.status != 202 or not location:
            raise _refused("an upload", begun)
        target = URL(f"{self._origin}/v2/{self._repository}/blobs/uploads/").join(URL(location, encoded=True))
        if (target.host, target.explicit_port) != (URL(self._origin).host, URL(self._origin).explicit_port):
            raise RemoteFailed(f"the registry wants the upload at {target.origin()}, where its key does not belong")
        query = f"{target.raw_query_string}&" if target.raw_query_string else ""
        path = f"{target.raw_path}?{query}digest={quote(blob.digest, safe=':')}"
        done = await self._ask("PUT", path, blob.content, "application/octet-stream")
        if done.status != 201:
            raise _refused("a blob", done)

    async def _send(self, method: str, path: str, body: bytes | None = None, media_type: str = "") -> Answer:
        return await self._ask(method, f"/v2/{self._repository}{path}", body, media_type)

    async def _ask(self, method: str, path: str, body: bytes | None, media_type: str) -> Answer:
        """Send a request; when the registry asks who we are, say so and send it again."""
        url = URL(self._origin + path, encoded=True)
        headers = {"Content-Type": media_type} if media_type else {}
        if self._authorization:
            headers["Authorization"] = self._authorization
        answer = await self._remote.send(method, url, headers=headers, body=body)
        if answer.status != 401:
            return answer
        self._authorization = await self._authorize(answer.headers.get("WWW-Authenticate", ""))
        return await self._remote.send(method, url, headers={**headers, "Authorization": self._authorization}, body=body)

    async def _authorize(self, challenge: str) -> str:
        """Return the Authorization header that a challenge asks for."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._login.basic:
            return self._login.basic
        asked = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or not asked.get("realm") or self._login.token:
            text = f"the registry {self._origin} wants a key, and takes none from the file of oci_auth_config_file"
            raise RemoteFailed(text)
        realm = URL(asked["realm"])
        if self._secure and realm.scheme != "https":
            raise RemoteFailed(f"the registry {self._origin} wants its key sent to {realm.origin()}, without encryption")
        scope = asked.get("scope") or f"repository:{self._repository}:pull,push"
        query = {"scope": scope} | ({"service": asked["service"]} if "service" in asked else {})
        headers = {"Authorization": self._login.basic} if self._login.basic else {}
        answer = await self._remote.send("GET", realm.update_query(query), headers=headers)
        try:
            told = msgspec.json.decode(answer.body) if answer.status == 200 else None
        except msgspec.DecodeError:
            told = None
        token = (told.get("token") or told.get("access_token")) if isinstance(told, dict) else None
        if not isinstance(token, str):
            raise RemoteFailed(
                f"{realm.origin()} gave no token for the registry {self._origin}: it answered {answer.status}"
            )
        return f"Bearer {token}"


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _refused(what: str, answer: Answer) -> RemoteFailed:
    hint = "; check the key in the file of the setting oci_auth_config_file" if answer.status in (401, 403) else ""
    return RemoteFailed(f"the registry refused {what}: it answered {answer.status}{hint}")
