"""Folders that name splits and classes -> films.

The layout is that of Kaggle's "Chest X-Ray Images (Pneumonia)": train, val and test, each with NORMAL and PNEUMONIA;
or bare, with these two alone (one split, "all"). Its words may be other common ones (`cxr.data.words`), in any case;
folders below a class folder belong to the class; BACTERIA and VIRUS are PNEUMONIA with a subtype. Nothing is left
out in silence: what is no film of the layout, masks among it, is counted by kind.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cxr.data.films import Film, describe
from cxr.data.names import PassedOver, is_clutter, is_film, is_hidden_film, kind_of_other, may_be_film
from cxr.data.patients import Naming, patient_by_name
from cxr.data.words import (
    BARE_SPLIT,
    class_of_folder,
    is_mask_folder,
    split_of,
    subtype_of,
    weak_class_of_folder,
)
from cxr.errors import DataError
from cxr.types import CLASSES

Folder = tuple[str, ...]
_SHOWN = 5


@dataclass(frozen=True)
class _Place:
    """What a folder's place says of the films in it. root: the folders above the layout."""

    root: Folder
    split: str
    label: str
    subtype: str


def find_films(
    paths: Iterable[str],
    begins: Callable[[str], bytes] = lambda path: b"",
    patient_of: Naming = patient_by_name,
    source: str = "",
) -> tuple[list[Film], PassedOver]:
    """The films among the paths of a tree (with "/"), and what else is there, by kind.

    begins: gives the first bytes of a file, asked where its name does not say whether it is a film; source: the
    films' own.

    The layout may lie at any depth. The data set nearest to the top is taken, and a copy or another data set inside
    it is left out and counted; Kaggle's own archive holds such a copy. Raises DataError where there is no layout,
    where several data sets lie side by side, or where folders contradict each other.
    """
    passed_over = PassedOver()
    folders = _by_folder(paths, passed_over)
    places = _places(folders)
    if not places:
        raise _no_layout(folders)
    root = _choose_root({place.root for place in places.values()})
    splits = any(place.split != BARE_SPLIT for place in places.values() if place.root == root)
    films: list[Film] = []
    for folder, files in folders.items():
        place = places.get(folder)
        if place is None or place.root != root or (splits and place.split == BARE_SPLIT):
            reason = _why_left_out(folder, place, root, places, folders)
            passed_over.update(reason if may_be_film(path) else kind_of_other(path) for path in files)
            continue
        for path in files:
            if is_film(path, begins):
                films.append(describe(path, place.split, place.label, place.subtype, patient_of, source))
            else:
                passed_over[kind_of_other(path)] += 1
    return sorted(films, key=lambda film: film.path), passed_over


def has_class_folders(paths: Iterable[str]) -> bool:
    """Whether any of the paths lies in a folder that names a class."""
    return bool(_places(_by_folder(paths, PassedOver())))


def _by_folder(paths: Iterable[str], passed_over: PassedOver) -> dict[Folder, list[str]]:
    """The visible files of each folder that has any."""
    files: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if not is_clutter(path):
            files[path.rpartition("/")[0]].append(path)
        elif is_hidden_film(path):
            passed_over["hidden"] += 1
    return {tuple(folder.split("/")) if folder else (): files[folder] for folder in sorted(files)}


def _places(folders: dict[Folder, list[str]]) -> dict[Folder, _Place]:
    """The place of each folder that lies in a class folder, and holds what may be a film and no mask."""
    occupied = [
        folder
        for folder, files in folders.items()
        if not any(map(is_mask_folder, folder)) and any(map(may_be_film, files))
    ]
    classes = _class_folders(occupied)
    places: dict[Folder, _Place] = {}
    for folder in occupied:
        chain = [depth for depth in range(1, len(folder) + 1) if folder[:depth] in classes]
        if not chain:
            continue
        labels = {classes[folder[:depth]] for depth in chain}
        if len(labels) > 1:
            name = "/".join(folder)
            message = f"The folder {name} names two classes. Rename one of its folders."
            raise DataError(message, "folder_of_two_classes", folder=name)
        places[folder] = _place(folder, chain[0] - 1, labels.pop())
    return places


