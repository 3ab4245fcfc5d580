"""Write the feature catalogue: meaning, unit, owner, codes, null rate and plot of each.

One self-contained page, generated from the definitions and the newest rows. It shows no individual: a plot needs
values of at least ``2 k`` patients, its ends are cut at the k-th value, and a word is named where k patients share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from feast import Field
from feast.types import Array
from jinja2 import Environment, PackageLoader, select_autoescape

from feature_repo.point_in_time import KEY
from feature_repo.store.services import find_groups, hash_schema
from models.vocabulary import SIGNALS
from pipelines.features.build.definitions import MODELLED
from pipelines.features.engines import feature_files
from pipelines.features.engines.query import compile_group
from pmlm.errors import FeaturesError
from pmlm.settings import Settings
from pmlm.storage import write_bytes

PAGE = "features.html"
BARS = 12
CODE = re.compile(r"'([A-Z][A-Z0-9_]*//[^'%]+|MEDS_[A-Z]+)'")


@dataclass(frozen=True, slots=True)
class PlotBar:
    """One bar of a plot; ``share`` is its height relative to the highest."""

    label: str
    share: float


@dataclass(frozen=True, slots=True)
class CatalogueFeature:
    """One feature on the page; ``unknown`` is the share of patients without a value."""

    name: str
    meaning: str
    type: str
    unit: str
    bounds: str
    codes: tuple[str, ...]
    unknown: float
    bars: tuple[PlotBar, ...]


@dataclass(frozen=True, slots=True)
class CatalogueGroup:
    """One feature group on the page."""

    name: str
    meaning: str
    owner: str
    patients: int
    codes: tuple[str, ...]
    entries: tuple[CatalogueFeature, ...]


def write_page(settings: Settings, made: datetime) -> Path:
    """Write ``reports/features.html`` and return its path; ``FeaturesError`` before the first build."""
    found = describe_groups(settings)
    environment = Environment(
        loader=PackageLoader("pipelines.features.inspect", "."), autoescape=select_autoescape(["j2"])
    )
    page = environment.get_template("catalogue.html.j2").render(
        groups=found, clinic=settings.clinic, made=f"{made:%Y-%m-%d %H:%M} UTC", schema=hash_schema()
    )
    return write_bytes(settings.reports / PAGE, page.encode())


def describe_groups(settings: Settings) -> list[CatalogueGroup]:
    """Describe every feature group for the page."""
    if not any(settings.features.glob("*/*.parquet")):
        raise FeaturesError("no features yet: run `pmlm features build`")
    return [_describe_group(settings, name) for name in find_groups()]


def _describe_group(settings: Settings, name: str) -> CatalogueGroup:
    view = find_groups()[name].view
    rows = feature_files.scan_rows(settings.features / name).sort(*KEY).unique(KEY[0], keep="last").collect()
    of_signals = {f"{signal.name}_": signal.codes for signal in SIGNALS}
    entries = []
    for field in view.features:
        codes = next((codes for stem, codes in of_signals.items() if field.name.startswith(stem)), ())
        entries.append(_describe_feature(field, rows[field.name], tuple(codes), settings.k_anonymity))
    codes = () if all(entry.codes for entry in entries) else _find_codes(name)
    return CatalogueGroup(name, view.description, view.owner, rows.height, codes, tuple(entries))


def _find_codes(name: str) -> tuple[str, ...]:
    """Find the codes in a group's query; none where a program computes it."""
    return () if name in MODELLED else tuple(sorted(set(CODE.findall(compile_group(find_groups()[name]).sql))))


def _describe_feature(field: Field, values: pl.Series, codes: tuple[str, ...], k: int) -> CatalogueFeature:
    known = values.list.len() > 0 if values.dtype == pl.List else values.is_not_null()
    bounds = " … ".join(field.tags.get(end, "") for end in ("low", "high"))
    return CatalogueFeature(
        name=field.name,
        meaning=field.description,
        type=f"list of {field.dtype.base_type}" if isinstance(field.dtype, Array) else str(field.dtype),
        unit=field.tags.get("unit", ""),
        bounds=bounds if bounds.strip(" …") else "",
        codes=codes,
        unknown=1 - float(known.fill_null(False).mean() or 0.0),  # type: ignore[arg-type]
        bars=_plot_values(field.name, values, k),
    )


def _plot_values(name: str, values: pl.Series, k: int) -> tuple[PlotBar, ...]:
    """Plot numbers, months, list lengths, or words by how many share them; never hashes."""
    if name.endswith(("_source", "_sources")) or values.drop_nulls().len() < 2 * k:
        return ()
    if values.dtype == pl.List:
        return () if name == "embedding" else _plot_numbers(values.list.len().drop_nulls().cast(pl.Float64), k)
    if values.dtype == pl.String:
        return _plot_words(values.drop_nulls(), k)
    if isinstance(values.dtype, pl.Datetime):
        days = values.drop_nulls().dt.epoch("d").cast(pl.Float64)
        return _plot_numbers(days, k, lambda day: f"{datetime.fromtimestamp(day * 86_400, UTC):%Y-%m}")
    return _plot_numbers(values.drop_nulls().cast(pl.Float64), k)


def _plot_numbers(values: pl.Series, k: int, named: Callable[[float], str] = "{:.4g}".format) -> tuple[PlotBar, ...]:
    ordered = values.sort()
    low, high = float(ordered[k - 1]), float(ordered[-k])
    if low >= high:
        return (PlotBar(named(low), 1.0),)
    width = (high - low) / BARS
    placed = ((ordered.clip(low, high) - low) / width).floor().clip(0, BARS - 1).cast(pl.Int64)
    counts = [int((placed == i).sum()) for i in range(BARS)]
    ends = [named(low + i * width) for i in range(BARS + 1)]
    return tuple(PlotBar(f"{ends[i]} to {ends[i + 1]}", n / max(counts)) for i, n in enumerate(counts))


def _plot_words(values: pl.Series, k: int) -> tuple[PlotBar, ...]:
    counts = values.value_counts(sort=True, name="n").rows()
    shared = [(word, n) for word, n in counts if n >= k][:BARS]
    rest = len(values) - sum(n for _, n in shared)
    shown = [*shared, *([("other", rest)] if rest >= k else [])]
    most = max((n for _, n in shown), default=0)
    return tuple(PlotBar(word, n / most) for word, n in shown)
