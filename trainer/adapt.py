"""python -m trainer adapt: a bundle refitted to a place, with the proof by cross-validation whether that helped.

Refitted are the input gate (`trainer.adapt_gate`), calibration and threshold always; the last layer where there are
films enough (`trainer.adapt_head`); all layers where it is asked for (`trainer.adapt_all`).
"""

import logging
from pathlib import Path

from cxr.errors import UsageError
from cxr.files import new_folder, require_free
from cxr.serving.opening import open_model
from trainer.adapt_config import AdaptConfig
from trainer.adapt_place import open_place

_log = logging.getLogger(__name__)


def adapt(config: AdaptConfig) -> Path:
    """Adapt as `config` says, write the new bundle's folder, and log whether it helped.

    Returns:
        The new bundle's folder.

    Raises:
        UsageError: settings that cannot work; nothing is written.
        DataError: films that cannot be used, or too few; nothing is written.
        BundleError: the parent does not verify.
    """
    require_free(config.out)
    if config.folds < 2:
        raise UsageError(f"--folds {config.folds} leaves no films to judge by. Give 2 or more; 5 is usual.")
    parent = open_model(config.model).predictor
    if parent.bundle is None or parent.gate is None:
        raise UsageError(
            f"--model {config.model} is no bundle with an input gate, and nothing else can be adapted. Name a bundle."
        )
    place = open_place(config, parent)
    # Here, so that bad data is reported before TensorFlow loads.
    from trainer.adapt_bundle import write_adapted
    from trainer.adapt_fit import fit_to_place

    adapted = fit_to_place(parent, parent.bundle, place, config.depth, config.seed)
    with new_folder(config.out) as folder:
        write_adapted(folder, config, parent, place, adapted)
    for line in (adapted.figures["said"], adapted.figures["exposure"]["said"]):
        if line:
            _log.info("%s", line)
    _log.info("bundle: %s", config.out)
    return config.out
