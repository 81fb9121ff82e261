"""The words that folders, tables and data sets of the Hub use for splits, classes and pathogens."""

import re
import unicodedata
from functools import lru_cache

from cxr.types import NORMAL, PNEUMONIA

SPLITS = ("train", "val", "test")
BARE_SPLIT = "all"
"""The one split of a data set without splits."""
BACTERIAL, VIRAL = "bacterial", "viral"

# Words are compared by `_key`: without case, accents, signs and spaces, and without the _FILLERS.
_SPLIT_WORDS = {
    word: split
    for split, words in {
        "train": "train training trainset entrenamiento entreno",
        "val": "val valid validate validation valset dev devel development validacion",
        # "eval" is the test split, as in the Hub's data sets
        "test": "test testing testset eval evaluation holdout heldout prueba pruebas evaluacion",
    }.items()
    for word in words.split()
}
_CLASS_WORDS = {
    word: found
    for found, words in {
        (NORMAL, ""): "normal normals negative negatives neg healthy control controls nofinding nofindings "
        "nopneumonia nonpneumonia notpneumonia normales sano sanos negativo negativos sinneumonia sinhallazgos",
        (PNEUMONIA, ""): "pneumonia pneumonias positive positives pos neumonia neumonias positivo positivos",
        (
            PNEUMONIA,
            BACTERIAL,
        ): "bacteria bacterial bacterialpneumonia bacteriapneumonia pneumoniabacteria pneumoniabacterial "
        "neumoniabacteriana bacteriana bacterianas",
        (
            PNEUMONIA,
            VIRAL,
        ): "virus viral viralpneumonia viruspneumonia pneumoniavirus pneumoniaviral neumoniaviral neumoniavirica "
        "virica virales",
    }.items()
    for word in words.split()
}
_FILLERS = re.compile(
    "(data)?set|data|split|images?|imgs?|pictures?|films?|radiographs?|xrays?|x|rays?|cxr|chest|cases?|patients?|"
    "class|label|group|imagenes|radiografias|casos|pacientes|clase"
)
"""Words that say nothing beside another one, as in train_images."""
_MASKS = re.compile("(lung)?masks?|segmentations?|mascaras?")
# In a table or a label column they are classes; as folders they may be anything, so that both must lie side by side.
_WEAK_WORDS = {
    "0": NORMAL,
    "0.0": NORMAL,
    "0,0": NORMAL,
    "false": NORMAL,
    "no": NORMAL,
    "1": PNEUMONIA,
    "1.0": PNEUMONIA,
    "1,0": PNEUMONIA,
    "true": PNEUMONIA,
    "yes": PNEUMONIA,
    "si": PNEUMONIA,
}
_NUMBERED = re.compile(r"^(class|label|clase)[\s_-]*(?=[01]$)")


def split_of(word: str) -> str | None:
    """train, val or test, or None for a word that names no split."""
    return _SPLIT_WORDS.get(_key(word))


def class_of_folder(word: str) -> tuple[str, str] | None:
    """(class, subtype or "") of a folder's name, or None; "0" and "1" alone say nothing here."""
    return _CLASS_WORDS.get(_key(word))


def weak_class_of_folder(word: str) -> str | None:
    """The class that a folder named 0, 1, yes or no stands for where its siblings are such words, too."""
    return _weak(word)


def is_mask_folder(word: str) -> bool:
    """Whether a folder holds masks, which some data sets have beside the films of a class."""
    return _MASKS.fullmatch(_key(word)) is not None


def class_of(word: str) -> tuple[str, str] | None:
    """(class, subtype or "") of a label in a table or a data set of the Hub, or None.

    Several labels, with "|" between them as in NIH's table or as a list, are PNEUMONIA where one of them is, and
    NORMAL where all are.
    """
    if found := _CLASS_WORDS.get(_key(word)):
        return found
    if weak := _weak(word):
        return weak, ""
    several = [_CLASS_WORDS.get(_key(part)) for part in re.split(r"[|,;]", word) if part.strip()]
    ill = next((found for found in several if found and found[0] == PNEUMONIA), None)
    return ill or ((NORMAL, "") if several and all(several) else None)


def subtype_of(word: str) -> str | None:
    """bacterial or viral, or None for a word that names neither."""
    found = _CLASS_WORDS.get(_key(word))
    return found[1] if found and found[1] else None


def _weak(word: str) -> str | None:
    return _WEAK_WORDS.get(_NUMBERED.sub("", _without_accents(word).strip().casefold()))


@lru_cache(maxsize=4096)
def _key(word: str) -> str:
    """Without case, accents, signs, spaces, fillers, and a number in front (01_train, 0_NORMAL)."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _without_accents(word))
    parts = [part for part in re.split(r"[\W_]+", apart.casefold()) if part and not _FILLERS.fullmatch(part)]
    if len(parts) > 1 and parts[0].isdecimal() and parts[1].isalpha():
        del parts[0]
    return "".join(parts)


def _without_accents(word: str) -> str:
    if word.isascii():
        return word
    return "".join(sign for sign in unicodedata.normalize("NFKD", word) if not unicodedata.combining(sign))
