"""Clothes cut out of pictures, on a plain ground."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.cloth_cut import cut_cloth_of
from ..dreamoving_core.preprocess.cloth_cut import ClothCutSettings
from ..dreamoving_core.preprocess.cloth_region import LEGS, PARTS, SLEEVES, Outfit
from ..dreamoving_core.preprocess.face_crop import GROUNDS

PoseKeypoint = io.Custom("POSE_KEYPOINT")


class CutCloth(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingCutCloth",
            display_name="Cut Cloth",
            category="DreaMoving/preprocess",
            description="Cuts the clothes out of a picture, by a mask, a pose or both, and puts them on a plain ground.",
            search_aliases=["garment", "clothes segmentation", "outfit cutout", "human parsing", "remove background"],
            inputs=[
                io.Image.Input("image", tooltip="One or more pictures of a dressed person, or of clothes. An alpha channel is ignored."),
                io.Combo.Input("part", options=list(PARTS), default=PARTS[0],
                    tooltip="all: from the collar to the shoes. upper: what hangs on the shoulders. lower: what hangs on the hips, with shoes."),
                io.Combo.Input("background", options=list(GROUNDS), default="grey", tooltip="What everything else becomes."),
                io.Int.Input("size", default=0, min=0, max=4096, step=8,
                    tooltip="Width and height of the result in pixels. 0: as large as the clothes are, every pixel kept as it is."),
                io.Float.Input("margin", default=0.05, min=0.0, max=1.0, step=0.01,
                    tooltip="Room around the clothes, in shares of their longer side."),
                io.Combo.Input("sleeves", options=list(SLEEVES), default="long",
                    tooltip="With poses: how far sleeves reach. short ends above the elbow, none at the shoulder; long keeps bare arms as well."),
                io.Combo.Input("legs", options=list(LEGS), default="long",
                    tooltip="With poses: trousers to the ankle, shorts, or a skirt or dress to the knee; long keeps bare legs as well."),
                io.Float.Input("looseness", default=1.0, min=0.2, max=4.0, step=0.05,
                    tooltip="With poses alone: how far clothes reach from the bones. More for wide clothes, less for tight ones."),
                io.Mask.Input("mask", optional=True,
                    tooltip="White where the clothes or the person are: from core's SAM3 or Remove Background. One, or one per picture."),
                PoseKeypoint.Input("keypoints", optional=True,
                    tooltip="The person's pose: alone it says where clothes are, with a mask it takes head, hands and bare limbs out."),
            ],
            outputs=[
                io.Image.Output("cloth", tooltip="Squares with the clothes on a plain ground, for Encode Cloth."),
                io.Mask.Output("mask", tooltip="What was kept, in the picture that came in."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image, part=PARTS[0], background="grey", size=0, margin=0.05, sleeves="long", legs="long", looseness=1.0,
        mask=None, keypoints=None,
    ) -> io.NodeOutput:  # fmt: skip
        outfit = Outfit(sleeves=sleeves, legs=legs, looseness=looseness)
        settings = ClothCutSettings(part=part, background=background, size=size, margin=margin, outfit=outfit)
        found = cut_cloth_of(image, settings, mask=mask, keypoints=keypoints)
        return io.NodeOutput(found.pictures, found.masks)


NODES = [CutCloth]
