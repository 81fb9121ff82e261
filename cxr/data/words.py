"""The words that folders, tables and data sets of the Hub use for splits, classes and pathogens."""

import re
import unicodedata

from cxr.types import NORMAL, PNEUMONIA

SPLITS = ("train", "val", "test")
BARE_SPLIT = "all"
"""The one split of a data set without splits."""
BACTERIAL, VIRAL = "bacterial", "viral"

_SPLIT_WORDS = {
    word: split
    for split, words in {
        "train": "train, training, train set, training set, entrenamiento",
        "val": "val, valid, validation, dev, val set, validation set, validacion",
        "test": "test, testing, test set, testing set, prueba, pruebas",
    }.items()
    for word in words.split(", ")
}
_CLASS_WORDS = {
    word: found
    for found, words in {
        (NORMAL, ""): "normal, normals, negative, neg, healthy, control, controls, no finding, no findings, "
        "no pneumonia, non pneumonia, not pneumonia, sano, sanos, negativo, sin neumonia, sin hallazgos",
        (PNEUMONIA, ""): "pneumonia, pneumonias, positive, pos, neumonia, neumonias, positivo",
        (
            PNEUMONIA,
            BACTERIAL,
        ): "bacteria, bacterial, bacterial pneumonia, bacteria pneumonia, pneumonia bacteria, "
        "pneumonia bacterial, neumonia bacteriana, bacteriana",
        (
            PNEUMONIA,
            VIRAL,
        ): "virus, viral, viral pneumonia, virus pneumonia, pneumonia virus, pneumonia viral, "
        "neumonia viral, neumonia virica",
    }.items()
    for word in words.split(", ")
}
# In a table or a label column they are classes; as folders they may be anything, so that both must lie side by side.
_WEAK_WORDS = {
    "0": NORMAL,
    "0.0": NORMAL,
    "false": NORMAL,
    "no": NORMAL,
    "1": PNEUMONIA,
    "1.0": PNEUMONIA,
    "true": PNEUMONIA,
    "yes": PNEUMONIA,
    "si": PNEUMONIA,
}


def split_of(word: str) -> str | None:
    """train, val or test, or None for a word that names no split."""
    return _SPLIT_WORDS.get(_plain(word))


def class_of_folder(word: str) -> tuple[str, str] | None:
    """(class, subtype or "") of a folder's name, or None; "0" and "1" alone say nothing here."""
    return _CLASS_WORDS.get(_plain(word))


def weak_class_of_folder(word: str) -> str | None:
    """The class that a folder named 0, 1, yes or no stands for where its siblings are such words, too."""
    return _WEAK_WORDS.get(_plain(word))


def class_of(word: str) -> tuple[str, str] | None:
    """(class, subtype or "") of a label in a table or a data set of the Hub, or None.

    Several labels with "|" between them, as NIH's table has them, are PNEUMONIA where one of them is.
    """
    plain = _plain(word)
    if found := _CLASS_WORDS.get(plain):
        return found
    if plain in _WEAK_WORDS:
        return _WEAK_WORDS[plain], ""
    several = [_CLASS_WORDS.get(_plain(part)) for part in word.split("|")] if "|" in word else []
    return next((found for found in several if found and found[0] == PNEUMONIA), None)


def subtype_of(word: str) -> str | None:
    """bacterial or viral, or None for a word that names neither."""
    found = _CLASS_WORDS.get(_plain(word))
    return found[1] if found and found[1] else None


def _plain(word: str) -> str:
    """Without case, accents, and the difference of space, "_" and "-"."""
    if not word.isascii():
        word = "".join(
            sign for sign in unicodedata.normalize("NFKD", word) if not unicodedata.combining(sign)
        )
    return re.sub(r"[\s_-]+", " ", word).strip().casefold()
