"""A PACS behind DICOMweb (DICOM PS3.18): which films it has, one film, and reports into a film's study.

What a PACS refuses or breaks is told without the address's query and without any text of a data set: both may name a
patient. So the libraries' own exceptions, which quote them, are not kept as causes.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from dicomweb_client.web import DICOMwebClient
from requests.auth import AuthBase, HTTPBasicAuth
from retrying import RetryError

from cxr.errors import DataError, UsageError
from evaluation.pacs.address import PacsAddress

if TYPE_CHECKING:
    from pydicom import Dataset

MODALITIES = ("CR", "DX")
"""Computed and digital radiography."""
_PAGE = 200
_ATTEMPTS, _FIRST_PAUSE_MS = 3, 500
_CONNECT_SECONDS = 10
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_MODALITY, _BODY_PART, _VIEW = "00080060", "00180015", "00185101"
_CHEST = ("CHEST", "THORAX", "LUNG")
_FRONTAL = ("AP", "PA")
# What reading a data set that is no DICOM, or a broken one, raises.
_BROKEN = (ValueError, TypeError, AttributeError, LookupError, EOFError, OSError, NotImplementedError)

Found = Mapping[str, Any]
"""One result of a QIDO-RS search: DICOM JSON, by tag."""


class InstanceError(DataError):
    """One film cannot be had, or one report not stored; the others can. The message is a row's."""


@dataclass(frozen=True)
class FilmReference:
    """Where one film is in the PACS, by its UIDs."""

    study: str
    series: str
    instance: str


class Pacs:
    """A DICOMweb service. Safe to call from several threads.

    Credentials come from the environment: DICOMWEB_TOKEN (sent as a bearer token), or DICOMWEB_USER and
    DICOMWEB_PASSWORD, or else the user's netrc file.
    """

    def __init__(self, address: PacsAddress, patience: float = 60.0) -> None:
        """patience: seconds that the PACS may be silent before the run stops."""
        silence()
        self._address = address
        self._patience = patience
        session = requests.Session()
        session.auth = _credentials()
        self._client = DICOMwebClient(address.url, session, timeout=(_CONNECT_SECONDS, patience))
        self._client.set_http_retry_params(
            max_attempts=_ATTEMPTS, wait_exponential_multiplier=_FIRST_PAUSE_MS
        )

    def studies(self) -> list[str]:
        """Study Instance UIDs of the studies that match the address's query.

        Raises:
            DataError: The PACS does not answer, is too slow, refuses the credentials, or is no DICOMweb service.
        """
        known: dict[str, None] = {}
        while True:
            with self._told():
                page = self._client.search_for_studies(
                    limit=_PAGE, offset=len(known), search_filters=self._address.filters
                )
            fresh = [uid for uid in (_text(study, _STUDY) for study in page) if uid and uid not in known]
            known.update(dict.fromkeys(fresh))
            if not fresh:  # the last page is empty; a service that knows no offset sends the first again
                return list(known)

    def films(self, study: str) -> Iterator[FilmReference]:
        """The frontal chest radiographs of one study, as far as the PACS tells view and body part. Raises DataError."""
        with self._told():
            series = self._client.search_for_series(study)
        for one in series:
            if _text(one, _MODALITY) in MODALITIES and _may_be_chest(_text(one, _BODY_PART)):
                yield from self._films_of_series(study, _text(one, _SERIES))

    def _films_of_series(self, study: str, series: str) -> Iterator[FilmReference]:
        fields = ["ViewPosition", "BodyPartExamined"]
        with self._told():
            found = self._client.search_for_instances(study, series, fields=fields)
        for film in found:
            if is_frontal_chest(_text(film, _VIEW), _text(film, _BODY_PART)):
                yield FilmReference(study, series, _text(film, _INSTANCE))

    def film(self, film: FilmReference) -> "Dataset":
        """One film with its pixels, as the PACS holds it.

        Raises:
            InstanceError: The PACS does not give this film, or what it gives is not DICOM.
            DataError: The PACS does not answer, is too slow, or refuses the credentials.
        """
        with self._told("retrieved"):
            return self._client.retrieve_instance(film.study, film.series, film.instance)

    def store(self, study: str, instances: Sequence["Dataset"]) -> None:
        """Store instances in a study.

        Raises:
            InstanceError: The PACS does not take them.
            DataError: The PACS does not answer, is too slow, or refuses the credentials.
        """
        with self._told("stored"):
            outcome = self._client.store_instances(instances, study)
        if failed := outcome.get("FailedSOPSequence"):
            reasons = {f"{int(item.get('FailureReason', 0)):04X}" for item in failed}
            raise InstanceError(f"the PACS did not store the report (failure {', '.join(sorted(reasons))})")

    @contextmanager
    def _told(self, one: str = "") -> Iterator[None]:
        """Errors of the network and of the PACS in words.

        one: what is done with one instance, "retrieved" or "stored"; then its own failures are InstanceError.
        """
        place = f"The PACS at {self._address.shown}"
        try:
            yield
        except requests.exceptions.SSLError:
            raise DataError(
                f"{place} has a certificate that cannot be verified. Set REQUESTS_CA_BUNDLE to your hospital's."
            ) from None
        except requests.Timeout:
            raise DataError(
                f"{place} did not answer within {self._patience:g} seconds. Run the same command again later: "
                "it goes on where it stopped."
            ) from None
        except requests.HTTPError as error:
            raise _refusal(place, error, one) from None
        except RetryError:
            raise DataError(f"{place} is too busy to answer. Run the same command again later.") from None
        except requests.JSONDecodeError:
            raise DataError(f"{place} does not answer as a DICOMweb service. Check the address.") from None
        except requests.RequestException:
            raise DataError(
                f"{place} cannot be reached, or it broke the connection. Check that it runs, and the address."
            ) from None
        except _BROKEN:
            if one:
                raise InstanceError(f"it cannot be {one}: it is damaged or not DICOM") from None
            raise DataError(f"{place} does not answer as a DICOMweb service. Check the address.") from None


