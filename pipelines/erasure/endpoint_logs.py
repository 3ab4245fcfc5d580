"""Erase patients from what the endpoint logs: interactions, feedback, disputes and their texts."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.erasure.log_lines import blank_lines, compile_numbers, find_lines
from pipelines.records.feedback import intake, texts
from pmlm.settings import Settings


def list_pseudonyms(settings: Settings, subjects: frozenset[int]) -> set[int]:
    """The numbers by which the patients are named anywhere but in the audit record."""
    return {*subjects, *(settings.pseudonym("interaction", str(subject)) for subject in subjects)}


def list_logs(settings: Settings) -> list[Path]:
    """The logs of lines that name a patient by a pseudonym."""
    folders = (settings.workspace / "interactions", intake.reward_log_folder(settings), texts.dispute_folder(settings))
    return sorted(path for folder in folders for path in folder.glob("*.jsonl") if path.is_file())


def erase_texts(settings: Settings, subjects: frozenset[int]) -> int:
    """Delete what was written about the patients' answers; before :func:`erase_lines`, by which it is found."""
    pattern = compile_numbers(subjects)
    names = {
        str(value["id"])
        for path in list_logs(settings)
        for _, line in find_lines(path, lambda line: pattern.search(line) is not None)
        if (value := _parse(line)) and "id" in value
    }
    written = [texts.text_folder(settings) / f"{name}.json" for name in sorted(names)]
    raw = [path for path in texts.list_raw_texts(settings) if _parse(path.read_bytes()).get("subject") in subjects]
    found = [path for path in (*written, *raw) if path.exists()]
    for path in found:
        path.unlink()
    return len(found)


def erase_lines(settings: Settings, subjects: frozenset[int]) -> int:
    """Blank the patients' lines in every log; return how many."""
    pattern = compile_numbers(list_pseudonyms(settings, subjects))
    return sum(blank_lines(path, lambda line: pattern.search(line) is not None) for path in list_logs(settings))


def count_lines(settings: Settings, subjects: frozenset[int]) -> int:
    """How many lines of the logs are the patients'."""
    pattern = compile_numbers(list_pseudonyms(settings, subjects))
    found = (find_lines(path, lambda line: pattern.search(line) is not None) for path in list_logs(settings))
    return sum(1 for lines in found for _ in lines)


def _parse(line: bytes) -> dict[str, object]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