def _place(folder: Folder, at: int, label: str) -> _Place:
    """at: which of the folders names the class. The split is named above it, or right below."""
    subtype = next((found for word in folder[at:] if (found := subtype_of(word))), "")
    for above in range(at - 1, -1, -1):
        if split := split_of(folder[above]):
            return _Place(folder[:above], split, label, subtype)
    below = split_of(folder[at + 1]) if len(folder) > at + 1 else None
    return _Place(folder[:at], below or BARE_SPLIT, label, subtype)


def _class_folders(folders: Sequence[Folder]) -> dict[Folder, str]:
    """The folders that name a class, with it. A folder that holds both classes below is the data set's own name."""
    named = _named_classes(folders)
    below: dict[Folder, set[str]] = defaultdict(set)
    for folder, label in named.items():
        for depth in range(1, len(folder)):
            if folder[:depth] in named:
                below[folder[:depth]].add(label)
    return {folder: label for folder, label in named.items() if len(below[folder]) < len(CLASSES)}


def _named_classes(folders: Sequence[Folder]) -> dict[Folder, str]:
    every = {folder[:depth] for folder in folders for depth in range(1, len(folder) + 1)}
    children: dict[Folder, set[str]] = defaultdict(set)
    for folder in every:
        children[folder[:-1]].add(folder[-1])
    named = {folder: found[0] for folder in every if (found := class_of_folder(folder[-1]))}
    for parent, names in children.items():
        # 0 and 1, no and yes: only where both lie side by side and alone, and not among a class's own folders.
        weak = {name: weak_class_of_folder(name) for name in names}
        inside = any(parent[:depth] in named for depth in range(1, len(parent) + 1))
        if set(weak.values()) == set(CLASSES) and not inside:
            named |= {(*parent, name): label for name, label in weak.items() if label}
    return named


def _choose_root(roots: set[Folder]) -> Folder:
    """The root nearest to the top, if all others lie inside it."""
    ordered = sorted(roots, key=lambda root: (len(root), root))
    root = ordered[0]
    beside = [other for other in ordered if other[: len(root)] != root]
    if beside:
        names = ["/".join(other) for other in (root, *beside)]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise DataError(
            f"{len(names)} data sets lie side by side: {', '.join(names[:_SHOWN])}{more}. "
            "Choose one of them, or give each on its own.",
            "several_data_sets",
            count=len(names),
            names=", ".join(names[:_SHOWN]),
        )
    return root


def _why_left_out(
    folder: Folder,
    place: _Place | None,
    root: Folder,
    places: dict[Folder, _Place],
    folders: dict[Folder, list[str]],
) -> str:
    name = "/".join(folder) or "the top folder"
    if any(map(is_mask_folder, folder)):
        return f"masks, not films ({name})"
    if place is None:
        return f"in no class folder ({name})"
    if place.root == root:
        return f"beside the folders of splits ({name})"
    inner = "/".join(place.root)
    # A copy holds the same names; whether it holds the same bytes is not looked into.
    twin = (*root, *folder[len(place.root) :])
    twins = {path.rpartition("/")[2] for path in folders.get(twin, [])} if twin in places else set()
    is_copy = all(path.rpartition("/")[2] in twins for path in folders[folder])
    return f"in a second copy of the data set ({inner})" if is_copy else f"in a data set inside ({inner})"


def _no_layout(folders: dict[Folder, list[str]]) -> DataError:
    tops = sorted({folder[0] for folder in folders if folder})
    loose = len(folders.get((), []))
    more = " and others" if len(tops) > _SHOWN else ""
    found = [f"the folders {', '.join(tops[:_SHOWN])}{more}"] if tops else []
    found += [f"{loose:,} files in no folder"] if loose else []
    return DataError(
        "No radiograph lies in a folder named NORMAL or PNEUMONIA: the data set holds "
        f"{' and '.join(found) or 'no file'}. Put radiographs into folders NORMAL and PNEUMONIA, inside train, val "
        "and test where there are splits, or add a table films.csv with the columns file and label.",
        "no_class_folders",
    )
