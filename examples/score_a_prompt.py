"""Score two prompts by hand: all facts of an episode against the one that matters.

Prints each prompt's likelihood of the clinician's reply (nats per token), the price of its free segments and the
reward, then the gain of every free segment: how the reward changes if it is added to the pinned segments alone.
The formulas are in ``models/reward/terms.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from models.llm import make_token_counter
from models.prompt.rendering import render_prompt
from models.reward import terms
from models.reward.embedded_scorer import EmbeddedScorer
from models.schema import Segment
from pmlm.settings import load_settings

QUESTION = "Why am I so tired?"
REPLY = ("Thank you for your message.", "Your haemoglobin was 9.8 g/dL, which is low.")
SPECIFIC = (False, True)  # the first sentence would fit every patient: it does not count
PINNED = (
    Segment("safety", "pinned", "In an emergency tell her to call for help at once.", pinned=True),
    Segment("allergies", "pinned", "No drug allergies on record.", pinned=True),
)
FREE = (
    Segment("haemoglobin.latest", "record", "Haemoglobin 9.8 g/dL, low, 7 days ago"),
    Segment("condition.asthma", "record", "Has asthma"),
    Segment("behaviour.visits", "behaviour", "She came to every appointment of the last year."),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--price", type=float, default=0.001, help="price of a token of a free segment, in nats")
    price = parser.parse_args().price
    folder = load_settings().embedded_llm  # the embedded language model, converted here on first use
    count = make_token_counter(folder)
    free = [replace(segment, tokens=count(segment.text)) for segment in FREE]
    scorer = EmbeddedScorer(folder)

    def score(segments: Sequence[Segment]) -> tuple[terms.Score, int, float]:
        """The likelihood, the free tokens and the reward of a prompt of these free segments."""
        trial = terms.Trial(render_prompt((*PINNED, *segments)), QUESTION, REPLY, SPECIFIC)
        (likelihood,) = terms.score_trials(scorer, [trial])
        tokens = sum(segment.tokens for segment in segments)
        return likelihood, tokens, terms.reward(likelihood, tokens, price)

    initial, refined = score(free), score(free[:1])
    for name, (likelihood, tokens, reward) in {"initial": initial, "refined": refined}.items():
        paid = terms.length_term(tokens, price)
        print(f"{name:8} log p {likelihood.specific:+.3f}  length term {paid:+.3f}  reward {reward:+.3f}")
    print(f"alignment of the refined prompt: {terms.alignment(refined[0], initial[0]):+.3f} nats per token")

    _, _, without = score(())
    for segment in free:
        print(f"gain {score([segment])[2] - without:+.3f}  {segment.key}: {segment.text}")
    print(f"\nThe refined prompt:\n{render_prompt((*PINNED, free[0]))}")


if __name__ == "__main__":
    main()
