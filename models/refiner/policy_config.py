"""Configure a policy: sizes, caps, and the version of what its weights mean."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

from models.refiner.actions import PAD, STOP, Actions
from models.refiner.interface import Caps

VERSION = 3  # of what the weights mean
CALIBRATED = 2  # the first version whose stop follows from the probabilities of the picks
SHARPNESS = 2.0  # κ
LEAST = 1e-4  # bound of θ away from 0 and 1; a segment with a smaller p is never picked


class PolicyConfig(PretrainedConfig):
    """Sizes and caps of a policy; ``slots`` is the most segments per prompt.

    ``version`` 1 is a policy of before the calibrated stop: κ = 1, STOP's logit is its last term alone, and all free
    segments may be picked together. ``version`` 2 is one of before the relevance of findings (ρ = 0). Such champions
    are served until the next training replaces them.
    """

    model_type = "pmlm_refiner"

    def __init__(
        self,
        slots: int = 32,
        pick_cap: int = 4,
        token_cap: int = 60,
        embedding_size: int = 384,
        hidden_size: int = 64,
        version: int = VERSION,
        **rest: Any,
    ) -> None:
        self.slots = slots
        self.pick_cap = pick_cap
        self.token_cap = token_cap
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.version = version
        rest |= {"pad_token_id": PAD, "eos_token_id": STOP, "tie_word_embeddings": False, "use_cache": False}
        self.vocab_size = Actions(slots).size
        super().__init__(**rest)

    @property
    def actions(self) -> Actions:
        return Actions(self.slots)

    @property
    def caps(self) -> Caps:
        return Caps(self.pick_cap, self.token_cap)

    @property
    def is_calibrated(self) -> bool:
        """Whether the stop follows from the probabilities of the picks."""
        return self.version >= CALIBRATED

    @property
    def reads_relevance(self) -> bool:
        """Whether the relevance of findings is an input."""
        return self.version >= VERSION

    @property
    def sharpness(self) -> float:
        """κ."""
        return SHARPNESS if self.is_calibrated else 1.0
