"""Check Models: which model files a graph or a story needs, and which of them are here."""

import time

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.model_files import THIS_GRAPH, check_models, story_names


class CheckModels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingCheckModels",
            display_name="Check Models",
            category="DreaMoving/loaders",
            description="Lists the model files that this graph, or a kind of video, needs: present or missing, folder, "
            "size, licence, page to get it from, and the SHA-256 where a source for it is known. Downloads nothing.",
            search_aliases=["missing models", "download", "model list", "sha256", "licence"],
            is_output_node=True,
            inputs=[
                io.Combo.Input(
                    "story",
                    options=story_names(),
                    default=THIS_GRAPH,
                    tooltip="'this graph' reads the loaders of the graph that this node stands in; the others are kinds "
                    "of video with the files that published recipes use for them.",
                ),
                io.Boolean.Input(
                    "verify",
                    default=False,
                    tooltip="Compares SHA-256 as well. It reads every file from start to end: seconds for each gigabyte.",
                ),
            ],
            outputs=[
                io.String.Output("report", tooltip="The list as text."),
                io.Boolean.Output("complete", tooltip="True when nothing is missing."),
            ],
            hidden=[io.Hidden.prompt],
        )

    @classmethod
    def fingerprint_inputs(cls, story, verify) -> float:
        return time.time()  # files come and go

    @classmethod
    def execute(cls, story, verify) -> io.NodeOutput:
        report, complete = check_models(story, cls.hidden.prompt, verify=verify)
        return io.NodeOutput(report, complete, ui=ui.PreviewText(report))


NODES = [CheckModels]
