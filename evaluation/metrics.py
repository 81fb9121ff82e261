"""The figures of a set of scored films, each with its 95% interval, as metrics.json holds them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import metrics as sk

from cxr.errors import DataError, UsageError
from cxr.model.figures import Bootstrap, Confusion, Evaluation, Figure, Refused, Summary, Uncertain
from cxr.model.predictions import ScoredFilm
from cxr.types import FloatArray, Probabilities
from evaluation.calibration import edge_interval, expected_calibration_error
from evaluation.predictions import labels_and_probabilities
from evaluation.resampling import resampled_figures


def evaluate(
    rows: Sequence[ScoredFilm],
    threshold: float,
    resamples: int = 2000,
    seed: int = 0,
    uncertain_band: tuple[float, float] | None = None,
    unfamiliar_band: tuple[float, float] | None = None,
) -> Evaluation:
    """All figures of scored films at an operating point: PNEUMONIA where probability >= threshold.

    A figure that the films leave undefined, such as AUC with one class, is None; so is its interval, and that alone
    with one patient group or `resamples` of 0. Intervals are percentiles of a bootstrap over patient groups; resamples
    in which a figure is undefined do not count for it. The input gate and the uncertain band are ignored but for
    `refused` and `uncertain`.

    Args:
        rows: Scored films, at least one.
        threshold: The operating point, in (0, 1).
        resamples: Rounds of the bootstrap; 0 for no intervals.
        seed: Of the bootstrap.
        uncertain_band: Low and high probability of the band that is called UNCERTAIN.
        unfamiliar_band: The same for unfamiliar images, where they have one of their own.

    Returns:
        The figures, those of each subtype against all normal films, and of each source where there are several.

    Raises:
        DataError: There are no films.
        UsageError: `resamples` is negative.
    """
    if not rows:
        raise DataError("There is no film to evaluate. Check the data set and the split.")
    if resamples < 0:
        raise UsageError(
            f"resamples is {resamples}, which is below 0. 2000 is usual; 0 leaves the intervals out."
        )

    def summary(some: Sequence[ScoredFilm]) -> Summary:
        return _summary(some, threshold, resamples, seed)

    def of_source(name: str) -> list[ScoredFilm]:
        return [row for row in rows if row.answer.source == name]

    subtypes = sorted({row.subtype for row in rows if row.is_pneumonia} - {""})
    sources = sorted({row.answer.source for row in rows})
    several: dict[str, Any] = {}
    if len(sources) > 1:
        several["per_source"] = {name: summary(of_source(name)) for name in sources}
    return Evaluation(
        **summary(rows).given(),
        threshold=threshold,
        uncertain=_uncertain(rows, threshold, uncertain_band, unfamiliar_band),
        refused=_refused(rows),
        subgroups={subtype: summary(_normals_and(rows, subtype)) for subtype in subtypes},
        bootstrap=Bootstrap(unit="patient group", resamples=resamples, seed=seed, method="percentile"),
        **several,
    )


def bare_figures(rows: Sequence[ScoredFilm]) -> dict[str, float | None]:
    """Loss, accuracy, precision, recall and AUC as the original project printed them for its Keras model.

    As in Keras, PNEUMONIA is a probability above 0.5, probabilities are held 1e-7 away from 0 and 1 in the
    loss, and precision and recall are 0 where undefined. AUC is exact, and None with one class; Keras's own
    is an approximation by 200 thresholds. Raises DataError for no films.
    """
    if not rows:
        raise DataError("There is no film to evaluate. Check the data set and the split.")
    y_true, y_prob = labels_and_probabilities(rows)
    called = y_prob > 0.5
    return {
        "loss": float(sk.log_loss(y_true, np.clip(y_prob, 1e-7, 1 - 1e-7), labels=[0, 1])),
        "accuracy": float(sk.accuracy_score(y_true, called)),
        "precision": float(sk.precision_score(y_true, called, zero_division=0.0)),
        "recall": float(sk.recall_score(y_true, called, zero_division=0.0)),
        "auc": float(sk.roc_auc_score(y_true, y_prob)) if 0 < y_true.mean() < 1 else None,
    }


def _summary(rows: Sequence[ScoredFilm], threshold: float, resamples: int, seed: int) -> Summary:
    """Counts, figures with intervals, and the confusion matrix."""
    y_true, y_prob = labels_and_probabilities(rows)
    groups = [row.patient for row in rows]
    n_groups = len(set(groups))
    # One group resampled is itself again: that spread would say nothing of another patient.
    rounds = resamples if n_groups > 1 else 0
    spread = resampled_figures(y_true, y_prob, groups, threshold, rounds, seed)
    tn, fp, fn, tp = sk.confusion_matrix(y_true, y_prob >= threshold, labels=[0, 1]).ravel().tolist()
    counted = _counted(y_true, y_prob >= threshold)
    figures = {
        name: _with_interval(value, spread.get(name), groups, counted.get(name))
        for name, value in _point_figures(y_true, y_prob, threshold).items()
    }
    return Summary(
        n=len(rows),
        n_normal=tn + fp,
        n_pneumonia=fn + tp,
        n_groups=n_groups,
        confusion=Confusion(tn=tn, fp=fp, fn=fn, tp=tp),
        **figures,
    )


def _point_figures(y_true: np.ndarray, y_prob: Probabilities, threshold: float) -> dict[str, float]:
    """The figures by scikit-learn; NaN where undefined."""
    called = (y_prob >= threshold).astype(np.uint8)
    nan = float("nan")
    both = 0 < y_true.mean() < 1
    return {
        "accuracy": sk.accuracy_score(y_true, called),
        "sensitivity": sk.recall_score(y_true, called, zero_division=nan),
        "specificity": sk.recall_score(y_true, called, pos_label=0, zero_division=nan),
        "precision": sk.precision_score(y_true, called, zero_division=nan),
        "npv": sk.precision_score(y_true, called, pos_label=0, zero_division=nan),
        "f1": sk.f1_score(y_true, called, zero_division=nan),
        "roc_auc": sk.roc_auc_score(y_true, y_prob) if both else nan,
        "average_precision": sk.average_precision_score(y_true, y_prob) if both else nan,
        "brier": sk.brier_score_loss(y_true, y_prob, pos_label=1),
        "ece": expected_calibration_error(y_true, y_prob),
        "log_loss": sk.log_loss(y_true, y_prob, labels=[0, 1]),
    }


def _counted(y_true: np.ndarray, called: np.ndarray) -> dict[str, np.ndarray]:
    """The films that a share is a share of, bool (n,), for each figure that is a share of films."""
    ill = y_true.astype(bool)
    return {
        "accuracy": np.ones(len(ill), bool),
        "sensitivity": ill,
        "specificity": ~ill,
        "precision": called,
        "npv": ~called,
    }


def _with_interval(
    value: float, spread: FloatArray | None, groups: Sequence[str], counted: np.ndarray | None
) -> Figure:
    """The figure with its bootstrap interval; a share of all or none of `counted`, with Wilson's over patients."""
    if np.isnan(value):
        return Figure(value=None, ci95=None)
    if counted is not None and spread is not None and value in (0.0, 1.0):
        patients = {group for group, is_counted in zip(groups, counted, strict=True) if is_counted}
        return Figure(value=float(value), ci95=edge_interval(float(value), len(patients)))
    defined = spread[~np.isnan(spread)] if spread is not None else np.empty(0)
    interval = np.percentile(defined, [2.5, 97.5]).tolist() if len(defined) else None
    return Figure(value=float(value), ci95=interval)


def _uncertain(
    rows: Sequence[ScoredFilm],
    threshold: float,
    usual: tuple[float, float] | None,
    unfamiliar: tuple[float, float] | None,
) -> Uncertain:
    """Films in the uncertain band, and how often the others are on the right side of the threshold."""

    def is_decided(row: ScoredFilm) -> bool:
        band = unfamiliar if unfamiliar and row.answer.scope == "unfamiliar" else usual
        return band is None or not band[0] <= row.probability < band[1]

    decided = [row for row in rows if is_decided(row)]
    right = sum((row.probability >= threshold) == row.is_pneumonia for row in decided)
    n = len(rows) - len(decided)
    return Uncertain(n=n, share=n / len(rows), accuracy_of_the_rest=right / len(decided) if decided else None)


def _refused(rows: Sequence[ScoredFilm]) -> Refused:
    """Films that the input gate would not let pass; the figures count them all the same."""
    n = sum(row.answer.refused for row in rows)
    return Refused(n=n, share=n / len(rows))


def _normals_and(rows: Sequence[ScoredFilm], subtype: str) -> list[ScoredFilm]:
    return [row for row in rows if not row.is_pneumonia or row.subtype == subtype]
