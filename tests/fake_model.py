"""A model without TensorFlow for the app's tests: bright films are PNEUMONIA, and bright places are the evidence.

python tests/fake_model.py FOLDER serves the app with it until its standard input ends.
"""

import csv
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from cxr.files import write_json
from cxr.imaging.decode import GrayImage
from cxr.imaging.preprocess import PreprocessSpec
from cxr.model.answer import Answer
from cxr.model.backend import Outputs
from cxr.model.bundle import Bundle, BundleDescription, GoldenProbe, NetworkSpec
from cxr.model.decision import DecisionSpec
from cxr.model.figures import (
    FIGURES,
    METRICS_FILE,
    Bootstrap,
    Confusion,
    Evaluation,
    Figure,
    MeasuredData,
    MeasuredModel,
    Metrics,
    Uncertain,
)
from cxr.model.predictor import Explanation, ModelIdentity, Predictor
from cxr.model.training_record import FilmCounts, TrainingRecord
from cxr.phantom import make_phantom
from cxr.serving.slot import Served, Serving
from cxr.types import EvidenceMap, InputBatch

SIZE = 64
_MIDDLE = 0.42
_PHANTOM = "synthetic phantom, not a radiograph of a person"


class BrightnessBackend:
    """Logit: 40 times the mean brightness above the middle. Evidence: the same, by 8 x 8 pixels."""

    size = SIZE

    def outputs(self, batch: InputBatch) -> Outputs:
        return self.evidence(batch)[0]

    def evidence(self, batch: InputBatch) -> tuple[Outputs, EvidenceMap]:
        cells = batch.reshape(len(batch), 8, SIZE // 8, 8, SIZE // 8).mean(axis=(2, 4), dtype=np.float64)
        maps = 40 * (cells - _MIDDLE)
        logits = maps.mean(axis=(1, 2))
        return Outputs(logits, logits[:, None].astype(np.float32)), maps.astype(np.float32)


class FakePredictor(Predictor):
    """Refuses films that are black all over, as an input gate does."""

    def predict_many(self, images: Sequence[GrayImage]) -> list[Answer]:
        found = super().predict_many(images)
        return [_gated(answer, image) for answer, image in zip(found, images, strict=True)]

    def explain(self, image: GrayImage) -> Explanation:
        found = super().explain(image)
        return Explanation(_gated(found.answer, image), found.evidence)


def _gated(answer: Answer, image: GrayImage) -> Answer:
    if image.pixels.any():
        return answer
    return Answer(scope="refused", warnings=(*answer.warnings, "blank"))


def fake_predictor(folder: Path, data: str = "phantom:600", gallery: int = 4) -> Predictor:
    """A predictor with a bundle that has a gallery of phantoms and made-up figures."""
    _write_gallery(folder / "examples", gallery)
    _write_predictions(folder / "predictions.csv")
    preprocess = PreprocessSpec(size=SIZE, resample="bilinear")
    decision = DecisionSpec(
        temperature=1.4, threshold=0.61, rule="made up", uncertain_band=(0.4, 0.7), reference_prevalence=0.5
    )
    description = BundleDescription(
        name="fake-model",
        version="0.0.1",
        network=NetworkSpec(name="fake"),
        preprocess=preprocess,
        decision=decision,
        training=training_record(data),
        probe=GoldenProbe(logit=0.0),
        sha256={"model.h5": "0123456789abcdef" * 4},
    )
    identity = ModelIdentity("fake", "", "0.0.1", description.sha256["model.h5"])
    write_json(folder / METRICS_FILE, _figures(decision, identity).model_dump(mode="json"))
    return FakePredictor(BrightnessBackend(), preprocess, decision, identity, Bundle(folder, description))


def training_record(data: str = "phantom:600") -> TrainingRecord:
    """What a bundle must tell of its training, made up."""
    films = FilmCounts(train=5216, validation=600)
    return TrainingRecord(data=data, data_revision="", films=films, prevalence=0.74, split_rule="made up")


def phantom_file(path: Path, seed: int = 1, subtype: str = "bacterial") -> Path:
    """A phantom as a file of the format that `path` names."""
    Image.fromarray(make_phantom(seed, subtype).pixels).save(path)  # type: ignore[arg-type]
    return path


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[str]:
    """The address of the app, served with the fake model from a process of its own.

    Of its own, because here every warning is an error, and Gradio's queue does not outlive an error.
    """
    with subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            # Gradio tells of its MCP server first, quiet or not.
            address = next((line for line in process.stdout if line.startswith("http")), "")
            assert address, "the app did not start"
            yield address.strip()
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def _serve(folder: Path) -> None:
    import app  # here: the fake model itself needs no Gradio

    if keep := os.environ.get("TEST_KEEP_SECONDS"):
        app.KEEP_SECONDS = app.CLEAN_EVERY_SECONDS = int(keep)
    if requests := os.environ.get("TEST_REQUESTS_LOG"):
        log = logging.getLogger("app.requests")
        log.setLevel(logging.INFO)
        log.addHandler(logging.FileHandler(requests, encoding="utf-8"))
    blocks = app.build_app(Serving(Served(fake_predictor(folder))))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _, address, _ = blocks.launch(
        **app.launch_options(), server_port=port, prevent_thread_lock=True, quiet=True
    )
    print(address, flush=True)
    sys.stdin.read()
    blocks.close(verbose=False)


def _write_gallery(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    with (folder / "examples.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", "truth", "probability", "attribution"))
        for seed in range(count):
            subtype = ("normal", "bacterial", "normal", "viral")[seed % 4]
            name = f"phantom-{seed}.png"
            phantom_file(folder / name, seed, subtype)
            writer.writerow((name, "NORMAL" if subtype == "normal" else "PNEUMONIA", "0.5", _PHANTOM))


def _write_predictions(path: Path) -> None:
    """Made-up held-out answers, two films a patient."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", "patient", "label", "subtype", "probability", "decision"))
        for film in range(80):
            ill = film % 5 > 1
            probability = (film * 37 % 80) / 100 + (0.2 if ill else 0.0)
            label = "PNEUMONIA" if ill else "NORMAL"
            writer.writerow((f"{film}.png", f"p{film // 2}", label, "", probability, "NORMAL"))


def made_up_figures(**counts: int) -> Evaluation:
    """Figures whose intervals are 0.04 wide."""
    values = {"roc_auc": 0.961, "sensitivity": 0.97, "specificity": 0.812}
    found = {name: values.get(name, 0.5) for name in FIGURES if name != "brier"}
    return Evaluation(
        **{"n": 624, "n_normal": 234, "n_pneumonia": 390, "n_groups": 400, **counts},
        **{name: Figure(value=value, ci95=(value - 0.02, value + 0.02)) for name, value in found.items()},
        brier=Figure(value=None, ci95=None),
        confusion=Confusion(tn=190, fp=44, fn=12, tp=378),
        threshold=0.61,
        uncertain=Uncertain(n=60, share=60 / 624, accuracy_of_the_rest=0.9),
        subgroups={},
        bootstrap=Bootstrap(unit="patient group", resamples=2000, seed=0, method="percentile"),
    )


def _figures(decision: DecisionSpec, identity: ModelIdentity) -> Metrics:
    figures = made_up_figures()
    return Metrics(
        **figures.given(),
        model=MeasuredModel(**asdict(identity)),
        data=MeasuredData(id="fake", revision="", split="test", notes=()),
        decision=decision,
        validation=figures,
    )


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
