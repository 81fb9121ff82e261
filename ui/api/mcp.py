"""Gradio's MCP server with what it lacks for our tools.

It takes lists of files, gives several outputs and JSON, keeps no upload, and tells what each tool is and answers.
"""

import base64
import binascii
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

import gradio.mcp
from anyio.to_thread import run_sync
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from cxr import __version__
from ui.api.output_schema import OUTPUTS

if TYPE_CHECKING:
    from mcp.server import Server

_TITLES = {
    "predict": "Read one chest radiograph",
    "explain": "Read one chest radiograph, with a heat map",
    "predict_batch": "Read many chest radiographs",
    "model_info": "Describe the model",
}
_OPTIONAL = ("prevalence",)
_DATA_URI = re.compile(r"data:(?P<kind>[^,]*),(?P<content>.*)", re.DOTALL)
_NAME = re.compile(r"(?:^|;)name=([^;]+)")


class ToolError(Exception):
    """What a tool's caller is told: a stable code, then a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")


class Tools(gradio.mcp.GradioMCPServer):
    """As Gradio's, but

    - a tool with two outputs gives both, a picture as a picture; Gradio gives their Python text, with server paths;
    - a list of files may be given as URLs or data: URIs, as a single file may; a data: URI may tell its file's name;
    - answers are JSON, in text and as structured content by an output schema, not the text of Python objects;
    - an error begins with its stable code;
    - tools are annotated, and the server tells our version;
    - what comes as a data: URI is deleted with the other uploads; Gradio would keep it.
    """

    def create_mcp_server(self) -> "Server":
        """The server, whose tools are annotated and answer with structured content."""
        server = super().create_mcp_server()
        server.version = __version__
        list_tools = server.request_handlers[self.types.ListToolsRequest]
        call_tool = server.request_handlers[self.types.CallToolRequest]

        async def described(request: Any) -> Any:
            listed: Any = await list_tools(request)
            for tool in listed.root.tools:
                self._describe(tool)
            return listed

        async def structured(request: Any) -> Any:
            called: Any = await call_tool(request)
            _structure(called.root)
            return called

        server.request_handlers[self.types.ListToolsRequest] = described
        server.request_handlers[self.types.CallToolRequest] = structured
        return server

    def _describe(self, tool: Any) -> None:
        endpoint = self.tool_to_endpoint[tool.name].lstrip("/")
        tool.outputSchema = OUTPUTS[endpoint]
        tool.annotations = self.types.ToolAnnotations(
            title=_TITLES[endpoint],
            readOnlyHint=True,
            destructiveHint=False,
            idempotentHint=True,
            openWorldHint=False,
        )

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        try:
            result = await run_sync(job.result)
        except AppError as error:
            raise ToolError(error.title, str(error.message)) from error
        return list(result) if isinstance(result, list | tuple) else [result]

    def get_input_schema(
        self, tool_name: str, parameters: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], list[list[str | int]]]:
        """The schema of a tool's arguments, and where files stand in them."""
        schema, places = super().get_input_schema(tool_name, parameters)
        for name, wanted in schema["properties"].items():
            if (
                wanted.get("type") == "array"
            ):  # whose items Gradio describes by a reference that leads nowhere
                file = {"type": "string", "format": wanted["items"]["format"]}
                kept = {"description": wanted["description"]} if "description" in wanted else {}
                schema["properties"][name] = {"type": "array", "items": file, **kept}
        # In Python every argument may be left out, so that the answer is a code of ours.
        required = [name for name in schema["properties"] if name not in _OPTIONAL]
        return {**schema, **({"required": required} if required else {})}, places

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """The arguments with each URL and data: URI as a file. Raises ToolError for any other text."""
        names = {str(place[0]) for place in filedata_positions}
        listed = {name for name, given in value.items() if isinstance(given, list)}
        return {
            name: [self._file(one) for one in given]
            if name in listed
            else self._file(given)
            if name in names and isinstance(given, str)
            else given
            for name, given in value.items()
        }

    def _file(self, given: Any) -> Any:
        if not isinstance(given, str) or not given.startswith(("data:", "http://", "https://")):
            raise ToolError("bad_file", "A file is given as a public http(s) URL or as a data: URI.")
        if given.startswith("http"):
            return handle_file(given)
        content, name = _data_of(given)
        path = save_bytes_to_cache(content, name, get_upload_folder())
        self.blocks.upload_file_set.add(path)
        return handle_file(path)

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        """What the caller is given: JSON for an answer, a picture for a picture, nothing for None."""
        content: list[Any] = []
        for output in data:
            if isinstance(output, dict) and "schema_version" in output:
                content.append(self.types.TextContent(type="text", text=json.dumps(output)))
            elif output is not None:
                content += super().postprocess_output_data([output], root_url)
        return content


def _structure(result: Any) -> None:
    """Give an answer its structured content, and an error of the protocol's own a code."""
    first = result.content[0]
    if result.isError:
        told = "Input validation error: "
        if first.text.startswith(told):
            first.text = f"bad_arguments: {first.text.removeprefix(told)}"
    else:
        result.structuredContent = json.loads(first.text)


def _data_of(uri: str) -> tuple[bytes, str]:
    """Content and name of a data: URI (RFC 2397); its name is the parameter `name`, else "file"."""
    match = _DATA_URI.fullmatch(uri)
    if match is None:
        raise ToolError("bad_file", "The data: URI has no comma before its data.")
    named = _NAME.search(match["kind"])
    name = PurePosixPath(unquote(named[1])).name if named else ""
    try:
        content = (
            base64.b64decode(unquote(match["content"]), validate=True)
            if match["kind"].endswith(";base64")
            else unquote_to_bytes(match["content"])
        )
    except binascii.Error as error:
        raise ToolError("bad_file", "The data: URI is not valid base64.") from error
    return content, name or "file"


def use_tools() -> None:
    """Let apps that are launched from now on have this server."""
    setattr(gradio.mcp, "GradioMCPServer", Tools)  # noqa: B010 (a type, to mypy, takes no assignment)
