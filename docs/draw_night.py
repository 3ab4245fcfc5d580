"""Draw docs/night.svg: the screen a finished night ended with, from the JSON object it printed last.

    pmlm night --json > night.out && python docs/draw_night.py night.out

Nothing is made up and two things are cut: the middle of the initial prompt, which is long, and the beginning of
paths, which belong to one machine.
"""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from pmlm.console import screen

OUT = Path(__file__).parent / "night.svg"
WIDTH = 120
FONT_FROM_THE_NETWORK = re.compile(r"@font-face \{.*?\}", re.S)
SHOWN_LINES = 16  # of the initial prompt, before and after the cut together


def shortened(prompt: str) -> str:
    """The prompt with its middle lines replaced by their number."""
    lines = prompt.splitlines()
    if len(lines) <= SHOWN_LINES:
        return prompt
    head, tail = lines[: SHOWN_LINES - 3], lines[-3:]
    return "\n".join([*head, f"… {len(lines) - SHOWN_LINES} more sentences …", *tail])


def without_machine(status: dict[str, Any]) -> dict[str, str]:
    """The pages to open, each path from the state folder on."""
    inside = f"/{status['clinic']}/"
    return {
        name: f"state{inside}{place.split(inside, 1)[1]}" if inside in place else place
        for name, place in status["pages"].items()
    }


def draw(status: dict[str, Any]) -> str:
    """The screen as SVG text."""
    example = status["example"]
    if example:
        example["answer"]["initial_prompt"] = shortened(example["answer"]["initial_prompt"])
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    screen.show_night(console, status | {"pages": without_machine(status)}, example)
    svg = console.export_svg(title="make night", unique_id="night")
    return FONT_FROM_THE_NETWORK.sub("", svg)  # the reader's own monospace font will do


if __name__ == "__main__":
    last = Path(sys.argv[1]).read_text().splitlines()[-1]
    OUT.write_text(draw(json.loads(last)))
