"""Erase patients from saved nights: their files in DVC's cache and remote.

A saved night is a Git commit whose ``dvc.lock`` names files by MD5. Its files are rewritten as the workspace's are, a
new lock names the new ones, a commit of the same author, time and message has it, and the night's reference moves
there. The old files are deleted last, from the cache and the remote, so that a kill in between loses nothing: what is
rewritten already is not changed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from pipelines.erasure import stage_outputs
from pipelines.erasure.stage_outputs import DRAFTS, EPISODES, Erasure, Listing
from pipelines.night import verify_hashes
from pipelines.night.workspace import open_repository, run_git, run_git_with
from pmlm.errors import ErasureError
from pmlm.settings import Settings
from pmlm.storage import atomic_write, write_bytes

_NIGHTS = "refs/exps/"
_LOCK = "dvc.lock"
_ORDER = (stage_outputs.EVENTS, stage_outputs.LEDGER, stage_outputs.FEATURES, EPISODES, DRAFTS)
Lock = dict[str, Any]


class SavedObjects:
    """DVC's files of one workspace, and their rewritten versions."""

    def __init__(self, settings: Settings, erasure: Erasure) -> None:
        self._settings = settings
        self._erasure = erasure
        self._cache = settings.workspace / ".dvc" / "cache" / "files" / "md5"
        self._done: dict[tuple[str, str, Path], Listing] = {}
        #: Old content → new, of what was rewritten, with the size and the number of files of a folder.
        self.replaced: dict[tuple[str, str], dict[str, Any]] = {}
        self.obsolete: set[str] = set()

    def rewrite(self, locks: Iterable[Lock]) -> None:
        """Rewrite the files of all locks and store them; those of events of every lock first."""
        found = [outs for lock in locks if (outs := list_outs(lock))]
        for out in _ORDER:
            for outs in found:
                if out in outs and (out, outs[out]) not in self.replaced:
                    self._rewrite_out(out, outs)

    def list_episode_files(self, locks: Iterable[Lock]) -> list[Path]:
        """The files of episodes of all locks, each once."""
        listings = (self.read_listing(outs[EPISODES]) for lock in locks if EPISODES in (outs := list_outs(lock)))
        return sorted({path for listing in listings for name, path in listing.items() if name.endswith(".parquet")})

    def read_listing(self, md5: str) -> Listing:
        """The files of a folder in the cache; fetched from the remote where the cache has lost them.

        A file that is in neither can be restored by nobody, and is left out.
        """
        folder = self._find(md5)
        listed = json.loads(folder.read_text()) if folder else []
        found = {one["relpath"]: self._find(one["md5"]) for one in listed}
        return {name: path for name, path in found.items() if path is not None}

    def _rewrite_out(self, out: str, outs: dict[str, str]) -> None:
        before = self.read_listing(outs[out])
        if not before:
            return
        if out == DRAFTS:
            learnt = (EPISODES, outs.get(EPISODES, "")) in self.replaced
            after = stage_outputs.empty_drafts(before, self._erasure, self._settings.k_anonymity) if learnt else before
        elif out == EPISODES:
            after = stage_outputs.rewrite_out(out, before, self._erasure)
        else:
            after = {}
            for name, path in before.items():
                after |= self._rewrite_once(out, name, path)
        if after == before:
            return
        stored = {name: self._store(path) for name, path in after.items()}
        listing = [{"md5": self._name(path), "relpath": name} for name, path in sorted(stored.items())]
        folder = self._erasure.make_path()
        folder.write_text(json.dumps(listing, sort_keys=True))
        new = self._name(self._store(folder, ".dir"))
        size = sum(path.stat().st_size for path in stored.values())
        self.replaced[out, outs[out]] = {"md5": new, "size": size, "nfiles": len(stored)}
        self.obsolete |= {outs[out], *(self._name(before[n]) for n in before if after.get(n) != before[n])}

    def _rewrite_once(self, out: str, name: str, path: Path) -> Listing:
        """A file rewritten, or as it is; nights share most of their files."""
        key = (out, name, path)
        if key not in self._done:
            rewritten = stage_outputs.rewrite_out(out, {name: path}, self._erasure)
            self._done[key] = {n: self._store(p) for n, p in rewritten.items()}
        return self._done[key]

    def _store(self, path: Path, ending: str = "") -> Path:
        """Move a rewritten file into the cache; a file of the cache stays where it is."""
        if path.is_relative_to(self._cache):
            return path
        md5 = f"{verify_hashes.compute_hash(path)}{ending}"
        target = self._cache / md5[:2] / md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        path.chmod(0o444)
        path.replace(target)
        return target

    def _name(self, path: Path) -> str:
        return path.parent.name + path.name

    def _find(self, md5: str) -> Path | None:
        path = self._cache / md5[:2] / md5[2:]
        if path.exists():
            return path
        with open_repository(self._settings.workspace) as repo, explain_silence():
            remote = repo.cloud.get_remote_odb()
            if not remote.fs.exists(stored := remote.oid_to_path(md5)):
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, mode=0o444) as temporary:
                remote.fs.get(stored, str(temporary))
        return path


