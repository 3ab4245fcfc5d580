"""Summarise numeric signals as of a time: latest and previous value, usual range, trend.

One expression serves every signal of ``models.vocabulary.SIGNALS``; the groups ``vitals``, ``labs`` and ``scores``
name theirs. For a signal S a row has

| feature | meaning |
| --- | --- |
| ``S_latest``, ``S_time``, ``S_source`` | the newest value, when it was measured, the hash of its source line |
| ``S_comparator`` | ``<``, ``<=``, ``>=`` or ``>`` where the newest value is only a bound; ``preliminary``; or null |
| ``S_previous``, ``S_previous_time`` | the last value of an earlier day than the newest |
| ``S_mean``, ``S_sd``, ``S_count`` | of the values in the 730 days before the newest, without it; sd with n − 1 |
| ``S_shift``, ``S_shift_size`` | a new level of the newest values: score, size (``models.patient.changes.shifts``) |
| ``S_shift_time``, ``S_shift_from`` | when the new level began, and the mean time of the values before it |
| ``S_slope`` | least squares over the 84 days up to the newest, units per week; null under 3 values |

Bounds and preliminary values are in no other feature: a mean of "above 600" is no mean.

Values are counted in thousandths of the unit and times in whole seconds: sums of integers do not depend on the order
of the rows or on the number of threads, so a row has the same bits wherever and however often it is computed.
"""

from __future__ import annotations

import ibis
from feast import Field
from feast.types import Float64, Int64, String, UnixTimestamp
from ibis.expr.types import IntegerColumn, NumericColumn, Table

from feature_repo.point_in_time import DAY, KEY, join_to_moments, select_known, to_moment, to_seconds
from models.patient.changes.shifts import BAND_DAYS, PRIOR_VALUES, RECENT_VALUES, SCALE
from models.vocabulary import SIGNALS, Signal

TREND_DAYS = 84
WEEK = 7 * DAY
NOT_NEGATIVE = {"low": "0"}
PARTS = (
    *("latest", "time", "previous", "previous_time", "mean", "sd", "count", "slope", "source", "comparator"),
    *("shift", "shift_size", "shift_time", "shift_from"),
)


def _find_signals(names: tuple[str, ...]) -> list[Signal]:
    by_name = {signal.name: signal for signal in SIGNALS}
    return [by_name[name] for name in names]


def build_fields(*names: str) -> list[Field]:
    """Build the schema of these signals, each with its unit and meaning."""
    out = []
    for s in _find_signals(names):
        unit = {"unit": s.unit}
        bounded = unit | {"low": f"{s.low:g}", "high": f"{s.high:g}"}
        out += [
            Field(name=f"{s.name}_latest", dtype=Float64, tags=bounded, description=f"latest {s.label}"),
            Field(name=f"{s.name}_time", dtype=UnixTimestamp, description=f"when the latest {s.label} was measured"),
            Field(name=f"{s.name}_previous", dtype=Float64, tags=bounded, description=f"{s.label} of an earlier day"),
            Field(name=f"{s.name}_previous_time", dtype=UnixTimestamp, description="when that one was measured"),
            Field(name=f"{s.name}_mean", dtype=Float64, tags=bounded, description=f"mean {s.label}, two years before"),
            Field(
                name=f"{s.name}_sd",
                dtype=Float64,
                tags=unit | NOT_NEGATIVE,
                description="standard deviation of the same values",
            ),
            Field(name=f"{s.name}_count", dtype=Int64, tags=NOT_NEGATIVE, description="number of the same values"),
            Field(name=f"{s.name}_slope", dtype=Float64, tags={"unit": f"{s.unit}/wk"}, description="trend, 12 weeks"),
            Field(name=f"{s.name}_shift", dtype=Float64, description="score of a new level among the newest values"),
            Field(
                name=f"{s.name}_shift_size", dtype=Float64, tags=unit, description="the new level less the one before"
            ),
            Field(name=f"{s.name}_shift_time", dtype=UnixTimestamp, description="when the new level began"),
            Field(name=f"{s.name}_shift_from", dtype=UnixTimestamp, description="mean time of the values before it"),
            Field(name=f"{s.name}_source", dtype=String, description="source line of the latest value"),
            Field(name=f"{s.name}_comparator", dtype=String, description="<, <=, >= or > of a bound; preliminary"),
        ]
    return out


def build_expression(events: Table, moments: Table, names: tuple[str, ...]) -> Table:
    """Compute ``KEY`` and the features of each named signal at every as-of time."""
    chosen = _find_signals(names)
    values = _join_newest(select_known(_select_measurements(events, chosen), moments, "observation"))
    shifts = _find_shifts(values, chosen)
    group = (*KEY, "signal")
    own = _summarise(values)
    # named one by one: Ibis orders dropped columns differently in each process, and a definition hashes this SQL
    columns = (*own.columns, *(name for name in shifts.columns if name not in group))
    summaries = own.left_join(shifts, group).select(*columns)
    return join_to_moments(moments, *(_name_columns(summaries, place, s.name) for place, s in enumerate(chosen)))


def _select_measurements(events: Table, signals: list[Signal]) -> Table:
    """Select the signals' values; ``signal`` is a number, the place in ``signals``, to group by."""
    codes = {code: place for place, signal in enumerate(signals) for code in signal.codes}
    found = events.filter(events.code.isin(list(codes)), events.numeric_value.notnull())
    return found.mutate(
        signal=found.code.cases(*codes.items()),
        value=(found.numeric_value.cast("float64") * SCALE).round().cast("int64"),
        second=to_seconds(found.time),
    )


def _join_newest(values: Table) -> Table:
    """Add the second and place of the newest value of the same as-of time and signal."""
    group = (*KEY, "signal")
    newest = values.group_by(*group).aggregate(newest=values.second.max(), newest_place=values.place.max())
    return values.inner_join(newest, group)


