"""How a request of a program is logged, and how our errors reach it."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from cxr.errors import CxrError
from cxr.log import logged


@contextmanager
def answering(endpoint: str, failures_alone: bool = False) -> Iterator[None]:
    """Log the request, and pass our errors on as Gradio does: the code as title. What else is raised, it masks.

    failures_alone: as for `cxr.log.logged`.
    """
    with logged(endpoint, failures_alone):
        try:
            yield
        except CxrError as error:
            raise gr.Error(str(error), title=error.code, print_exception=False) from error
