"""Plots and report: drawn, the same bytes each time, nothing fetched and nothing let through unescaped."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr.errors import DataError
from cxr.model.decision import DecisionSpec
from cxr.model.figures import MeasuredData, MeasuredModel, Metrics
from cxr.model.predictions import ScoredFilm
from cxr.types import Decision
from evaluation.metrics import evaluate
from evaluation.plots import write_plots
from evaluation.predictions import worst_errors
from evaluation.report import DISCLAIMER, PLOTS, write_report
from evaluation.sample_grid import choose_films
from tests.scored_films import scored_film

THRESHOLD = 0.45
MALICIOUS = "test/NORMAL/<img src=x onerror=alert(1)>&\"'.jpeg"
HISTORY = [
    {
        "epoch": e,
        "loss": 1 / e,
        "val_loss": 1.2 / e,
        "val_roc_auc": 0.9,
        "val_accuracy": 0.8,
        "learning_rate": 1e-3,
    }
    for e in range(1, 6)
]


def make_films(n: int = 60) -> list[ScoredFilm]:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        probability = float(np.clip(rng.normal(0.7 if i % 2 else 0.3, 0.25), 0, 1))
        decision: Decision = "PNEUMONIA" if probability >= THRESHOLD else "NORMAL"
        label, subtype = ("PNEUMONIA", "viral") if i % 2 else ("NORMAL", "")
        rows.append(scored_film(f"test/{label}/{i}.jpeg", f"p{i}", label, subtype, probability, decision))
    rows[0] = scored_film(MALICIOUS, "p0", "NORMAL", "", 1.0, "PNEUMONIA")
    rows[-1] = replace(rows[-1], answer=replace(rows[-1].answer, decision="UNCERTAIN"))
    return rows


def make_metrics(rows: list[ScoredFilm], data: str = "films $1", **also: Any) -> Metrics:
    return Metrics(
        model=MeasuredModel(source="a <model>", revision="", version="1.2.3", sha256="ab" * 32),
        data=MeasuredData(id=data, revision="r7", split="test", notes=("a note & more",)),
        decision=DecisionSpec(
            temperature=1.0, threshold=THRESHOLD, rule="chosen < by hand", uncertain_band=(0.4, 0.5)
        ),
        **evaluate(rows, THRESHOLD, resamples=50).given(),
        **also,
    )


def make_pixels(n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, 32, 32), np.uint8)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("drawn") / "plots"
    rows = make_films()
    return folder, write_plots(folder, rows, make_pixels(len(rows)), make_metrics(rows), HISTORY)


def test_every_plot_is_drawn_large_and_not_blank(drawn: tuple[Path, list[str]]) -> None:
    folder, names = drawn
    assert sorted(names) == sorted(PLOTS) == sorted(path.name for path in folder.iterdir())
    for name in names:
        image = Image.open(folder / name)
        pixels = np.asarray(image.convert("RGB"))
        assert min(image.size) >= 600
        assert 0.02 < (pixels < 200).any(axis=2).mean() < 0.98, name
        assert len(set(pixels[::3, ::3].tobytes())) > 20, name


def test_plots_are_the_same_bytes_each_time(drawn: tuple[Path, list[str]], tmp_path: Path) -> None:
    rows = make_films()
    write_plots(tmp_path, rows, None, make_metrics(rows), HISTORY)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (drawn[0] / path.name).read_bytes(), path.name


def test_the_sample_grid_is_drawn_only_where_films_may_be_shown(tmp_path: Path) -> None:
    rows = make_films(10)
    assert "sample_grid.png" not in write_plots(tmp_path / "a", rows, None, make_metrics(rows))
    assert not (tmp_path / "a" / "sample_grid.png").exists()
    with pytest.raises(DataError, match="10 rows and 9 films"):
        write_plots(tmp_path / "c", rows, make_pixels(9), make_metrics(rows))


def test_one_class_has_no_curves_but_all_other_plots(tmp_path: Path) -> None:
    normals = [row for row in make_films() if not row.is_pneumonia]
    names = write_plots(tmp_path, normals, None, make_metrics(normals))
    assert names == ["confusion.png", "reliability.png", "scores.png"]


def test_one_film_of_each_class_is_enough(tmp_path: Path) -> None:
    rows = make_films(2)
    assert len(write_plots(tmp_path, rows, make_pixels(2), make_metrics(rows))) == 6


def test_phantoms_are_named_on_every_plot_of_films(drawn: tuple[Path, list[str]], tmp_path: Path) -> None:
    rows = make_films()
    for name in write_plots(tmp_path, rows, None, make_metrics(rows, "phantom:60")):
        assert (tmp_path / name).read_bytes() != (drawn[0] / name).read_bytes(), name


def test_the_grid_starts_with_the_most_confident_errors_and_repeats_no_film() -> None:
    rows = make_films(200)
    chosen, errors = choose_films(rows, THRESHOLD)
    assert len(chosen) == len(set(chosen)) == 32
    assert errors == 16
    assert [rows[index] for index in chosen[:16]] == worst_errors(rows, THRESHOLD, 16)
    assert choose_films(rows, THRESHOLD) == (chosen, errors)
    few = make_films(9)
    assert sorted(choose_films(few, THRESHOLD)[0]) == list(range(9))


class Page(HTMLParser):
    """What a browser would see: tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def make_report(folder: Path, plots: Path, data: str = "films $1") -> str:
    rows = make_films()
    errors = worst_errors(rows, THRESHOLD, 5)
    write_report(folder / "report.html", make_metrics(rows, data), plots, "other films", errors)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_report_stands_alone_and_lets_nothing_through(
    drawn: tuple[Path, list[str]], tmp_path: Path
) -> None:
    text = make_report(tmp_path, drawn[0])
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]*", "", text))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in page.all("img"))
    assert MALICIOUS in page.words
    assert "default-src 'none'" in str(page.all("meta"))


