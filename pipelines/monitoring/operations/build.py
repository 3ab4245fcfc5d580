"""Build the figures of the operations page, and write them for the endpoint.

Only small files that are there already are read: stage summaries of the last nights, verdicts, counts and alerts. A
file that is missing or torn is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pipelines.monitoring.operations import alert_lines, health, history, usage
from pipelines.monitoring.operations.summaries import read_last_nights
from pmlm.operations_types import Operations, operations_path
from pmlm.settings import Settings
from pmlm.storage import write_bytes


def build_operations(settings: Settings, now: datetime | None = None) -> Operations:
    """The figures as they stand; ``now`` is when they were read."""
    nights, k = read_last_nights(settings), settings.k_anonymity
    return Operations(
        clinic=settings.clinic,
        written_at=f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        k=k,
        nights=list(history.list_nights(nights, k)),
        gate=list(history.list_judgements(nights, k)),
        champions=list(history.list_champions(settings)),
        drift=list(health.list_drift(settings, nights)),
        features=list(health.list_feature_groups(nights)),
        null_rates=list(health.list_null_rates(settings, nights, k)),
        traffic=list(usage.list_traffic(settings, k)),
        feedback=list(usage.list_feedback(nights, k)),
        tokens=list(history.list_tokens(nights, k)),
        alerts=list(alert_lines.list_open_alerts(settings, nights, k)),
    )


def write_operations(settings: Settings) -> Operations:
    """Write ``monitoring/operations.json``, which ``GET /ops/figures`` shows."""
    found = build_operations(settings)
    write_bytes(operations_path(settings), found.model_dump_json(indent=1).encode())
    return found


def count_points(found: Operations) -> int:
    """Count the lines of the page."""
    parts: Iterable[object] = (getattr(found, name) for name in Operations.model_fields)
    return sum(len(part) for part in parts if isinstance(part, list))
