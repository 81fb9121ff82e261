"""A .zip, read in place: nothing is unpacked, so nothing can be written outside or left behind.

Its names are settled here, once, for every door: "/" between folders whatever the program that made it wrote, text
in UTF-8 also where macOS forgot to say so, one line without control characters, and no files of the operating
system (__MACOSX, ._*, .DS_Store, desktop.ini, Thumbs.db).
"""

import lzma
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from cxr.data.names import PassedOver, is_clutter, is_hidden_film, printable
from cxr.errors import DataError
from cxr.imaging.decode import MAX_BYTES
from cxr.imaging.dicom import PEEK
from cxr.imaging.kinds import other_archive

MAX_MEMBERS = 200_000
_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_NAMED_UTF8 = 0x800
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

    members: its files, in its order, without folders and clutter; their `filename` is the settled name, by which
    they are read too. passed_over: hidden films, and earlier files whose name a later one has taken.
    `read` may be called from several threads.
    """

    def __init__(self, path: Path) -> None:
        """Raises DataError for what is no .zip, is damaged, or is not safe."""
        name = printable(path.name)
        try:
            self._archive = zipfile.ZipFile(path)
            every = self._archive.infolist()
            for member in every:
                member.filename = _settled(member)
            files = [member for member in every if not member.filename.endswith("/")]
        except _BROKEN as error:
            if kind := kind_of_archive(path):
                raise DataError(
                    f"{name} is {kind}, not a .zip. Unpack it and pack it as a .zip.",
                    "other_archive",
                    name=name,
                ) from error
            raise DataError(
                f"{name} is no .zip or is damaged ({reason(error)}). Download or copy it again.",
                "damaged_zip" if _begins_as_zip(path) else "not_a_zip",
                name=name,
            ) from error
        _refuse_unsafe(files, name)
        self.passed_over = PassedOver(
            "hidden" for member in files if is_clutter(member.filename) and is_hidden_film(member.filename)
        )
        visible = [member for member in files if not is_clutter(member.filename)]
        self._by_name = {member.filename: member for member in visible}  # of one name, the last counts
        self.members = list(self._by_name.values())
        if len(self.members) < len(visible):
            self.passed_over["replaced in the .zip by a later file of the same name"] = len(visible) - len(
                self.members
            )

    def begins(self, name: str) -> bytes:
        """The first bytes of a file, as many as tell what it is. Raises DataError."""
        return self.read(name, PEEK)

    def read(self, member: str | zipfile.ZipInfo, most: int = MAX_BYTES + 1) -> bytes:
        """The bytes of one file, cut after `most`: one more than a film may have. Raises DataError."""
        name = member if isinstance(member, str) else member.filename
        try:
            with self._archive.open(self._by_name[name]) as stream:
                return stream.read(most)
        except (
            NotImplementedError
        ) as error:  # Deflate64 among others, which Windows takes for files above 2 GB
            raise DataError(
                f"{name} is packed by a method that is not read here ({reason(error)}). "
                "Make the archive again by Deflate, the usual method.",
                "zip_method",
                name=name,
            ) from error
        except _BROKEN as error:
            raise DataError(
                f"{name} is damaged or encrypted in the .zip ({reason(error)}). Make the archive again.",
                "damaged_member",
                name=name,
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._archive.close()


def is_archive(path: Path) -> bool:
    """True for a file that begins as a .zip does, or is named so."""
    return _begins_as_zip(path) or path.suffix.lower() == ".zip"


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) in _SIGNATURES


def kind_of_archive(path: Path) -> str | None:
    """What an archive of another kind than .zip is, such as "a RAR archive", or None where it is none."""
    try:
        with path.open("rb") as stream:
            return other_archive(stream.read(PEEK))
    except OSError:
        return None


def reason(error: Exception) -> str:
    """The error in words, without the folder that an OSError's own text shows."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def _settled(member: zipfile.ZipInfo) -> str:
    """A member's name as text, with "/" between folders."""
    name = member.filename
    if not member.flag_bits & _NAMED_UTF8 and not name.isascii():
        # zipfile took it for code page 437, which turns every byte into a sign and back again.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = member.filename
    name = printable(name.replace("\\", "/"))
    return re.sub(r"(?<![^/])(?:\./)+|(?<=[^/])/+(?=/)", "", name)  # ./ and doubled slashes say nothing


def _refuse_unsafe(members: list[zipfile.ZipInfo], name: str) -> None:
    if len(members) > MAX_MEMBERS:
        raise DataError(
            f"{name} holds {len(members):,} files; at most {MAX_MEMBERS:,} are read. Split it into several.",
            "too_many_members",
            name=name,
            count=len(members),
            most=MAX_MEMBERS,
        )
    for member in members:
        place = PurePosixPath(member.filename)
        if place.is_absolute() or ".." in place.parts or re.match(r"[A-Za-z]:", member.filename):
            raise DataError(
                f"{name} holds {member.filename!r}, a name that leads outside the .zip. Do not use this archive.",
                "unsafe_name",
                name=name,
                member=member.filename,
            )
        if member.file_size > MAX_BYTES and member.compress_size * 100 < member.file_size:
            raise DataError(
                f"{name} holds {member.filename!r}, which would swell to {member.file_size / 2**20:.0f} MiB. "
                "Do not use this archive.",
                "swelling_member",
                name=name,
                member=member.filename,
                mebibytes=member.file_size // 2**20,
            )