def test_the_report_says_what_was_evaluated_and_how_sure_it_is(
    drawn: tuple[Path, list[str]], tmp_path: Path
) -> None:
    page = Page(make_report(tmp_path, drawn[0]))
    metrics = make_metrics(make_films())
    auc = metrics.roc_auc
    told = [DISCLAIMER, "a <model>", "1.2.3", "ab" * 32, "films $1", "r7", "a note & more", "other films"]
    told += [
        f"{auc.value:.3f}",
        f"{auc.ci95[0]:.3f} to {auc.ci95[1]:.3f}",
        "viral",
        "chosen < by hand",
    ]
    told += [
        "60: 30 normal and 30 pneumonia, of 60 patient groups",
        "drawn with replacement 50 times (seed 0)",
    ]
    assert [words for words in told if words not in page.words] == []
    assert len(page.all("h1")) == 1
    assert len(page.all("table")) == len(page.all("caption")) == 5
    assert len(page.all("img")) == len(PLOTS) == len([image for image in page.all("img") if image["alt"]])
    assert page.all("html") == [{"lang": "en"}]


def test_the_report_tells_sources_apart_and_escapes_their_names(tmp_path: Path) -> None:
    rows = make_films()
    half = {"<b>A</b>": rows[:30], "B": rows[30:]}
    figures = {name: evaluate(part, THRESHOLD, resamples=10) for name, part in half.items()}
    metrics = make_metrics(rows, per_source=figures, code_version="9.8.7")
    write_report(tmp_path / "report.html", metrics, tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Sources" in page.words and "<b>A</b>" in page.words and not page.all("b")
    assert f"{figures['B'].roc_auc.value:.3f}" in page.words and "15 + 15" in page.words
    assert "Code version" in page.words and "9.8.7" in page.words, "it is not the bundle's"
    own = make_metrics(rows, code_version="1.2.3")
    write_report(tmp_path / "report.html", own, tmp_path)
    assert "Code version" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_report_of_phantoms_says_so_at_the_top(tmp_path: Path) -> None:
    assert "SYNTHETIC PHANTOMS" not in make_report(tmp_path, tmp_path)
    text = make_report(tmp_path, tmp_path, "phantom:60")
    assert text.index("SYNTHETIC PHANTOMS") < text.index("<main>")
