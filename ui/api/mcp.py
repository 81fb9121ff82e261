"""Gradio's MCP server with what it lacks for our tools: several outputs, lists of files, JSON, and no upload kept."""

import json
from typing import Any

import gradio.mcp
from anyio.to_thread import run_sync


class Tools(gradio.mcp.GradioMCPServer):
    """As Gradio's, but

    - a tool with two outputs gives both, a picture as a picture; Gradio gives their Python text, with server paths;
    - a list of files may be given as URLs or data: URIs, as a single file may;
    - answers are JSON, not the text of Python objects;
    - what comes as a data: URI is deleted with the other uploads; Gradio would keep it.
    """

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        result = await run_sync(job.result)
        return list(result) if isinstance(result, list | tuple) else [result]

    def get_input_schema(
        self, tool_name: str, parameters: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], list[list[str | int]]]:
        schema, places = super().get_input_schema(tool_name, parameters)
        for name, wanted in schema["properties"].items():
            if (
                wanted.get("type") == "array"
            ):  # whose items Gradio describes by a reference that leads nowhere
                file = {"type": "string", "format": wanted["items"]["format"]}
                kept = {"description": wanted["description"]} if "description" in wanted else {}
                schema["properties"][name] = {"type": "array", "items": file, **kept}
        return schema, places

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        listed = [
            [name, index]
            for name, values in value.items()
            if isinstance(values, list)
            for index in range(len(values))
        ]
        converted = super().convert_strings_to_filedata(value, filedata_positions + listed)
        for given in converted.values():
            for file in given if isinstance(given, list) else [given]:
                if isinstance(file, dict) and "path" in file:
                    self.blocks.upload_file_set.add(file["path"])
        return converted

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        content: list[Any] = []
        for output in data:
            if isinstance(output, dict) and "schema_version" in output:
                content.append(self.types.TextContent(type="text", text=json.dumps(output)))
            else:
                content += super().postprocess_output_data([output], root_url)
        return content


def use_tools() -> None:
    """Let apps that are launched from now on have this server."""
    setattr(gradio.mcp, "GradioMCPServer", Tools)  # noqa: B010 (a type, to mypy, takes no assignment)
