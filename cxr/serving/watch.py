"""A moving revision on the Hub, looked at now and then; a new commit of it takes over between two requests."""

import logging
import threading
from collections.abc import Callable

from cxr.errors import BundleError, CxrError
from cxr.model.predictor import Predictor
from cxr.serving import hub
from cxr.serving.hub import Patience, Snapshot
from cxr.serving.opening import described, load_snapshot
from cxr.serving.slot import Served, Serving

_log = logging.getLogger(__name__)


class Watch:
    """Looks at a moving revision now and then, and lets a new commit serve when it has been verified in full.

    Args:
        serving: holds the model that serves.
        model: hub:OWNER/NAME[@revision].
        revision: a branch or a tag that was given apart.
        prepare: run on a new predictor before it serves, so that no request waits for it.
        patience: how long the Hub may take.
    """

    def __init__(
        self,
        serving: Serving,
        model: str,
        revision: str | None,
        prepare: Callable[[Predictor], None],
        patience: Patience | None = None,
    ) -> None:
        self._serving = serving
        self._model = model
        self._asked = hub.parse_hub_model(model, revision)
        self._prepare = prepare
        self._patience = patience or Patience()
        self._refused: dict[str, None] = {}
        self._last_problem = ""

    def start(self, seconds: float) -> None:
        """Look every `seconds`, in a thread that ends with the process."""

        def look_again() -> None:
            pause = threading.Event()
            while not pause.wait(seconds):
                self.look()

        threading.Thread(target=look_again, name="model watch", daemon=True).start()

    def look(self) -> None:
        """Look once. If anything goes wrong, the model that serves goes on serving, and the log says why."""
        now = self._serving.now
        commit = now.predictor.identity.revision
        try:
            snapshot = hub.fetch(self._asked, self._patience, (commit, *self._refused))
            if snapshot is None:
                self._nothing_new(now)
                return
            fresh = self._load(snapshot)
        except (CxrError, OSError) as error:
            self._warn_once(f"watch: {commit} goes on serving, because: {error}")
            return
        self._serving.exchange(Served(fresh))
        self._last_problem = ""
        _log.info("%s", described(self._serving.now))

    def _nothing_new(self, now: Served) -> None:
        if now.state == "cached" and not self._refused:
            self._serving.exchange(Served(now.predictor))  # the Hub is back, and names this very commit
        self._last_problem = ""

    def _load(self, snapshot: Snapshot) -> Predictor:
        try:
            fresh = load_snapshot(self._model, snapshot)
        except BundleError:
            self._refused[snapshot.commit] = None  # not to be fetched again at every look
            raise
        self._prepare(fresh)
        hub.keep(self._asked, snapshot)
        return fresh

    def _warn_once(self, problem: str) -> None:
        if problem != self._last_problem:
            _log.warning("%s", problem)
        self._last_problem = problem