@contextmanager
def explain_silence() -> Iterator[None]:
    """Turn what a remote raises in the block into ``ErasureError``."""
    from dvc.exceptions import DvcException

    try:
        yield
    except (OSError, ValueError, DvcException) as error:
        raise ErasureError(f"the DVC remote does not answer ({type(error).__name__}): run it again") from error


def read_locks(workspace: Path) -> dict[str, Lock]:
    """The locks of all references and of the workspace, by the commit ("" for the workspace's own)."""
    names = run_git(workspace, "for-each-ref", "--format=%(objectname) %(*objectname)").split("\n")
    commits = sorted({name.split()[-1] for name in names if name.strip()})
    locks = {commit: _read_lock(workspace, commit) for commit in commits}
    own = workspace / _LOCK
    return locks | {"": (yaml.safe_load(own.read_text()) if own.exists() else None) or {}}


def move_references(settings: Settings, objects: SavedObjects) -> dict[str, str]:
    """Let every saved night, and the workspace's own lock, name the rewritten files; old commit → new commit."""
    workspace, moved = settings.workspace, dict[str, str]()
    for line in run_git(workspace, "for-each-ref", "--format=%(refname) %(objectname)", _NIGHTS).splitlines():
        name, commit = line.split()
        lock = _read_lock(workspace, commit)
        if _restate(lock, objects):
            moved[commit] = _commit_lock(workspace, commit, lock)
            run_git(workspace, "update-ref", name, moved[commit], commit)
    own = workspace / _LOCK
    lock = (yaml.safe_load(own.read_text()) if own.exists() else None) or {}
    if _restate(lock, objects):
        write_bytes(own, _format_lock(lock))
    return moved


def delete_obsolete(settings: Settings, objects: SavedObjects) -> int:
    """Push what was rewritten; delete from cache and remote what was replaced, and what nothing names any more."""
    workspace = settings.workspace
    cache = workspace / ".dvc" / "cache" / "files" / "md5"
    present = {path.parent.name + path.name: path for path in cache.glob("??/*") if path.is_file()}
    named = {md5 for lock in read_locks(workspace).values() for md5 in _list_named(lock, present)}
    gone = (present.keys() - named) | objects.obsolete
    if not gone:
        return 0
    nights = run_git(workspace, "for-each-ref", "--format=%(objectname)", _NIGHTS).split()
    with open_repository(workspace) as repo, explain_silence():
        if nights:
            repo.push(revs=nights)
        remote = repo.cloud.get_remote_odb()
        for md5 in sorted(gone):
            if remote.fs.exists(path := remote.oid_to_path(md5)):
                remote.fs.remove(path)
    for md5 in sorted(gone & present.keys()):
        present[md5].unlink()
    return len(gone & present.keys())


def forget_commits(workspace: Path) -> None:
    """Delete the commits that no reference names any more."""
    run_git(workspace, "reflog", "expire", "--expire=now", "--all")
    run_git(workspace, "prune", "--expire=now")


def list_outs(lock: Lock) -> dict[str, str]:
    """Out → content of a folder, as a lock records them."""
    stages = (lock.get("stages") or {}).values()
    outs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ()) if "md5" in out}
    return {path: md5 for path, md5 in outs.items() if md5.endswith(".dir")}


def _list_named(lock: Lock, present: dict[str, Path]) -> Iterator[str]:
    for entry in _list_entries(lock):
        yield (md5 := entry["md5"])
        if md5.endswith(".dir") and md5 in present:
            yield from (one["md5"] for one in json.loads(present[md5].read_text()))


def _list_entries(lock: Lock) -> Iterator[dict[str, Any]]:
    for stage in (lock.get("stages") or {}).values():
        yield from (one for name in ("deps", "outs") for one in stage.get(name, ()) if "md5" in one)


def _restate(lock: Lock, objects: SavedObjects) -> bool:
    """Put the rewritten contents into a lock; whether it changed."""
    changed = False
    for entry in _list_entries(lock):
        if new := objects.replaced.get((entry["path"], entry["md5"])):
            entry |= new
            changed = True
    return changed


def _read_lock(workspace: Path, commit: str) -> Lock:
    if not run_git(workspace, "ls-tree", "--name-only", commit, "--", _LOCK):
        return {}
    return yaml.safe_load(run_git(workspace, "show", f"{commit}:{_LOCK}")) or {}


def _format_lock(lock: Lock) -> bytes:
    from dvc.utils.serialize import dumps_yaml

    return str(dumps_yaml(lock)).encode()


def _commit_lock(workspace: Path, commit: str, lock: Lock) -> str:
    """A commit like another one, with another lock."""
    blob = run_git_with(workspace, _format_lock(lock), "hash-object", "-w", "--stdin")
    lines = run_git(workspace, "ls-tree", commit).splitlines()
    tree = "\n".join(f"100644 blob {blob}\t{_LOCK}" if one.endswith(f"\t{_LOCK}") else one for one in lines) + "\n"
    made = run_git_with(workspace, tree.encode(), "mktree")
    former = run_git_with(workspace, None, "cat-file", "commit", commit) + "\n"
    rest = former.split("\n", 1)[1]
    return run_git_with(workspace, f"tree {made}\n{rest}".encode(), "hash-object", "-t", "commit", "-w", "--stdin")
