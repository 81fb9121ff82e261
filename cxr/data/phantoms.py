"""phantom[:N]: synthetic radiographs, drawn when they are read."""

from cxr import phantom
from cxr.data.base import DataIdentity
from cxr.data.films import Film, describe
from cxr.errors import UsageError

DEFAULT_PHANTOMS = 1200


class PhantomSource:
    """N synthetic radiographs in train, val and test, the same for the same N."""

    def __init__(self, count: int = DEFAULT_PHANTOMS) -> None:
        """Raises UsageError for too few."""
        try:
            records = phantom.phantom_split(count, seed=0)
        except ValueError as error:
            raise UsageError(
                f"phantom:{count} is too few for films of both classes in train, val and test. Ask for "
                f"{phantom.MIN_PHANTOMS} or more."
            ) from error
        self._records = {record.path.as_posix(): record for record in records}
        self.films = [
            describe(path, record.split, record.label) for path, record in sorted(self._records.items())
        ]
        self.identity = DataIdentity(
            f"phantom:{count}", notes=("synthetic images, not radiographs of people",)
        )

    def read(self, film: Film) -> bytes:
        return phantom.phantom_jpeg(self._records[film.path])


def phantom_count(data: str) -> int:
    """N of phantom:N, or the usual number. Raises UsageError for what is neither."""
    _, colon, count = data.partition(":")
    if not colon:
        return DEFAULT_PHANTOMS
    if not count.isdecimal():
        raise UsageError(
            f"{data!r} names no number of phantoms. Write phantom or phantom:N, such as phantom:1200."
        )
    return int(count)
