"""Why a file or an archive cannot be used, in the visitor's language: the words of its error's code."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cxr.errors import CxrError, DataError, ImageError
from ui.words.locales import Locale, number
from ui.words.table import say


@dataclass(frozen=True)
class Reason:
    """A reason that can be said in any language, and that holds nothing else of its error.

    key: of the words; told: the names and numbers in them.
    """

    key: str
    told: Mapping[str, str | int] = field(default_factory=dict)

    def say(self, locale: Locale) -> str:
        """The reason in words."""
        told = {
            name: number(value, locale) if isinstance(value, int) else value
            for name, value in self.told.items()
        }
        return say(self.key, locale, **told)


def reason_of(error: CxrError) -> Reason:
    """The reason that an error gives; of one that has no words on the page, its message, which is English."""
    if isinstance(error, ImageError):
        return Reason(f"error.{error.code}")
    if isinstance(error, DataError) and error.rule:
        return Reason(f"data.{error.rule}", error.told)
    return Reason("data.other", {"message": str(error)})
