"""What a program passes, checked before Gradio looks at it: Gradio masks every error that is not ours."""

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr
import httpx
from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState

from cxr.errors import RequestError
from ui.api.answering import answering
from ui.api.film_box import FileBox

_HOW = (
    'Upload the file to /gradio_api/upload and pass {"path": ..., "meta": {"_type": "gradio.FileData"}}; '
    "in Python and JavaScript, handle_file(...) does it."
)
_SHOWN = 40


class CheckedBlocks(gr.Blocks):
    """gr.Blocks whose public endpoints answer a wrong argument with a typed error that says why."""

    async def preprocess_data(
        self,
        block_fn: BlockFunction,
        inputs: list[Any],
        state: SessionState | None,
        explicit_call: bool = False,
    ) -> list[Any]:
        """The arguments of `block_fn`, checked; raises gr.Error with a code of ours as its title."""
        with answering(f"/{block_fn.api_name}", failures_alone=True):
            if block_fn.api_visibility == "public":
                check_arguments(str(block_fn.api_name), block_fn.inputs, inputs)
            try:
                return list(await super().preprocess_data(block_fn, inputs, state, explicit_call))
            except (ValueError, OSError, httpx.HTTPError) as error:
                # Gradio's own words name folders of the server.
                raise RequestError(
                    "bad_file", f"The file was not uploaded to this server, or it cannot be fetched. {_HOW}"
                ) from error


def check_arguments(endpoint: str, boxes: Sequence[Any], values: Sequence[Any]) -> None:
    """Raise RequestError unless there is a value of the right type for each box of the endpoint."""
    if len(values) != len(boxes):
        names = ", ".join(str(box.label) for box in boxes) or "none"
        raise RequestError(
            "bad_arguments",
            f"/{endpoint} takes {len(boxes)} arguments ({names}), but {len(values)} were passed. "
            "Pass null for an optional one.",
        )
    for box, value in zip(boxes, values, strict=True):
        if value is None:
            continue
        if isinstance(box, FileBox):
            _check_files(box, value)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise RequestError(
                "bad_prevalence",
                f"prevalence is {_shown(value)}, which is not a number. Pass a share between 0 and 1, such as 0.2.",
            )


def _check_files(box: FileBox, value: Any) -> None:
    several = box.file_count == "multiple"
    if several and not isinstance(value, list):
        raise RequestError(
            "bad_file", f"{box.label} is {_shown(value)}, which is not a list of files. {_HOW}"
        )
    for file in value if several else [value]:
        if not _is_file(file):
            raise RequestError("bad_file", f"{box.label} is {_shown(file)}, which is not a file. {_HOW}")


def _is_file(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("path"), str)
        and value.get("meta") == {"_type": "gradio.FileData"}
    )


def _shown(value: Any) -> str:
    """What was received, as JSON, cut short; of a dict or a list its kind alone, for it may name files."""
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
