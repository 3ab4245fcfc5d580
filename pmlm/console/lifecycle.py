"""``pmlm up`` and ``pmlm down``: start and stop Airflow and the endpoint together."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.night import airflow_settings
from pipelines.night.schedule import airflow_processes
from pmlm.settings import Settings


def start_services(settings: Settings) -> Iterator[str]:
    """Start what does not run yet; yields one line per part once it answers."""
    from pipelines.packaging import serving

    airflow_processes.start_airflow(settings)
    login, page = airflow_settings.login_path(settings), airflow_settings.page_url(settings)
    yield f"[green]✓[/] Airflow    {page}   user {airflow_settings.USER}, password in {login}"
    if not serving.current_release(settings).exists():
        yield "[yellow]–[/] endpoint   nothing to serve yet: run `pmlm night`, then `pmlm up` again"
        return
    endpoint = serving.find_running_endpoint(settings) or serving.start_endpoint(settings)
    yield f"[green]✓[/] endpoint   {endpoint.url}   release {endpoint.release}"
    yield from format_token_lines(settings, endpoint.url)


def format_token_lines(settings: Settings, url: str) -> Iterator[str]:
    """The page and the development token: in full once, afterwards only its file."""
    from bentos.auth import keys

    path = keys.token_path(settings)
    if (token := keys.take_new_token(settings)) is None:
        yield f"  page       {url}/"
        yield f"  token      in {path}; `pmlm token` makes others"
        return
    # in the fragment, which a browser sends to no server; the page removes it from the address bar
    yield f"  page       {url}/#token={token}"
    yield f"  token      {token}"
    yield f"             shown only this once; stored in {path}, mode 600. Send it as Authorization: Bearer …"


def stop_services(settings: Settings) -> Iterator[str]:
    """Stop both; yields for each whether it ran."""
    from pipelines.packaging import serving

    for name, stopped in (
        ("endpoint", serving.stop_recorded_endpoint(settings)),
        ("Airflow", airflow_processes.stop_airflow(settings)),
    ):
        yield f"{name} {'is stopped' if stopped else 'did not run'}"
