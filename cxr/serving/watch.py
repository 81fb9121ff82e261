"""A moving revision on the Hub, looked at now and then; a new commit of it takes over between two requests."""

import threading
from collections.abc import Callable

from cxr.errors import BundleError, CxrError
from cxr.model.predictor import Predictor
from cxr.serving import hub
from cxr.serving.hub import Patience, Snapshot
from cxr.serving.opening import Tell, described, load_snapshot, tell
from cxr.serving.slot import Served, Serving


class Watch:
    """Looks at a moving revision now and then, and lets a new one serve when it has been verified in full.

    prepare: run on a new predictor before it serves, so that no request waits for it.
    """

    def __init__(
        self,
        serving: Serving,
        model: str,
        revision: str | None,
        prepare: Callable[[Predictor], None],
        patience: Patience | None = None,
        log: Tell = tell,
    ) -> None:
        self._serving = serving
        self._model = model
        self._asked = hub.parse_hub_model(model, revision)
        self._prepare = prepare
        self._patience = patience or Patience()
        self._log = log
        self._refused: dict[str, None] = {}
        self._last = ""

    def start(self, seconds: float) -> None:
        """Look every `seconds`, in a thread that ends with the process."""

        def look_again() -> None:
            pause = threading.Event()
            while not pause.wait(seconds):
                self.look()

        threading.Thread(target=look_again, name="model watch", daemon=True).start()

    def look(self) -> None:
        """Look once. Whatever goes wrong, the model that serves goes on serving; the log says why."""
        now = self._serving.now
        commit = now.predictor.identity.revision
        try:
            snapshot = hub.fetch(self._asked, self._patience, (commit, *self._refused))
            if snapshot is None:
                self._nothing_new(now)
                return
            fresh = self._load(snapshot)
        except (CxrError, OSError) as error:
            self._say_once(f"watch: {commit} goes on serving, because: {error}")
            return
        self._serving.exchange(Served(fresh))
        self._last = ""
        self._log(described(self._serving.now))

    def _nothing_new(self, now: Served) -> None:
        if now.state == "cached" and not self._refused:
            self._serving.exchange(Served(now.predictor))  # the Hub is back, and names this very commit
        self._last = ""

    def _load(self, snapshot: Snapshot) -> Predictor:
        try:
            fresh = load_snapshot(self._model, snapshot)
        except BundleError:
            self._refused[snapshot.commit] = None  # not to be fetched again at every look
            raise
        self._prepare(fresh)
        hub.keep(self._asked, snapshot)
        return fresh

    def _say_once(self, line: str) -> None:
        if line and line != self._last:
            self._log(line)
        self._last = line
