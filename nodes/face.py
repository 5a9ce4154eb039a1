"""Faces cut out of pictures, upright and square."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.face_crop import crop_faces_of
from ..dreamoving_core.preprocess.face_crop import GROUNDS, MISSING, WHO, FaceCropSettings

FaceLandmarks = io.Custom("FACE_LANDMARKS")
FaceRecogniser = io.Custom("DREAMOVING_FACE_RECOGNISER")
PoseKeypoint = io.Custom("POSE_KEYPOINT")


class CropFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingCropFace",
            display_name="Crop Face",
            category="DreaMoving/preprocess",
            description="Cuts faces out of pictures: a square with some room around for an image encoder, and the face turned "
            "upright as face recognisers take it.",
            search_aliases=["face detection", "face align", "crop head", "insightface", "arcface", "face bbox"],
            inputs=[
                io.Image.Input("image", tooltip="One or more pictures. An alpha channel is ignored."),
                io.Combo.Input("who", options=list(WHO), default=WHO[0],
                    tooltip="best: the largest face of each picture. all: every face, from left to right. number: that one."),
                io.Int.Input("number", default=1, min=1, max=64,
                    tooltip="For who = number: 1 is the leftmost face of the picture."),
                io.Int.Input("size", default=224, min=64, max=2048, step=8,
                    tooltip="Width and height of both results in pixels. Image encoders see 224, recognisers 112."),
                io.Float.Input("margin", default=0.3, min=0.0, max=2.0, step=0.05,
                    tooltip="Room around the face in crops, in shares of its box on each side. 0: the box alone."),
                io.Combo.Input("background", options=list(GROUNDS), default="grey",
                    tooltip="What crops show where the square reaches beyond the picture."),
                io.Combo.Input("missing", options=list(MISSING), default=MISSING[0],
                    tooltip="A picture without a face: stop with a message, leave that picture out, or cut it where the nearest "
                    "picture has its face, so that frames stay aligned."),
                FaceRecogniser.Input("face_recogniser", optional=True,
                    tooltip="From Load Face Recogniser: its detector finds the faces. The surest of the three."),
                FaceLandmarks.Input("face_landmarks", optional=True,
                    tooltip="From core's Detect Face Landmarks (MediaPipe), for pictures in which no detector finds a face."),
                PoseKeypoint.Input("keypoints", optional=True,
                    tooltip="Poses of the pictures, for those in which neither of the others finds a face."),
            ],
            outputs=[
                io.Image.Output("crops", tooltip="One upright square per face, with room around, for Encode Face."),
                io.BoundingBox.Output("bboxes", tooltip="The box of each face in its picture, without the margin; a list per picture."),
                io.Image.Output("aligned", tooltip="The same faces, eyes and mouth where ArcFace's template has them; black beyond the picture."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image, who=WHO[0], number=1, size=224, margin=0.3, background="grey", missing=MISSING[0],
        face_recogniser=None, face_landmarks=None, keypoints=None,
    ) -> io.NodeOutput:  # fmt: skip
        settings = FaceCropSettings(
            who=who, number=number, size=size, margin=margin, background=background, missing=missing
        )
        found = crop_faces_of(
            image, settings, recogniser=face_recogniser, landmarks=face_landmarks, poses=keypoints
        )
        return io.NodeOutput(found.crops, found.boxes, found.aligned)


NODES = [CropFace]
