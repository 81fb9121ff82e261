"""A .zip, read in place: nothing is unpacked, so nothing can be written outside or left behind."""

import lzma
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from cxr.errors import DataError
from cxr.imaging.decode import MAX_BYTES

MAX_MEMBERS = 200_000
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
# What zipfile and its decompressors raise on a damaged or encrypted archive.
_BROKEN = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    zlib.error,
    lzma.LZMAError,
)


class Archive:
    """An open .zip. Names that lead outside and members that swell are refused before anything is read.

    members: its files, folders left out. `read` may be called from several threads.
    """

    def __init__(self, path: Path, expected: str = "a whole .zip") -> None:
        """Raises DataError for what is no .zip, is damaged, or is not safe; `expected` is for its message."""
        try:
            self._archive = zipfile.ZipFile(path)
            self.members = [member for member in self._archive.infolist() if not member.is_dir()]
        except _BROKEN as error:
            raise DataError(
                expected, f"{path.name} ({_reason(error)})", "download or copy the archive again"
            ) from error
        _refuse_unsafe(self.members, path.name)

    def read(self, member: str | zipfile.ZipInfo, most: int = MAX_BYTES + 1) -> bytes:
        """The bytes of one file, cut after `most`: one more than a film may have. Raises DataError."""
        try:
            with self._archive.open(member) as stream:
                return stream.read(most)
        except _BROKEN as error:
            inside = member if isinstance(member, str) else member.filename
            raise DataError(
                "an undamaged, unencrypted .zip",
                f"{inside} in it ({_reason(error)})",
                "make the archive again",
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


def is_archive(path: Path) -> bool:
    """True for a file that begins as a .zip does, or is named so."""
    with path.open("rb") as stream:
        return stream.read(4) in _SIGNATURES or path.suffix.lower() == ".zip"


def _reason(error: Exception) -> str:
    """The error in words, without the folder that an OSError's own text shows."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _refuse_unsafe(members: list[zipfile.ZipInfo], name: str) -> None:
    if len(members) > MAX_MEMBERS:
        raise DataError(f"at most {MAX_MEMBERS:,} files in a .zip", f"{len(members):,}", "split it")
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or re.match(r"[A-Za-z]:", member.filename):
            raise DataError(
                "file names that stay inside the .zip",
                f"{member.filename!r} in {name}",
                "do not use this archive",
            )
        if member.file_size > MAX_BYTES and member.compress_size * 100 < member.file_size:
            raise DataError(
                f"files of at most {MAX_BYTES // 2**20} MiB in a .zip",
                f"{member.filename!r}, which would swell to {member.file_size / 2**20:.0f} MiB",
                "do not use this archive",
            )
