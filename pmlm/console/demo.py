"""``pmlm demo``: serve the shipped night, and open the page on one question."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from rich.markup import escape

from bentos.auth import keys
from pipelines.night.finished.restore import restore_finished_night
from pmlm.console.progress import redirect_output
from pmlm.example_patient import REFERENCE
from pmlm.settings import Settings

#: What to try: the question that the page opens on, one that a clinician has answered, one with a red flag.
QUESTIONS = (
    ("Is it normal to feel this tired?", "the page asks it first: the answer names the low haemoglobin"),
    ("I feel huge. Is my weight gain a problem for the baby?", "beside what the clinician wrote"),
    ("My baby hasn't moved since breakfast.", "an emergency: no model speaks"),
)
LINK_HOURS = 12.0


def run_demo(settings: Settings) -> None:
    """Restore the finished night where there is none, serve it, and print a link and three questions."""
    from pipelines.monitoring.operations.build import write_operations
    from pipelines.packaging import serving

    started = time.monotonic()
    settings.workspace.mkdir(parents=True, exist_ok=True)
    log = settings.workspace / "logs" / "demo.log"
    console = redirect_output(log)
    console.print(
        "[bold]PMLM[/] · demo: serves a finished night of the synthetic sample clinic, within 90 seconds.\n"
        f"[dim]What libraries print is in {log}.[/]",
        soft_wrap=True,
    )
    with console.status("looking at what is here") as status:
        for doing in restore_finished_night(settings):
            status.update(doing)
        write_operations(settings)  # for /ops, as the night itself does at its end
        status.update("starting the endpoint")
        alone = settings.model_copy(update={"workers": 1})  # one person tries it, who waits for one to load
        endpoint = serving.find_running_endpoint(settings) or serving.start_endpoint(alone)
    console.print(f"[green]✓[/] release {endpoint.release} answers after {time.monotonic() - started:.0f} s")
    console.print(f"\nOpen  {make_link(settings, endpoint.url)}\n", soft_wrap=True)
    for line in list_steps():
        console.print(line, soft_wrap=True)


def make_link(settings: Settings, url: str) -> str:
    """The page's address, signed in for some hours, with the example's patient and question.

    They stand in the fragment, which a browser sends to no server; the page removes it from the address bar.
    """
    token = keys.mint(settings, "demo", keys.SCOPES, None, LINK_HOURS)
    patient = f"subject:{settings.subject_id(REFERENCE)}"
    return f"{url}/#{urlencode({'token': token, 'patient': patient, 'question': QUESTIONS[0][0]})}"


def list_steps() -> list[str]:
    """The questions to try, and how to end, in markup."""
    asked = [
        f"  [bold]{escape(command)}[/]  [dim]{why}[/]"
        for command, why in ((f'pmlm ask {REFERENCE} "{question}"', why) for question, why in QUESTIONS)
    ]
    return [
        "Three questions to try there, or here after `. .venv/bin/activate`:",
        *asked,
        "`make down` stops it. `make night` runs a night itself, in a state folder of your own: `PMLM_HOME=…`.",
    ]