def _summarise(v: Table) -> Table:
    """Compute a row per as-of time and signal from all values known then."""
    group = (*KEY, "signal")
    is_newest = v.place == v.newest_place
    exact = v.text_value.isnull()  # the text of a number is its comparator, or "preliminary"
    earlier_day = exact & (v.second < v.newest // DAY * DAY)
    band = exact & (v.place < v.newest_place) & (v.second >= v.newest - BAND_DAYS * DAY)
    trend = exact & (v.second >= v.newest - TREND_DAYS * DAY)
    x = v.second - v.newest
    sums = v.group_by(*group).aggregate(
        latest=v.value.max(where=is_newest),
        time=v.time.max(),
        source=v.source.max(where=is_newest),
        comparator=v.text_value.max(where=is_newest),
        previous=v.value.argmax(v.place, where=earlier_day),
        previous_time=v.time.max(where=earlier_day),
        n=v.value.count(where=band),
        total=v.value.sum(where=band),
        squares=(v.value * v.value).sum(where=band),
        k=v.value.count(where=trend),
        sx=x.sum(where=trend),
        sy=v.value.sum(where=trend),
        sxx=(x * x).sum(where=trend),
        sxy=(x * v.value).sum(where=trend),
    )
    return sums.select(
        *KEY,
        "signal",
        "time",
        "source",
        "comparator",
        "previous_time",
        latest=sums.latest / SCALE,
        previous=sums.previous / SCALE,
        count=sums.n,
        mean=_divide(sums.total, sums.n) / SCALE,
        sd=_deviation(sums.n, sums.total, sums.squares),
        slope=_slope(sums),
    )


def _find_shifts(v: Table, signals: list[Signal]) -> Table:
    """Compute the likeliest new level per as-of time and signal, from the values of the band and the newest one."""
    group = (*KEY, "signal")
    exact = v.filter(v.text_value.isnull(), v.second >= v.newest - BAND_DAYS * DAY)
    newest_first = ibis.window(group_by=[exact[name] for name in group], order_by=exact.place.desc())
    ranked = exact.mutate(rank=ibis.row_number().over(newest_first))
    sums = ranked.group_by(*group).aggregate(
        n=ranked.value.count(),
        total=ranked.value.sum(),
        squares=(ranked.value * ranked.value).sum(),
        seconds=ranked.second.sum(),
        **{f"after_{j}": ranked.value.sum(where=ranked["rank"] < j) for j in range(1, RECENT_VALUES + 1)},
        **{f"seconds_{j}": ranked.second.sum(where=ranked["rank"] < j) for j in range(1, RECENT_VALUES + 1)},
        **{f"begun_{j}": ranked.time.min(where=ranked["rank"] < j) for j in range(1, RECENT_VALUES + 1)},
    )
    steps = sums.signal.cases(*((place, round(s.step * SCALE)) for place, s in enumerate(signals)), else_=SCALE)
    gains = {f"gain_{j}": _score_split(sums, j, steps) for j in range(1, RECENT_VALUES + 1)}
    scored = sums.filter(sums.n >= 2).mutate(**gains)
    scored = scored.mutate(best=ibis.greatest(*(scored[name] for name in gains)))
    chosen = scored.mutate(
        after_n=ibis.cases(*((scored[f"gain_{j}"] == scored.best, j) for j in range(1, RECENT_VALUES + 1)), else_=1)
    )
    parts = {
        name: ibis.cases(*((chosen.after_n == j, chosen[f"{name}_{j}"]) for j in range(1, RECENT_VALUES + 1)))
        for name in ("after", "seconds", "begun")
    }
    size = _divide(
        chosen.n * parts["after"] - chosen.after_n * chosen.total, chosen.after_n * (chosen.n - chosen.after_n)
    )
    return chosen.select(
        *group,
        shift=ibis.cases((size < 0, -chosen.best.sqrt()), else_=chosen.best.sqrt()),
        shift_size=size / SCALE,
        shift_time=parts["begun"],
        shift_from=to_moment((chosen.seconds - parts["seconds"]) // (chosen.n - chosen.after_n)),
    )


def _score_split(s: Table, after: int, step: IntegerColumn) -> NumericColumn:
    """Compute the score of a new level of the ``after`` newest values; -1 where none are before."""
    between = s.n * s[f"after_{after}"] - after * s.total
    gain = _divide(between * between, s.n * after * (s.n - after))
    within = ibis.greatest(_divide(s.n * s.squares - s.total * s.total, s.n) - gain, 0.0)
    noise = (within + (PRIOR_VALUES * step * step).cast("float64")) / (s.n + (PRIOR_VALUES - 2)).cast("float64")
    return ibis.cases((s.n > after, gain / noise), else_=-1.0)


def _divide(top: IntegerColumn, bottom: IntegerColumn) -> NumericColumn:
    return top.cast("float64") / bottom.nullif(0).cast("float64")


def _deviation(n: IntegerColumn, total: IntegerColumn, squares: IntegerColumn) -> NumericColumn:
    variance = _divide(n * squares - total * total, n * (n - 1))
    return variance.sqrt() / SCALE


def _slope(s: Table) -> NumericColumn:
    slope = _divide(s.k * s.sxy - s.sx * s.sy, s.k * s.sxx - s.sx * s.sx)
    return ibis.cases((s.k >= 3, slope * WEEK / SCALE))


def _name_columns(summaries: Table, signal: int, name: str) -> Table:
    """Select ``KEY`` and one signal's summary under the names of its features."""
    of_signal = summaries.filter(summaries.signal == signal)
    return of_signal.select(*KEY, **{f"{name}_{part}": of_signal[part] for part in PARTS})
