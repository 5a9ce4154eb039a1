"""Face and clothes from pictures: encode them, and let them guide the model beside the prompt."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.content_guider import apply_content_guider
from ..dreamoving_core.bridge.face_recogniser import (
    SPACES,
    face_packs,
    load_face_pack,
    pack_fingerprint,
    unusable_pack,
)
from ..dreamoving_core.bridge.reference_images import COMBINES, CROPS, FACE_CROPS, encode_images
from ..dreamoving_core.bridge.strength_plot import changing_strengths

ContentGuider = io.Custom("DREAMOVING_CONTENT_GUIDER")
FaceRecogniser = io.Custom("DREAMOVING_FACE_RECOGNISER")
Tokens = io.Custom("DREAMOVING_TOKENS")
Floats = io.Custom("FLOATS")


def _encode_inputs(part: str, *, combine: str, crops: tuple[str, ...]) -> list[io.Input]:
    return [
        ContentGuider.Input("content_guider", tooltip="The Content Guider that will use the tokens."),
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip="The image encoder that the Content Guider was trained with; for SD1.5 it is CLIP ViT-H/14. Only FaceID and portrait files do without.",
        ),
        io.Image.Input("image", tooltip=f"One or more pictures of the {part}. An alpha channel is ignored."),
        io.Combo.Input(
            "crop",
            options=list(crops),
            default=crops[0],
            tooltip="How a picture becomes square: as the weights were trained, its centre, all of it padded with a neutral colour, or the face alone, upright and centred (it needs a face recogniser).",
        ),
        io.Combo.Input(
            "combine",
            options=list(COMBINES),
            default=combine,
            tooltip="Several pictures: average them into one look, concat them so that each can be seen (a top and a skirt), or use one per frame of the clip.",
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip=f"White where the {part} is; everything else is replaced by a neutral colour.",
        ),
        FaceRecogniser.Input(
            "face_recogniser",
            optional=True,
            tooltip="From Load Face Recogniser. FaceID files need it; others do without.",
        ),
    ]


def _encode_outputs(part: str) -> list[io.Output]:
    return [
        Tokens.Output("tokens", tooltip=f"The {part} for Apply Content Guider."),
        io.Image.Output(
            "crops", tooltip="What the image encoder saw: check that nothing important was cut off."
        ),
    ]


class EncodeFace(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="DreaMovingEncodeFace",
            display_name="Encode Face",
            category="DreaMoving/content",
            description="Turns pictures of a face into tokens that keep the person's identity.",
            search_aliases=["ipadapter face", "faceid", "reference face", "face embeds", "identity"],
            inputs=_encode_inputs("face", combine="average", crops=FACE_CROPS),
            outputs=_encode_outputs("face"),
        )

    @classmethod
    def execute(
        cls, content_guider, image, crop, combine, clip_vision=None, mask=None, face_recogniser=None
    ) -> io.NodeOutput:
        tokens, crops = encode_images(
            content_guider, clip_vision, image, branch="face", crop=crop, combine=combine, mask=mask,
            recogniser=face_recogniser,
        )  # fmt: skip
        return io.NodeOutput(tokens, crops)


class EncodeCloth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="DreaMovingEncodeCloth",
            display_name="Encode Cloth",
            category="DreaMoving/content",
            description="Turns pictures of clothes or of a whole dressed person into tokens that keep the outfit.",
            search_aliases=["ipadapter", "outfit", "clothes reference", "garment", "dressed person"],
            inputs=_encode_inputs("clothes", combine="concat", crops=CROPS),
            outputs=_encode_outputs("clothes"),
        )

    @classmethod
    def execute(
        cls, content_guider, image, crop, combine, clip_vision=None, mask=None, face_recogniser=None
    ) -> io.NodeOutput:
        tokens, crops = encode_images(
            content_guider, clip_vision, image, branch="cloth", crop=crop, combine=combine, mask=mask,
            recogniser=face_recogniser,
        )  # fmt: skip
        return io.NodeOutput(tokens, crops)


def _alpha(name: str, part: str) -> io.MultiType.Input:
    tooltip = f"How strongly the {part} pictures guide. 0 is off. A number, a list of numbers over the frames, a curve from the first frame to the last, or keyframe text."
    widget = io.Float.Input(name, default=1.0, min=0.0, max=3.0, step=0.05, tooltip=tooltip)
    return io.MultiType.Input(widget, types=[io.Curve, Floats, io.String])


class ApplyContentGuider(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="DreaMovingApplyContentGuider",
            display_name="Apply Content Guider",
            category="DreaMoving/content",
            description="Adds face and clothes to the prompt's guidance, with a strength for each. With both strengths 0 the prompt alone decides.",
            search_aliases=["apply ipadapter", "ipadapter advanced", "face and clothes", "image prompt"],
            inputs=[
                io.Model.Input("model", tooltip="The model to guide; the input itself is not changed."),
                ContentGuider.Input("content_guider", tooltip="The Content Guider that encoded the tokens."),
                Tokens.Input(
                    "face_tokens",
                    optional=True,
                    tooltip="From Encode Face. Without it the face is left to the prompt.",
                ),
                Tokens.Input(
                    "cloth_tokens",
                    optional=True,
                    tooltip="From Encode Cloth. Without it the clothes are left to the prompt.",
                ),
                _alpha("alpha_f", "face"),
                _alpha("alpha_c", "clothes"),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    advanced=True,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The share of the denoising after which the guidance begins (0 is the first step).",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    advanced=True,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The share of the denoising after which the guidance ends (1 is the last step).",
                ),
                io.Mask.Input(
                    "face_mask",
                    optional=True,
                    tooltip="White where in the frame the face may act: one mask, or one per frame.",
                ),
                io.Mask.Input(
                    "cloth_mask",
                    optional=True,
                    tooltip="White where in the frame the clothes may act: one mask, or one per frame.",
                ),
                io.Float.Input(
                    "lora_strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    optional=True,
                    advanced=True,
                    tooltip="FaceID files only: how strongly the LoRA inside the file changes the model. 1 is how it was trained; lower it when style or clothes suffer. It is off when the strength of its branch is 0.",
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="The guided model.")],
        )

    @classmethod
    def execute(
        cls, model, content_guider, alpha_f, alpha_c, start_percent, end_percent,
        face_tokens=None, cloth_tokens=None, face_mask=None, cloth_mask=None, lora_strength=1.0,
    ) -> io.NodeOutput:  # fmt: skip
        guided = apply_content_guider(
            model, content_guider, face=face_tokens, cloth=cloth_tokens, alpha_f=alpha_f, alpha_c=alpha_c,
            start_percent=start_percent, end_percent=end_percent, face_mask=face_mask, cloth_mask=cloth_mask,
            lora_strength=lora_strength,
        )  # fmt: skip
        plot = changing_strengths(alpha_f=alpha_f, alpha_c=alpha_c)
        return io.NodeOutput(guided, ui=None if plot is None else ui.PreviewImage(plot, cls=cls))


class LoadFaceRecogniser(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadFaceRecogniser",
            display_name="Load Face Recogniser",
            category="DreaMoving/loaders",
            description="Loads insightface's networks that find a face and tell who it is, for FaceID files. Needs the package "
            "insightface; nothing is downloaded.",
            search_aliases=["insightface", "arcface", "faceid", "buffalo_l", "antelopev2"],
            inputs=[
                io.Combo.Input(
                    "pack",
                    options=face_packs(),
                    tooltip="A folder below models/insightface with a detector and a recogniser. FaceID files need buffalo_l.",
                ),
                io.Combo.Input(
                    "space",
                    options=list(SPACES),
                    default=SPACES[0],
                    advanced=True,
                    tooltip="Whose vectors the recogniser makes. auto knows the files of buffalo_l and antelopev2 by their contents; choose one only for a file that was changed.",
                ),
            ],
            outputs=[FaceRecogniser.Output("face_recogniser", tooltip="For Encode Face and Crop Face.")],
        )

    @classmethod
    def validate_inputs(cls, pack) -> bool | str:
        return unusable_pack(pack) or True

    @classmethod
    def fingerprint_inputs(cls, pack, space) -> str:
        return f"{pack_fingerprint(pack)}:{space}"

    @classmethod
    def execute(cls, pack, space) -> io.NodeOutput:
        return io.NodeOutput(load_face_pack(pack, space=space))


NODES = [LoadFaceRecogniser, EncodeFace, EncodeCloth, ApplyContentGuider]
