"""Alerts: what gives cause to one, that each is sent once with the command that helps, and that none names anyone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.night import alerts, stages
from pipelines.night.alerts import Alert
from pipelines.runs import StageSummary
from pmlm.settings import Settings

NIGHT = "20260601"


class Inbox(ThreadingHTTPServer):
    """A server that keeps what is posted to it."""

    received: list[dict]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = Inbox(("127.0.0.1", 0), Handler)
    server.received = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path / "state", drops=tmp_path / "clinic", alert_url=None)
    made.workspace.mkdir(parents=True)
    return made


def finish(stage: str, **values: object) -> StageSummary:
    return StageSummary(stage=stage, night=NIGHT, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("summary", "text", "command"),
    [
        (
            finish("records", rows_in=100, quarantined=6),
            "6 of 100 resources are quarantined (6%)",
            "pmlm quarantine list",
        ),
        (
            finish("drift", figures={"records": "drift", "prompts": "stable"}),
            "drift of records: where it began, a challenger is trained",
            "pmlm drift --night 20260601",
        ),
        (
            finish("gate", rows_in=30, rows_out=1, detail="better by 0.1"),
            "the challenger was promoted: better by 0.1",
            "pmlm status --night 20260601",
        ),
    ],
)
def test_a_stage_gives_cause_to_an_alert_with_the_command_that_helps(
    summary: StageSummary, text: str, command: str
) -> None:
    (alert,) = alerts.find_alerts(summary)
    assert (alert.text, alert.command) == (text, command)


def test_a_quiet_night_alerts_nobody() -> None:
    quiet = [
        finish("records", rows_in=100, quarantined=5),
        finish("drift", figures={"records": "stable", "rewards": "no verdict"}),
        finish("gate", rows_in=0, detail="no training"),
        finish("train", status="noop"),
    ]
    assert [alert for summary in quiet for alert in alerts.find_alerts(summary)] == []


def test_features_are_stale_after_two_days() -> None:
    assert alerts.find_stale_features(NIGHT, datetime(2026, 6, 3, 12, tzinfo=UTC)) == []
    (alert,) = alerts.find_stale_features(NIGHT, datetime(2026, 6, 4, tzinfo=UTC))
    assert (alert.text, alert.command) == ("the last records are 3 days old", "pmlm night")


def test_a_failed_stage_is_on_record_by_its_errors_class_alone(settings: Settings) -> None:
    def fail(settings: Settings, night: str) -> StageSummary:
        raise ValueError("Patient/w1 Anna Smith")

    with pytest.raises(ValueError, match="Anna"):
        stages.run_and_alert(settings, NIGHT, "features", fail)
    (alert,) = alerts.read_alerts(settings)
    assert alert == Alert("failed stage", NIGHT, "the stage features failed: ValueError", "pmlm night")
    assert "Anna" not in alerts.alerts_path(settings).read_text()


def test_an_alert_is_on_record_once(settings: Settings) -> None:
    alert = Alert("drift", NIGHT, "drift of records", "pmlm drift")
    alerts.raise_alerts(settings, [alert, alert])
    alerts.raise_alerts(settings, [alert])
    assert alerts.read_alerts(settings) == [alert]


def test_an_alert_is_sent_to_the_url_once(settings: Settings, inbox: Inbox) -> None:
    pytest.importorskip("apprise")
    settings = settings.model_copy(update={"alert_url": f"json://127.0.0.1:{inbox.server_port}"})
    alert = Alert("drift", NIGHT, "drift of records", f"pmlm drift --night {NIGHT}")
    for _ in range(2):
        alerts.raise_alerts(settings, [alert])
    (sent,) = inbox.received
    assert sent["title"] == "PMLM clinic: drift, night 20260601"
    assert sent["message"] == "drift of records\nRun: pmlm drift --night 20260601"


def test_a_server_that_is_down_stops_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("apprise")
    settings = settings.model_copy(update={"alert_url": "json://127.0.0.1:9"})
    alerts.raise_alerts(settings, [Alert("drift", NIGHT, "drift of records", "pmlm drift")])
    assert len(alerts.read_alerts(settings)) == 1
    assert "could not be sent" in caplog.text


def test_nothing_is_sent_without_a_url(settings: Settings, inbox: Inbox) -> None:
    alerts.raise_alerts(settings, [Alert("drift", NIGHT, "drift of records", "pmlm drift")])
    assert inbox.received == []