def silence() -> None:
    """Let the libraries write nothing to log or terminal: they quote addresses and data sets."""
    # Each time, since whoever uses warnings.catch_warnings takes it away again.
    for module in ("pydicom", "highdicom", "dicomweb_client"):
        warnings.filterwarnings("ignore", module=rf"{module}\b")
        logging.getLogger(module).setLevel(logging.CRITICAL + 1)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)


def is_frontal_chest(view: str, body_part: str) -> bool:
    """Whether a film may be a frontal chest radiograph, by ViewPosition and BodyPartExamined.

    What a PACS leaves out rules nothing out: the model's input gate looks at the pixels.
    """
    return (not view or view.upper().startswith(_FRONTAL)) and _may_be_chest(body_part)


def _may_be_chest(body_part: str) -> bool:
    return not body_part or any(word in body_part.upper() for word in _CHEST)


def _text(found: Found, tag: str) -> str:
    """The first value of one element in DICOM JSON; "" where there is none."""
    values = found.get(tag, {}).get("Value") or [""]
    return str(values[0]).strip()


def _credentials() -> AuthBase | None:
    user, password = os.environ.get("DICOMWEB_USER"), os.environ.get("DICOMWEB_PASSWORD")
    if token := os.environ.get("DICOMWEB_TOKEN"):
        return _Bearer(token)
    if bool(user) != bool(password):
        raise UsageError("DICOMWEB_USER and DICOMWEB_PASSWORD go together, but only one is set.")
    return HTTPBasicAuth(user, password) if user else None


class _Bearer(AuthBase):
    """OAuth 2.0 bearer token (RFC 6750). As `auth`, not as a header, which a redirect would take to another host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _refusal(place: str, error: requests.HTTPError, one: str) -> DataError | InstanceError:
    status = error.response.status_code
    if status in (401, 403):
        return DataError(
            f"{place} refuses access (status {status}). Set DICOMWEB_USER and DICOMWEB_PASSWORD, or DICOMWEB_TOKEN."
        )
    if one:
        return InstanceError(f"it cannot be {one}: the PACS answers with status {status}")
    if status == 404:
        return DataError(f"{place} has no DICOMweb service at this address (status 404). Check the path.")
    return DataError(f"{place} answers with status {status}. Check the query, and the log of the PACS.")
