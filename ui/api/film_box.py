"""The boxes that take films: Gradio's own, but they hand the files on unopened, byte for byte.

Only `cxr.imaging.decode` knows what a film is: Pillow would fail on DICOM, and flatten 16-bit films to white. Gradio
writes a .pyi beside every file that derives from its components; git ignores it.
"""

import gradio as gr
from gradio.data_classes import FileData, ImageData, ListFiles


class FilmBox(gr.Image):
    """gr.Image, but Pillow does not open the file before we do; so a DICOM file passes, with or without a suffix.

    To be made with type="filepath" and image_mode=None.
    """

    is_template = True  # for Gradio: the page shows it as a gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The uploaded file's path."""
        return payload.path if payload else None


class FileBox(gr.File):
    """gr.File, but it leaves no empty temporary file behind for each one that it passes on."""

    is_template = True

    def preprocess(self, payload: ListFiles | FileData | None) -> str | list[str] | None:
        """The uploaded file's path, or a list of paths with file_count="multiple"."""
        if payload is None:
            return None
        paths = [file.path for file in payload] if isinstance(payload, ListFiles) else [payload.path]
        return paths if self.file_count == "multiple" else paths[0]
