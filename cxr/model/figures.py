"""metrics.json: the figures of a model on labelled films, typed and checked, from the trainer to the page.

A reader of a bundle ignores what it does not know, so that a newer bundle's figures do not stop an older app; what it
needs must be there. `None` stands for a figure that the films leave undefined, such as AUC with one class.
"""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from cxr.errors import BundleError, first_problem
from cxr.model.decision import DecisionSpec

METRICS_FILE: Final = "metrics.json"

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[float, float]
"""Low and high end of a 95% interval."""


class Record(BaseModel):
    """A part of a bundle's record: typed where it is read, open to more, written again as it was read."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    def given(self) -> dict[str, Any]:
        """The fields that were given, by name."""
        known = (*type(self).model_fields, *(self.model_extra or {}))
        return {name: getattr(self, name) for name in known if name in self.model_fields_set}

    @model_serializer(mode="wrap")
    def _as_given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the defaults of fields that were not given: no figure that nobody measured."""
        return {name: value for name, value in write(self).items() if name in self.model_fields_set}


class Figure(Record):
    """A figure and its 95% interval, which is None where it cannot be told."""

    value: float | None
    ci95: Interval | None


class Confusion(Record):
    """Films by truth and by the threshold's call: true and false negatives and positives."""

    tn: Count
    fp: Count
    fn: Count
    tp: Count


class Summary(Record):
    """Figures of some films at a threshold.

    The figures are the fields of type `Figure`, in the order in which they are shown; their titles and descriptions
    are their English words (FIGURES).
    """

    n: Annotated[int, Field(ge=1)]
    n_normal: Count
    n_pneumonia: Count
    n_groups: Count
    roc_auc: Figure = Field(
        title="ROC AUC",
        description="chance that a pneumonia film scores above a normal one, at any threshold",
    )
    sensitivity: Figure = Field(
        title="Sensitivity", description="share of the pneumonia films called PNEUMONIA"
    )
    specificity: Figure = Field(title="Specificity", description="share of the normal films called NORMAL")
    precision: Figure = Field(
        title="Precision (PPV)",
        description="share of the films called PNEUMONIA that are; depends on prevalence",
    )
    npv: Figure = Field(
        title="Negative predictive value",
        description="share of the films called NORMAL that are; depends on prevalence",
    )
    accuracy: Figure = Field(title="Accuracy", description="share of all films decided rightly")
    f1: Figure = Field(title="F1", description="harmonic mean of precision and sensitivity")
    average_precision: Figure = Field(
        title="Average precision", description="area under the precision-recall curve"
    )
    brier: Figure = Field(title="Brier score", description="mean squared error of the probability; 0 is best")
    ece: Figure = Field(
        title="Calibration error (ECE)",
        description="mean gap between probability and outcome, 15 equal-mass bins; 0 is best",
    )
    log_loss: Figure = Field(
        title="Log loss", description="mean negative log-likelihood of the truth; 0 is best"
    )
    confusion: Confusion

    def figure(self, name: str) -> Figure:
        """The figure of a name of FIGURES."""
        found: Figure = getattr(self, name)
        return found


FIGURES: Final[dict[str, tuple[str, str]]] = {
    name: (field.title or name, field.description or "")
    for name, field in Summary.model_fields.items()
    if field.annotation is Figure
}
"""The names of the figures, in the order in which they are shown -> (name in English, what it says)."""


class Uncertain(Record):
    """Films in the uncertain band, and how often the others lie on the right side of the threshold."""

    n: Count
    share: Share
    accuracy_of_the_rest: Share | None


class Refused(Record):
    """Films that the input gate would not let pass; every figure counts them all the same."""

    n: Count
    share: Share


class Bootstrap(Record):
    """How the intervals were made; 0 resamples: there are none."""

    unit: str
    resamples: Count
    seed: int
    method: str


class Evaluation(Summary):
    """All figures of some films.

    Attributes:
        threshold: The operating point, in (0, 1).
        refused: None in bundles from before there was an input gate.
        subgroups: All normal films against the pneumonia films of one kind.
        per_source: The same figures of each source, where the films come from several.
    """

    threshold: float
    uncertain: Uncertain
    refused: Refused | None = None
    subgroups: dict[str, Summary]
    per_source: dict[str, Summary] | None = None
    bootstrap: Bootstrap


class MeasuredModel(Record):
    """Which model was measured."""

    source: str
    revision: str
    version: str
    sha256: str


class MeasuredData(Record):
    """Which films were measured. passed_over: what else lay among them, by kind."""

    id: str
    revision: str
    split: str
    notes: tuple[str, ...]
    passed_over: dict[str, int] = Field(default_factory=dict)


class ViewFigures(Record):
    """The model on changed films, at its own threshold."""

    roc_auc: float | None
    sensitivity: float | None
    specificity: float | None


