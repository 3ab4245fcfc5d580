"""Tag the champion's versions in the workspace's Git, as GTO and DVC's registry read them.

    refiner@v1.1.0           a version: the commit whose ``models/champion`` is this refiner
    refiner#production#3     change 3: from then on this commit's version is served
    refiner#production!#4    change 4, a rollback: from then on this one is not

Tags are annotated; the message is the change as a line of ``history/champions.jsonl`` has it, so that lines cut off
at the end of that file are missed too. A tag is never moved or deleted.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from pipelines.night.workspace import BRANCH, run_git
from pipelines.training.champion_history import ChampionChange, find_tampering, read_history
from pmlm.settings import Settings

ARTIFACT, STAGE = "refiner", "production"


def write_tags(settings: Settings, revision: str | None = None) -> None:
    """Tag every change that has no tag; the newest champion's new version at ``revision``, which has its files."""
    history, known = read_history(settings), set(list_tags(settings))
    versions = {change.after: name_version(change) for change in history}
    at = datetime.min.replace(tzinfo=UTC)
    for change in history:
        # apart by seconds: GTO and DVC order assignments by time
        at = max(datetime.fromisoformat(change.at), at + timedelta(seconds=2))
        if name_assignment(change) in known:
            continue
        if versions[change.after] not in known:
            newest = revision if change.after == history[-1].after else None
            _tag(settings, versions[change.after], newest or _make_commit(settings, change), change, at)
            known.add(versions[change.after])
        if change.action in ("rollback", "restore") and change.before in versions:
            left = f"{ARTIFACT}#{STAGE}!#{change.seq}"  # without it GTO goes by the newest version ever assigned
            if left not in known:
                _tag(settings, left, f"{versions[change.before]}^{{commit}}", change, at - timedelta(seconds=1))
        _tag(settings, name_assignment(change), f"{versions[change.after]}^{{commit}}", change, at)


def name_version(change: ChampionChange) -> str:
    return f"{ARTIFACT}@{change.version}"


def name_assignment(change: ChampionChange) -> str:
    return f"{ARTIFACT}#{STAGE}#{change.seq}"


def list_tags(settings: Settings) -> list[str]:
    """The tags of the workspace's Git; none before its first night."""
    if not (settings.workspace / ".git").exists():
        return []
    return run_git(settings.workspace, "tag", "--list", f"{ARTIFACT}*").splitlines()


def find_history_damage(settings: Settings) -> list[str]:
    """Find what does not fit in the history: changed lines, and lines that a tag has and the file lacks."""
    findings, changes = find_tampering(settings), {change.seq: change for change in read_history(settings)}
    for tag in list_tags(settings):
        if not tag.startswith(f"{ARTIFACT}#{STAGE}#"):
            continue
        seq = int(tag.rpartition("#")[2])
        if seq not in changes:
            findings.append(f"change {seq} is missing: the tag {tag} has it")
        elif changes[seq].chain not in run_git(settings.workspace, "tag", "--list", "--format=%(contents)", tag):
            findings.append(f"change {seq} is not the one that the tag {tag} has")
    return findings


def _make_commit(settings: Settings, change: ChampionChange) -> str:
    """A commit for a version whose files no night saved; GTO allows one version a commit."""
    message = f"Version {change.version} of the refiner, whose files no night saved"
    return run_git(settings.workspace, "commit-tree", f"{BRANCH}^{{tree}}", "-p", BRANCH, "-m", message)


def _tag(settings: Settings, name: str, commit: str, change: ChampionChange, at: datetime) -> None:
    message = json.dumps(asdict(change), ensure_ascii=False)
    run_git(settings.workspace, "tag", "--annotate", "--message", message, name, commit, date=at.isoformat())
