"""After the dance: larger, smoother, with the sound of the clip."""

from ...dreamoving_core.catalogue.stories import BETWEEN, LARGER
from ..graph import Output
from ..layout import Steps
from .chain import save
from .kit import Kit
from .story import Story

TIMES = 2  # frames become so many


def finish(g: Steps, kit: Kit) -> None:
    frames, rate, audio = enlarge_and_smooth(g, kit, kit.footage(g).video)
    save(g, "Finish", frames, rate=rate, audio=audio)


def enlarge_and_smooth(g: Steps, kit: Kit, video: Output) -> tuple[Output, Output, Output]:
    """Frames, frame rate and sound of the finished video."""
    with g.step("Frames and sound") as column:
        parts = column.node("GetVideoComponents", {"video": video})
    with g.step("Larger") as column:
        upscaler = kit.loader(column, "UpscaleModelLoader", "model_name", LARGER).out()
        given = {"upscale_model": upscaler, "image": parts.out("images")}
        large = column.node("ImageUpscaleWithModel", given).out()
        half = {"image": large, "upscale_method": "area", "scale_by": 0.5}
        frames = column.node("ImageScaleBy", half, title="From 4 times to 2 times").out()
    with g.step("Smoother") as column:
        between = kit.loader(column, "FrameInterpolationModelLoader", "model_name", BETWEEN).out()
        times = column.node("PrimitiveInt", {"value": TIMES}, title="How many times the frames")
        given = {"interp_model": between, "images": frames, "multiplier": times.out()}
        smooth = column.node("FrameInterpolate", given).out()
        rates = {"expression": "a * b", "values.a": parts.out("fps"), "values.b": times.out()}
        rate = column.node("ComfyMathExpression", rates, title="New frame rate").out("FLOAT")
    return smooth, rate, parts.out("audio")


FINISH = Story(
    name="Finish",
    words="upscale, interpolate, sound",
    build=finish,
    about="Twice the size, twice the frames per second, and the sound of the video that came in.\n\n"
    "* **Your dance** is the video that another of these graphs made.\n"
    "* **How many times the frames**: 2 makes 16 frames per second out of 8, 3 makes 24. The duration stays.\n"
    "* No sound in it? Load the clip that it was made from as well, and connect its sound to Video Combine.",
    recipe="* Real-ESRGAN x4, halved, and FILM, twice: the files of ComfyUI's own blueprints *Video Upscale (GAN x4)* and "
    "*Frame Interpolation*.",
)