class Pointing(Record):
    """The pointing game on n films: how often a map's peak lies on the opacity, and how much of its evidence.

    The figures are told in `evaluation.audit`; the mean map's and the energy are None up to bundle 0.3.0.
    """

    n: Count
    hit_rate: Share | None
    hit_rate_of_change: Share | None = None
    hit_rate_of_mean_map: Share | None = None
    chance: Share | None
    energy: Share | None = None
    energy_by_chance: Share | None = None
    called: Share | None = None
    hit_rate_where_called: Share | None = None


class Likeness(Record):
    """How alike n films' maps are to other maps: the median correlation with the mean of all films' maps, or the mean
    absolute correlation with those of random weights.
    """

    n: Count
    correlation: float | None


class Maps(Record):
    """Whether the evidence maps point at what was planted, and go with the weights."""

    planted_in_normal_films: Pointing
    phantoms: Pointing
    likeness_to_mean_map: Likeness | None = None
    randomised_weights: Likeness | None


class Agreement(Record):
    """How well maps agree with boxes.

    Attributes:
        model: The model's maps.
        mean_map: For each film, the mean map of the others: it knows where opacities usually lie.
        chance: A place drawn at random, or a map that is the same everywhere.
    """

    model: Figure
    mean_map: Figure
    chance: Figure


class Boxes(Record):
    """The evidence maps of n films against the boxes around their opacities (see evaluation.boxes).

    Attributes:
        peak: Share of the films whose map has its highest place in a box.
        energy: Share of the evidence for pneumonia that lies in the boxes.
    """

    n: Count
    n_groups: Count
    peak: Agreement
    energy: Agreement


class Audit(Record):
    """What numbers without anatomy reach, what becomes of changed films, and whether the maps point.

    Attributes:
        boxes: None where no film has boxes.
    """

    baselines: dict[str, float | None]
    views: dict[str, ViewFigures]
    maps: Maps
    boxes: Boxes | None = None


class Spread(Record):
    """A figure of several networks, each by itself: mean, standard deviation, and the values."""

    mean: float
    sd: float
    each: tuple[float, ...]


class Members(Record):
    """The networks of an ensemble, each by itself."""

    n: Annotated[int, Field(ge=2)]
    figures: dict[str, Spread]


class Pairs(Record):
    """A model on n films that stand in pairs of a normal and a pneumonia film."""

    n: Count
    roc_auc: Figure | None


class Elsewhere(Record):
    """A model on n films of another hospital; the figures are missing where n is 0.

    Attributes:
        n_normal: Films labelled NORMAL.
        read: Share of all that the input gate does not refuse.
        familiar: Share of the read that are like the films on which the model was measured.
        not_called_pneumonia: Share of the read normal films that are not called PNEUMONIA.
        called_normal: Share of the read normal films that are called NORMAL.
        uncertain: Share of the read that are called UNCERTAIN.
        roc_auc: Over all films, refused ones too; None with one class.
        refused_for: How many were refused for which reason.
        pairs: Films in pairs of both classes that exposure and view cannot tell apart.
    """

    n: Count
    n_normal: Count = 0
    read: Figure | None = None
    familiar: Figure | None = None
    not_called_pneumonia: Figure | None = None
    called_normal: Figure | None = None
    uncertain: Figure | None = None
    roc_auc: Figure | None = None
    refused_for: dict[str, int] = Field(default_factory=dict)
    pairs: Pairs | None = None


class Comparison(Record):
    """Two models on the same films, by figures of the same names; difference: after less before."""

    n_normal: Count
    n_pneumonia: Count
    n_groups: Count
    before: dict[str, Figure]
    after: dict[str, Figure]
    difference: dict[str, Figure]


class Exposure(Record):
    """How well numbers without anatomy tell the classes apart, and what that gives reason to say, or ""."""

    roc_auc: float
    said: str


class Adaptation(Record):
    """A bundle that was adapted to a place beside its parent, and whether it helped, in words."""

    compared: Comparison
    pairs: Comparison | None
    exposure: Exposure
    said: str


class Metrics(Evaluation):
    """metrics.json of a bundle, or of `python -m evaluation run`.

    Attributes:
        code_version: The project's version that measured; None up to bundle 0.3.0.
        validation: The same figures of the films that decision and threshold were chosen on.
        members: The networks of an ensemble, each by itself.
        elsewhere: Films of other hospitals, by the name of their source.
        adapted: The comparison with its parent, for a bundle that was adapted to a place.
    """

    model: MeasuredModel
    data: MeasuredData
    decision: DecisionSpec
    code_version: str | None = None
    audit: Audit | None = None
    validation: Evaluation | None = None
    members: Members | None = None
    elsewhere: dict[str, Elsewhere] | None = None
    adapted: Adaptation | None = None


def read_metrics(path: Path) -> Metrics:
    """Read metrics.json.

    Raises:
        BundleError: It cannot be read, or lacks a figure.
    """
    try:
        return Metrics.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise BundleError(
            f"{path.name} cannot be used: {first_problem(error)}. Fetch the bundle again, or train it anew."
        ) from error
