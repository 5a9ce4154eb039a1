"""The packages that ComfyUI does not bring: what they are for, and since which version."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Package:
    """`name` as pip calls it; `others` are packages that bring the same module; `means` is what does not work without it."""

    name: str
    means: str
    at_least: str = "0"
    others: tuple[str, ...] = ()
    module: str = ""  # imported to see whether it starts; "" to leave it alone, for it takes long

    @property
    def requirement(self) -> str:
        """As requirements.txt has it."""
        return self.name if self.at_least == "0" else f"{self.name}>={self.at_least}"


# All of them write the files of the folder onnxruntime/: the last one installed is what runs.
RUNTIMES = (
    "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm", "onnxruntime-migraphx",
    "onnxruntime-qnn", "onnxruntime-cann", "onnxruntime",
)  # fmt: skip
OPENCV = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless",
)  # fmt: skip

PACKAGES = (
    Package(
        name="opencv-python",
        at_least="4.8",
        others=OPENCV[1:],
        module="cv2",
        means="Draw Pose, Pose Extract and the previews of pose tools stop with a message.",
    ),
    Package(
        name="onnxruntime",
        others=RUNTIMES[:-1],
        module="onnxruntime",
        means="Pose Extract and Load Face Recogniser stop with a message. Core's SDPose gives poses without it.",
    ),
    Package(
        name="insightface",
        at_least="1.0.1",
        means="Load Face Recogniser stops with a message: no FaceID files. Crop Face works from poses and face landmarks.",
    ),
    Package(name="onnx", means="Load Face Recogniser stops with a message. insightface brings it."),
    Package(
        name="open_clip_torch",
        at_least="2.30",
        means="No node needs it: `run.py bench parity` leaves out its comparison of image encoders.",
    ),
    Package(
        name="controlnet_aux",
        at_least="0.0.10",
        means="The second set of detectors (OpenPose, MiDaS, Zoe from local files) is not offered. Ours work without it.",
    ),
    Package(name="scipy", means="Track Person and Clean Pose stop with a message. ComfyUI brings it."),
    Package(
        name="transformers", at_least="4.50.3", means="Depth Extract stops with a message. ComfyUI brings it."
    ),
)


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return name.replace("_", "-").replace(".", "-").lower()


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: enough to compare it with a lower bound."""
    found = []
    for part in version.split("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)
