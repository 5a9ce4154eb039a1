"""Where DreaMoving-Tiny's files are: beside this module, one per network, each in its full-size brother's format."""

from pathlib import Path

from ..errors import InputError

WORD = "tiny"  # in the place of a model file on a command line: DreaMoving-Tiny's own, for drawn dancers
FOLDER = Path(__file__).parent / "weights"
UNET = "dreamoving_tiny_unet.safetensors"
TEXT = "dreamoving_tiny_text_encoder.safetensors"
VISION = "dreamoving_tiny_image_encoder.safetensors"
AUTOENCODER = "dreamoving_tiny_autoencoder.safetensors"
MOTION = "dreamoving_tiny_motion.safetensors"
CONTROL_POSE = "dreamoving_tiny_control_pose.safetensors"
CONTROL_DEPTH = "dreamoving_tiny_control_depth.safetensors"
CONTENT_GUIDER = "dreamoving_tiny_content_guider.safetensors"
DEPTH = "dreamoving_tiny_depth"  # the depth detector: a folder, as transformers writes ZoeDepth
STYLE_LORA = "dreamoving_tiny_style_lora.safetensors"  # draws in ProcDance's second style
ALL = (UNET, TEXT, VISION, AUTOENCODER, MOTION, CONTROL_POSE, CONTROL_DEPTH, CONTENT_GUIDER)
FACE_RECOGNISER = "face/dreamoving_tiny_face.onnx"  # of a Tiny that was trained with one
# its detectors stand by themselves: pose and depth from a picture, for drawn dancers
PERSON_DETECTOR = "dreamoving_tiny_person.onnx"
POINT_DETECTOR = "dreamoving_tiny_points.onnx"


def chosen(word: str, *, option: str, own: str) -> Path:
    """The file that a command line names, Tiny's `own` for WORD. InputError, which names the `option`, for none."""
    path = FOLDER / own if word == WORD else Path(word)
    if not path.exists():
        raise InputError(f"There is no {path}. Check {option}. Nothing is downloaded for you.")
    return path
