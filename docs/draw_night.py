"""Draw docs/night.svg: the final screen of a night, from the JSON that it printed last.

    pmlm night --json > night.out && python docs/draw_night.py night.out

Only the middle of the initial prompt, which is long, and the beginning of paths, which is one machine's, are cut.
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
SHOWN_LINES = 16  # of the initial prompt, before and after the cut


def shorten_prompt(prompt: str) -> str:
    """The prompt with its middle lines replaced by their number."""
    lines = prompt.splitlines()
    if len(lines) <= SHOWN_LINES:
        return prompt
    head, tail = lines[: SHOWN_LINES - 3], lines[-3:]
    return "\n".join([*head, f"… {len(lines) - SHOWN_LINES} more sentences …", *tail])


def relativize_pages(status: dict[str, Any]) -> dict[str, str]:
    """The pages to open, each path relative to the project."""
    inside = f"/{status['clinic']}/"
    return {
        name: f"state{inside}{place.split(inside, 1)[1]}" if inside in place else place
        for name, place in status["pages"].items()
    }


def draw_screen(status: dict[str, Any]) -> str:
    """The screen as SVG text."""
    example = status["example"]
    if example:
        example["answer"]["initial_prompt"] = shorten_prompt(example["answer"]["initial_prompt"])
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    screen.show_night(console, status | {"pages": relativize_pages(status)}, example)
    svg = console.export_svg(title="make night", unique_id="night")
    return FONT_FROM_THE_NETWORK.sub("", svg)  # the reader's own monospace font will do


if __name__ == "__main__":
    last = Path(sys.argv[1]).read_text().splitlines()[-1]
    OUT.write_text(draw_screen(json.loads(last)))
