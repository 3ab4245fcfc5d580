"""What an alternative has learnt of gains, as arrays (for safetensors) and plain tables (for JSON), and back.

Nothing that is executed when it is read, and no text of a record: wordings are hashes, kinds of question are vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.encoder import Encoder
from models.refiner.gain_regressors import FixedGain, Gain, TableGain, TextGain


@dataclass(frozen=True, slots=True)
class Kept:
    """``arrays`` by name, and ``tables`` of plain numbers and words."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)


def kept(gain: Gain) -> Kept:
    """A gain to be written."""
    if isinstance(gain, FixedGain):
        return Kept(tables={"mean": dict(sorted(gain.mean.items()))})
    if isinstance(gain, TableGain):
        rows = [[*key, value] for key, value in sorted(gain.fine.items())]
        coarse = [[*key, value] for key, value in sorted(gain.coarse.items())]
        return Kept({"kinds": gain.kinds.astype(np.float64)}, {"fine": rows, "coarse": coarse})
    if isinstance(gain, TextGain):
        return Kept({"weights": gain.weights, "centre": gain.centre, "scale": gain.scale}, {"bias": gain.bias})
    raise TypeError(f"a {type(gain).__name__} cannot be kept")


def restored(kind: str, found: Kept, encoder: Encoder) -> Gain:
    """The gain of that kind; KeyError where the kind is unknown or a part is missing."""
    arrays, tables = found.arrays, found.tables
    if kind == FixedGain.kind:
        return FixedGain(dict(tables["mean"]))
    if kind == TableGain.kind:
        fine = {(int(kind), key, wording): gain for kind, key, wording, gain in tables["fine"]}
        coarse = {(int(kind), key): gain for kind, key, gain in tables["coarse"]}
        return TableGain(arrays["kinds"], fine, coarse, encoder)
    if kind == TextGain.kind:
        return TextGain(arrays["weights"], float(tables["bias"]), arrays["centre"], arrays["scale"], encoder)
    raise KeyError(kind)
