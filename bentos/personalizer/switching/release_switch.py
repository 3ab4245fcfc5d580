"""Serve the current release in a running worker; no request fails for it.

    releases/current → another release of the same code → hashed, loaded, served from the next request on

A request is bound to one personalizer from its first byte to its last (``current``), so what was asked before a switch
ends with the release it began with. A release with other code is left to a restart of the endpoint. One that fails its
checks is logged once, and the former goes on serving.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from bentos.personalizer.current import Served
from bentos.personalizer.release import read_release
from bentos.personalizer.switching.same_code import SOURCE, is_same_code, read_own_code
from bentos.telemetry import logs
from pmlm.errors import PmlmError
from pmlm.served_releases import note_served
from pmlm.settings import Settings

EVERY_S = 0.5


class ReleaseSwitch:
    """Watches ``releases/current`` in a thread of its own, from a bento's code alone."""

    def __init__(self, settings: Settings, served: Served, source: Path = SOURCE) -> None:
        self._settings = settings
        self._served = served
        self._source = source
        self._link = settings.workspace / "releases" / "current"
        self._refused = ""
        self._closed = threading.Event()
        if read_own_code(source):
            with suppress(OSError):  # a worker that is started again begins with what the others serve by now
                self.follow_link()
            threading.Thread(target=self._watch, name="pmlm-switch", daemon=True).start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(EVERY_S):
            with suppress(OSError):  # no link, or one that moves meanwhile: looked at again
                self.follow_link()

    def follow_link(self) -> None:
        """Serve the release that the link names, where it is another and may be served by this code."""
        folder = self._link.resolve(strict=True)
        if folder.name in (self._served.personalizer.release.id, self._refused):
            return
        try:
            if not is_same_code(read_release(folder).version, self._source):
                self._refused = folder.name
                return
            self._served.personalizer = self._served.personalizer.open_next(folder)
        except OSError:  # the folder is being deleted or moved: looked at again
            raise
        except Exception as error:  # whatever is wrong with one release, the next one must still be found
            self._refused = folder.name
            reason = str(error) if isinstance(error, PmlmError) else type(error).__name__
            logs.logger().error("the current release cannot be served; the former one is", reason=reason)
            return
        note_served(self._settings, self._served.personalizer.release.id)
        logs.logger().info("another release is served", release=folder.name)
