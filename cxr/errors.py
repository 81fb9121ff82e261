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


DataRule = Literal[
    "not_a_zip",
    "other_archive",
    "damaged_zip",
    "zip_method",
    "damaged_member",
    "too_many_members",
    "unsafe_name",
    "swelling_member",
    "table_not_csv",
    "table_too_large",
    "table_not_text",
    "table_columns",
    "table_contradiction",
    "table_row_without_file",
    "table_without_files",
    "table_without_classes",
    "folder_of_two_classes",
    "several_data_sets",
    "no_class_folders",
    "one_class",
    "no_film",
    "too_many_labelled",
]
"""What may be wrong with labelled films that a visitor of the page sends, so that it can be told in any language."""


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
    """A data set is missing, broken, or laid out otherwise than described.

    rule: what exactly, where a visitor of the page may cause it; told: the names and numbers of the message.
    """

    code = "bad_data"

    def __init__(self, message: str, rule: DataRule | None = None, **told: str | int) -> None:
        super().__init__(message)
        self.rule, self.told = rule, told


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
