"""The exceptions of the project, all of them.

    CxrError
    ├── UsageError       a command or a call was given settings that cannot work
    │   └── RequestError a request to the app cannot be done
    ├── ImageError       a file is not an image that we can read as one radiograph
    ├── DataError        a data set is missing, broken, or laid out otherwise than described
    ├── BundleError      a bundle or a model file is missing, altered, or of another kind than expected
    ├── HubError         the Hub does not give or take what was asked of it
    └── TrainingError    a training run cannot go on

Every message is one or two plain sentences that name the thing, what is wrong with it and what to do next, and never
a folder of the machine that it came from: front ends show it as it is. `code` is stable, for programs.
"""

from typing import Literal, Self

from pydantic import ValidationError

ImageRule = Literal[
    "unreadable_file",
    "empty_file",
    "too_many_bytes",
    "not_an_image",
    "document",
    "archive",
    "video",
    "other_image_format",
    "damaged_image",
    "too_many_pixels",
    "too_small",
    "extreme_aspect",
    "multi_frame",
    "colour_16_bit",
    "float_range",
    "beyond_16_bit",
    "dicom_no_image",
    "dicom_colour",
    "dicom_encoding",
    "dicom_bad_value",
    "dicom_damaged",
]
"""The rules of decoding, each by its stable code."""


RequestRule = Literal[
    "no_file",
    "bad_file",
    "bad_arguments",
    "too_many_files",
    "batch_too_large",
    "bad_archive",
    "bad_prevalence",
    "no_reference_prevalence",
]
"""The rules of a request to the app, each by its stable code."""


class CxrError(Exception):
    """Base class: one or two plain sentences that name the thing, what is wrong with it, and what to do."""

    code: str = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class UsageError(CxrError):
    """A command or a call was given settings that cannot work."""

    code = "usage"


class ImageError(CxrError):
    """A file is not an image that we can read as one radiograph. `code` names the rule that it breaks."""

    code: ImageRule

    def __init__(self, code: ImageRule, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[Self], tuple[ImageRule, str]]:
        return type(self), (self.code, str(self))  # else it could not be sent from one process to another


class RequestError(UsageError):
    """What a caller asks for cannot be done: no file, too many of them, an impossible prevalence. `code` is stable."""

    code: RequestRule

    def __init__(self, code: RequestRule, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[Self], tuple[RequestRule, str]]:
        return type(self), (self.code, str(self))  # else it could not be sent from one process to another


class DataError(CxrError):
    """A data set is missing, broken, or laid out otherwise than described."""

    code = "bad_data"


class BundleError(CxrError):
    """A bundle or a model file is missing, altered, or of another kind than expected."""

    code = "bad_bundle"


class HubError(CxrError):
    """The Hub does not give or take what was asked of it."""

    code = "hub"


class TrainingError(CxrError):
    """A training run cannot go on."""

    code = "training_stopped"


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, in one line: where, and what."""
    found = error.errors()[0]
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else found["msg"]
