"""What the Hub's client raises, in one line for people. Imports huggingface_hub."""

from json import JSONDecodeError

from httpx2 import ConnectError, HTTPError, TimeoutException
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

HUB_ERRORS: tuple[type[Exception], ...] = (HTTPError, OSError, ValueError, RuntimeError)
"""All that huggingface_hub raises for a fault of the network, the Hub, the repository or the caller's rights."""

_BY_TYPE: tuple[tuple[type[Exception], str], ...] = (
    (OfflineModeIsEnabled, "HF_HUB_OFFLINE is set, so the Hub cannot be contacted"),
    (GatedRepoError, "its owner must grant you access on the Hub first"),
    (RepositoryNotFoundError, "the Hub has no such repository, or your token may not see it"),
    (RevisionNotFoundError, "the repository has no such revision"),
    (LocalEntryNotFoundError, "it is neither on the Hub nor in the local cache"),
    (EntryNotFoundError, "the repository has no such file"),
    (TimeoutException, "no answer in time"),
    (ConnectError, "no connection to the Hub"),
    (JSONDecodeError, "the answer is not JSON"),
)
_BY_STATUS = {
    401: "the Hub does not accept your token",
    402: "the Hub asks for a paid plan",
    403: "your token may not do that",
    412: "the branch has moved on",
    429: "too many requests",
}


def in_words(error: BaseException) -> str:
    """The innermost cause in words, without addresses, tokens or request ids."""
    if isinstance(error, LocalEntryNotFoundError | RuntimeError) and error.__cause__ is not None:
        return in_words(error.__cause__)  # the client's "could not, because"
    for kind, words in _BY_TYPE:
        if isinstance(error, kind):
            return words
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return f"{_BY_STATUS.get(status, 'the Hub failed')} (HTTP {status})"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:200] or type(error).__name__


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error of the client, where there is one."""
    if isinstance(error, HfHubHTTPError):
        return int(error.response.status_code)
    return status_of(error.__cause__) if error.__cause__ is not None else None
