"""Runs one FHIR Bulk Data export; a killed one continues where it stopped.

Source: HL7 FHIR Bulk Data Access 2.0.0 (STU 2). The state file names the export, so that a rerun polls it again; each
downloaded file gets its name when it is whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import stamina

from pipelines.fetch.smart_token import SmartToken
from pmlm.errors import FetchError
from pmlm.storage import atomic_write, read_json, write_json

#: Seconds between two polls where the server does not say, and at most.
WAIT, LONGEST_WAIT = 5.0, 120.0
#: Attempts of one request that fails with no answer, 429 or a 5xx status.
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class BulkServer:
    """A FHIR server, what to export from it, and the access to it."""

    http: httpx.Client
    base_url: str
    group: str | None
    token: SmartToken
    sleep: Callable[[float], None] = time.sleep

    @property
    def kick_off_url(self) -> str:
        """The export of one group, or of the whole system."""
        return f"{self.base_url}/Group/{self.group}/$export" if self.group else f"{self.base_url}/$export"


def run_export(
    server: BulkServer, state: Path, folder: Path, since: str | None, types: tuple[str, ...]
) -> ExportManifest:
    """Export what changed since ``since`` into ``folder``; return the manifest.

    ``state`` stores the export's address until the caller removes it. Raises ``FetchError``.
    """
    for _ in range(2):  # an export that the server has forgotten is begun anew, once
        if not state.exists():
            write_json(state, {"status_url": _kick_off(server, since, types)}, 0o600)
        try:
            manifest = ExportManifest(_poll(server, read_json(state)["status_url"]))
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, url in manifest.list_files():
                if not (folder / name).exists():
                    _download(server, url, folder / name, manifest.needs_token)
        except ForgottenExportError:
            state.unlink()
        else:
            return manifest
    raise FetchError("the FHIR server forgot the export twice before it was downloaded")


def end_export(server: BulkServer, state: Path) -> None:
    """Tell the server that its files may go, and forget the export."""
    if state.exists():
        with suppress(httpx.HTTPError):  # the server removes them by itself, later
            server.http.delete(read_json(state)["status_url"], headers=server.token.make_header(server.http))
        state.unlink()


class ForgottenExportError(FetchError):
    """The server no longer knows the export or one of its files."""


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """What a finished export consists of."""

    raw: dict[str, Any]

    @property
    def transaction_time(self) -> str:
        """Everything the server knew before it is in the export."""
        return str(self.raw["transactionTime"])

    @property
    def needs_token(self) -> bool:
        return bool(self.raw.get("requiresAccessToken"))

    def list_files(self) -> Iterator[tuple[str, str]]:
        """Name and address of each file: resources, deletions (Bundles) and errors."""
        for part in ("output", "deleted", "error"):
            for number, entry in enumerate(self.raw.get(part) or (), start=1):
                kind = "".join(c for c in str(entry.get("type", "")) if c.isalnum()) or "Resource"
                prefix = {"output": kind, "deleted": f"deleted-{kind}", "error": f".error-{kind}"}[part]
                yield f"{prefix}-{number:04d}.ndjson", str(entry["url"])


def count_errors(folder: Path) -> dict[str, int]:
    """The server's own errors by issue code; their texts may name a patient and are not read."""
    counts: dict[str, int] = {}
    for path in sorted(folder.glob(".error-*.ndjson")):
        for line in path.read_bytes().splitlines():
            try:
                issues = json.loads(line).get("issue", []) if line.strip() else []
            except ValueError:
                issues = [{"code": "unreadable"}]
            for issue in issues:
                code = str(issue.get("code", "unknown"))
                counts[code] = counts.get(code, 0) + 1
    return counts


def _kick_off(server: BulkServer, since: str | None, types: tuple[str, ...]) -> str:
    parameters = {"_outputFormat": "application/fhir+ndjson", "_type": ",".join(types)}
    if since:
        parameters["_since"] = since
    headers = {"Accept": "application/fhir+json", "Prefer": "respond-async"}
    answer = _get(server, server.kick_off_url, parameters, headers)
    if answer.status_code != 202 or "Content-Location" not in answer.headers:
        raise FetchError(f"the FHIR server did not start an export ({answer.status_code})")
    return str(answer.headers["Content-Location"])


def _poll(server: BulkServer, url: str) -> dict[str, Any]:
    while True:
        answer = _get(server, url, {}, {"Accept": "application/json"})
        if answer.status_code == 200:
            manifest = answer.json()
            if not isinstance(manifest, dict) or "transactionTime" not in manifest:
                raise FetchError("the FHIR server's export manifest has no transactionTime")
            return manifest
        if answer.status_code in (404, 410):
            raise ForgottenExportError("the FHIR server no longer knows the export")
        if answer.status_code != 202:
            raise FetchError(f"the FHIR server's export failed ({answer.status_code})")
        server.sleep(min(_read_wait(answer), LONGEST_WAIT))


def _download(server: BulkServer, url: str, target: Path, needs_token: bool) -> None:
    """Write one file under its name once it is whole.

    The token goes to the FHIR server's own origin only: a file elsewhere has a signed address.
    """
    own = urlsplit(url)[:2] == urlsplit(server.base_url)[:2]

    @stamina.retry(on=httpx.TransportError, attempts=ATTEMPTS)
    def stream() -> None:
        headers = {"Accept": "application/fhir+ndjson"}
        if needs_token and own:
            headers |= server.token.make_header(server.http)
        with server.http.stream("GET", url, headers=headers) as answer:
            if answer.status_code in (404, 410):
                raise ForgottenExportError("a file of the export is gone")
            if not answer.is_success:
                raise FetchError(f"a file of the export cannot be downloaded ({answer.status_code})")
            with atomic_write(target, 0o600) as temporary, temporary.open("wb") as file:
                for block in answer.iter_bytes():
                    file.write(block)

    try:
        stream()
    except httpx.TransportError as error:
        raise FetchError(f"a file of the export breaks off ({type(error).__name__}); a rerun continues") from error


def _get(server: BulkServer, url: str, parameters: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    """GET with the token, again after no answer, 429 or a 5xx status."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            access = server.token.make_header(server.http)
            answer = server.http.get(url, params=parameters or None, headers=headers | access)
        except httpx.TransportError as error:
            if attempt == ATTEMPTS:
                raise FetchError(f"the FHIR server does not answer ({type(error).__name__})") from error
            server.sleep(WAIT * attempt)
            continue
        if answer.status_code not in (429, 500, 502, 503, 504) or attempt == ATTEMPTS:
            return answer
        server.sleep(min(_read_wait(answer), LONGEST_WAIT))
    raise AssertionError("the last attempt returns or raises")


def _read_wait(answer: httpx.Response) -> float:
    """Seconds of ``Retry-After``, a number or a date; ``WAIT`` where it is neither."""
    value = answer.headers.get("Retry-After", "")
    if value.isdecimal():
        return max(float(value), 0.1)
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.1)
    except (ValueError, TypeError):
        return WAIT
