"""Doctor: what this ComfyUI has of what the pack can use, and how to mend what it has not."""

import time

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.doctor import doctors_report


class Doctor(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingDoctor",
            display_name="Doctor",
            category="DreaMoving/loaders",
            description="Says which packages and folders are there, what does not work without those that lack, and the command "
            "that mends it. It changes nothing.",
            search_aliases=[
                "troubleshoot",
                "missing package",
                "onnxruntime",
                "insightface",
                "opencv",
                "requirements",
            ],
            is_output_node=True,
            inputs=[],
            outputs=[
                io.String.Output(
                    "report", tooltip="The findings as text, to read or to send to somebody who helps."
                ),
                io.Boolean.Output(
                    "well", tooltip="True when nothing is broken. What is merely not installed may be."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls) -> float:
        return time.time()  # packages come and go

    @classmethod
    def execute(cls) -> io.NodeOutput:
        report, well = doctors_report()
        return io.NodeOutput(report, well, ui=ui.PreviewText(report))


NODES = [Doctor]
