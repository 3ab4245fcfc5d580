"""Draw the import graph as docs/architecture.svg and the table of docs/architecture.md.

A room is a folder just below a package, or the files at a package's root together. The picture leaves out each
arrow that others imply; the table lists every import. Run: ``make architecture``.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp

from pipelines.night.stages import STAGES

HERE = Path(__file__).parent
PROJECT = HERE.parent
PAGE, PICTURE = HERE / "architecture.md", HERE / "architecture.svg"
BEGIN, END = "<!-- table of docs/draw_architecture.py -->\n", "<!-- end of the table -->\n"

#: Package → colour of its lane, from left to right.
LANES = {
    "pmlm": "#3949ab", "dags": "#795548", "pipelines": "#00796b", "bentos": "#c2185b", "feature_repo": "#ef6c00",
    "models": "#455a64",
}  # fmt: skip
BOX_WIDTH, BOX_HEIGHT, GAP, ROW, TOP = 106, 26, 10, 72, 40

Edges = dict[str, set[str]]


def folder_of(module: str) -> str:
    """The folder of a module; a package's ``__init__`` belongs to the package."""
    package = (PROJECT / module.replace(".", "/") / "__init__.py").exists()
    return module if package else module.rpartition(".")[0]


def room_of(module: str) -> str:
    return ".".join(folder_of(module).split(".")[:2])


def read_imports() -> tuple[Edges, Edges]:
    """What each folder imports, and what each room imports: rooms other than itself."""
    graph = grimp.build_graph(*LANES, cache_dir=None)
    for stage in STAGES.values():  # the night loads a stage by its name, when it runs
        graph.add_import(importer="pipelines.night.stages", imported=stage)
    folders: Edges = {folder_of(module): set() for module in graph.modules}
    rooms: Edges = {room_of(module): set() for module in graph.modules}
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            if room_of(importer) != room_of(imported):
                folders[folder_of(importer)].add(room_of(imported))
                rooms[room_of(importer)].add(room_of(imported))
    return folders, rooms


def drop_implied(rooms: Edges) -> Iterator[tuple[str, str]]:
    """The arrows that no longer way replaces, in order of their names."""
    below: Edges = {}

    def everything_below(room: str) -> set[str]:
        if room not in below:
            below[room] = rooms[room].union(*(everything_below(other) for other in rooms[room]))
        return below[room]

    for room, imported in sorted(rooms.items()):
        for other in sorted(imported):
            if not any(other in everything_below(third) for third in imported):
                yield room, other


def place(rooms: Edges) -> dict[str, tuple[float, float]]:
    """Room → centre of its box.

    Packages are columns; a room is one row above the highest room that it imports.
    """
    height: dict[str, int] = {}

    def height_of(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((height_of(other) for other in rooms[room]), default=-1)
        return height[room]

    rows: dict[tuple[str, int], list[str]] = defaultdict(list)
    for room in sorted(rooms):
        rows[room.split(".")[0], height_of(room)].append(room)
    centres, left = {}, GAP
    for lane in LANES:
        widest = max(len(row) for (package, _), row in rows.items() if package == lane)
        width = widest * (BOX_WIDTH + GAP) + GAP
        for (package, at), row in rows.items():
            if package == lane:
                step = width / len(row)
                y = TOP + ROW / 2 + (max(height.values()) - at) * ROW
                centres |= {room: (left + step * (i + 0.5), y) for i, room in enumerate(row)}
        left += width + GAP
    return centres


def draw(rooms: Edges) -> str:
    """The picture as SVG text."""
    centres = place(rooms)
    width = max(x for x, _ in centres.values()) + BOX_WIDTH / 2 + 3 * GAP
    bottom = max(y for _, y in centres.values()) + ROW / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {bottom + GAP:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" text-anchor="middle">',
        f'<rect width="{width:.0f}" height="{bottom + GAP:.0f}" fill="#fff"/>',
    ]
    for lane, colour in LANES.items():
        xs = [x for room, (x, _) in centres.items() if room.split(".")[0] == lane]
        left, right = min(xs) - BOX_WIDTH / 2 - GAP, max(xs) + BOX_WIDTH / 2 + GAP
        parts.append(
            f'<marker id="{lane}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
            f'<path d="M0 0 8 4 0 8z" fill="{colour}"/></marker>'
            f'<rect x="{left:.0f}" y="{GAP}" width="{right - left:.0f}" height="{bottom - GAP:.0f}" rx="8" '
            f'fill="{colour}" fill-opacity="0.07"/>'
            f'<text x="{(left + right) / 2:.0f}" y="{TOP - GAP}" font-weight="bold" fill="{colour}">{lane}/</text>'
        )
    for room, other in drop_implied(rooms):
        (x1, y1), (x2, y2), lane = centres[room], centres[other], room.split(".")[0]
        y1, y2 = y1 + BOX_HEIGHT / 2, y2 - BOX_HEIGHT / 2
        bend = max((y2 - y1) / 2, ROW / 3)
        parts.append(
            f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}" '
            f'fill="none" stroke="{LANES[lane]}" stroke-opacity="0.65" marker-end="url(#{lane})"/>'
        )
    for room, (x, y) in sorted(centres.items()):
        package, _, name = room.partition(".")
        parts.append(
            f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="5" fill="#fff" stroke="{LANES[package]}"/>'
            f'<text x="{x:.0f}" y="{y + 4:.0f}">{name or f"{package}/*.py"}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def summary(folder: str) -> str:
    """The first line of the folder's docstring."""
    text = ast.get_docstring(ast.parse((PROJECT / folder.replace(".", "/") / "__init__.py").read_text())) or ""
    return text.partition("\n")[0].replace("``", "`").replace("|", "\\|")


def tabulate(folders: Edges) -> str:
    """Every folder with its docstring and the rooms that it imports, as Markdown."""
    order = {package: place for place, package in enumerate(LANES)}
    lines = ["| folder | what it is | imports |", "| --- | --- | --- |"]
    for folder in sorted(folders, key=lambda f: (order[f.split(".")[0]], f)):
        imports = ", ".join(f"`{room}`" for room in sorted(folders[folder]))
        lines.append(f"| `{folder.replace('.', '/')}/` | {summary(folder)} | {imports} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """What the page and the picture have to hold now."""
    folders, rooms = read_imports()
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return {PAGE: f"{before}{BEGIN}\n{tabulate(folders)}\n{END}{rest.partition(END)[2]}", PICTURE: draw(rooms)}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
