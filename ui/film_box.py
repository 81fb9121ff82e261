"""The box that takes a film: an image box that hands the file on byte for byte."""

import gradio as gr
from gradio.data_classes import ImageData


class FilmBox(gr.Image):
    """gr.Image, but Pillow does not open the file before we do.

    Gradio's own opening fails on an undecodable file with an error that reaches nobody, and only `cxr.image` knows
    how to read 16-bit films. To be made with type="filepath" and image_mode=None.

    Gradio writes a .pyi beside every file that derives from its components; git ignores it.
    """

    is_template = True  # for Gradio: the page shows it as a gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The uploaded file's path."""
        return payload.path if payload else None
