"""dicomweb:URL?query, as a user names the films of a PACS."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from cxr.errors import UsageError

SCHEME = "dicomweb:"


@dataclass(frozen=True)
class PacsAddress:
    """A DICOMweb service, and which of its studies are meant.

    Attributes:
        url: The service's root, such as http://127.0.0.1:8042/dicom-web.
        filters: QIDO-RS attributes of studies and the values that they must match; empty for all studies. They may
            name a patient, so they go into no message and no file.
    """

    url: str
    filters: dict[str, str]

    @property
    def shown(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc


def is_pacs_address(files: str) -> bool:
    """Whether --files names a PACS."""
    return files.startswith(SCHEME)


def parse_address(files: str) -> PacsAddress:
    """The service and the query of dicomweb:URL?query.

    Raises:
        UsageError: It is no http or https address, or it holds a password.
    """
    parts = urlsplit(files.removeprefix(SCHEME))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            "--files dicomweb:URL needs the http or https address of a DICOMweb service, "
            "for example dicomweb:https://pacs.example/dicom-web?StudyDate=20260101-20260131."
        )
    if parts.username or parts.password:
        raise UsageError(
            "The address of the PACS holds a user name, which others can see in the list of processes. "
            "Set DICOMWEB_USER and DICOMWEB_PASSWORD, or DICOMWEB_TOKEN, instead."
        )
    url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return PacsAddress(url, dict(parse_qsl(parts.query, keep_blank_values=True)))
