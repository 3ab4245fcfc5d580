"""Alerts: what an operator should know of a night, with the command that helps.

Every alert is a line of ``alerts.jsonl`` in the workspace, once; where ``PMLM_ALERT_URL`` is set, it is also sent there
by apprise (mail, Slack, Teams, PagerDuty, a webhook and others: one URL). An alert names stages, counts and families,
and nobody: an error appears by its class, since its message may quote a record.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from pipelines.night_dates import parse_night
from pipelines.runs import StageSummary, alerts_path
from pmlm.settings import Settings
from pmlm.storage import append_lines

MOST_QUARANTINED = 0.05  # share of a drop's resources
STALE = timedelta(days=2)  # of features, by the system's clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: its kind, the night, what happened, and the command that helps."""

    kind: str
    night: str
    text: str
    command: str

    @property
    def message(self) -> str:
        return f"{self.text}\nRun: {self.command}"


def raise_alerts(settings: Settings, alerts: list[Alert]) -> None:
    """Record and send those that are not on record yet; a failure to send is logged and stops nothing."""
    known = {(a.kind, a.night, a.text) for a in read_alerts(settings)}
    for alert in alerts:
        if (alert.kind, alert.night, alert.text) in known:
            continue
        known.add((alert.kind, alert.night, alert.text))
        line = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **asdict(alert)}
        append_lines(alerts_path(settings), json.dumps(line) + "\n")
        if settings.alert_url and not send_alert(settings.alert_url, settings.clinic, alert):
            log.warning(
                "an alert (%s) could not be sent to PMLM_ALERT_URL; it is in %s", alert.kind, alerts_path(settings)
            )


def read_alerts(settings: Settings) -> list[Alert]:
    """Read all alerts on record; a torn last line is passed over."""
    path = alerts_path(settings)
    if not path.exists():
        return []
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(Alert(**{k: v for k, v in json.loads(line).items() if k != "at"}))
        except ValueError:
            continue
    return found


def send_alert(url: str, clinic: str, alert: Alert) -> bool:
    """Send one alert; whether it arrived."""
    import apprise

    service = apprise.Apprise()
    if not service.add(url):
        return False
    level = apprise.NotifyType.FAILURE if alert.kind == "failed stage" else apprise.NotifyType.WARNING
    title = f"PMLM {clinic}: {alert.kind}, night {alert.night}"
    return bool(service.notify(title=title, body=alert.message, notify_type=level))


def find_failure(night: str, stage: str, error: BaseException) -> Alert:
    """The alert of a stage that failed."""
    return Alert("failed stage", night, f"the stage {stage} failed: {type(error).__name__}", "pmlm night")


def find_alerts(summary: StageSummary) -> list[Alert]:
    """The alerts that a finished stage gives cause to."""
    night = summary.night
    if summary.stage == "records" and summary.quarantined > MOST_QUARANTINED * summary.rows_in:
        share = summary.quarantined / summary.rows_in
        text = f"{summary.quarantined} of {summary.rows_in} resources are quarantined ({share:.0%})"
        return [Alert("quarantine", night, text, "pmlm quarantine list")]
    if summary.stage == "drift":
        families = sorted(name for name, verdict in summary.figures.items() if verdict == "drift")
        text = f"drift of {', '.join(families)}: where it began, a challenger is trained"
        return [Alert("drift", night, text, f"pmlm drift --night {night}")] if families else []
    if summary.stage == "gate" and summary.rows_in:  # a challenger was judged
        text = f"the challenger was {'promoted' if summary.rows_out else 'not promoted'}: {summary.detail}"
        return [Alert("verdict", night, text, f"pmlm status --night {night}")]
    return []


def check_freshness(settings: Settings, now: datetime) -> int:
    """Raise the alert of stale features, in a clinic whose clock is the system's; returns how many."""
    from pipelines.records.log import ledger

    nights = [entry.night for entry in ledger.read_entries(settings)]
    found = find_stale_features(nights[-1], now) if nights and settings.manifest.clock == "wall" else []
    raise_alerts(settings, found)
    return len(found)


def find_stale_features(night: str, now: datetime) -> list[Alert]:
    """The alert of features that are older than ``STALE``, by the last ingested night."""
    age = now.date() - parse_night(night)
    if age <= STALE:
        return []
    return [Alert("stale features", night, f"the last records are {age.days} days old", "pmlm night")]
