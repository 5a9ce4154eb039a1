"""Depth Extract, Normalise Depth and Aux Preprocess, executed as nodes; Depth Extract on DreaMoving-Tiny's own file."""

import sys

import comfy.model_management
import folder_paths
import pytest
import torch
from comfy_api.latest import InputImpl
from dreamoving.dreamoving_core.bridge.depth_files import TINY, depth_models
from dreamoving.dreamoving_core.bridge.loading import register_model_folders
from dreamoving.dreamoving_core.errors import InputError, MissingPackageError, WeightsError
from dreamoving.dreamoving_core.metrics.flicker import flicker
from dreamoving.dreamoving_core.preprocess.aux_detectors import DETECTORS, FILES
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.nodes.depth import NODES, AuxPreprocess, DepthExtract, NormaliseDepth
from small_zoe import authors_names, small_zoe, write_folder

FRAMES = 6


@pytest.fixture(scope="module")
def clip():
    return render_clip(ClipSpec(seed=7, split="held_out", num_frames=FRAMES))


@pytest.fixture(scope="module")
def mp4(clip, tmp_path_factory):
    path = tmp_path_factory.mktemp("depth") / "dance.mp4"
    return encode_video(path, clip.images, format="mp4", frame_rate=12).path


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty models/zoedepth, and no other place to look."""
    registered = {
        name: ([str(tmp_path / name)], set())
        for name in ("zoedepth", "diffusers", "controlnet_aux", "dreamoving")
    }
    for name, value in (registered | {"custom_nodes": ([str(tmp_path / "custom_nodes")], set())}).items():
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, value)
    return tmp_path


def extract(frames, model=TINY, **options):
    return DepthExtract.execute(frames, model, **({"range": "auto", "mirror": False} | options)).args[0]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)
def test_every_input_and_output_explains_itself(node):
    schema = node.define_schema()
    schema.validate()

    assert all(socket.tooltip for socket in (*schema.inputs, *schema.outputs))


def test_a_drawn_clip_gets_its_own_depth_pictures(clip):
    depth = extract(clip.images, mirror=True)

    error = (depth[..., 0] - clip.depth).abs()
    assert depth.shape == (*clip.depth.shape, 3)
    assert error.mean() < 0.05
    assert error[clip.mask].mean() < 0.5 * clip.depth[clip.mask].mean()


def test_a_video_gives_as_many_pictures_as_it_has_frames_and_each_its_own(clip, mp4):
    video = extract(InputImpl.VideoFromFile(str(mp4)), batch_size=4)
    pictures = extract(clip.images, batch_size=4)

    assert len(video) == FRAMES
    nearest = [(pictures - frame).abs().mean(dim=(1, 2, 3)).argmin().item() for frame in video]
    assert nearest == list(range(FRAMES))


def test_the_batch_size_changes_nothing(clip):
    assert torch.allclose(extract(clip.images, batch_size=1), extract(clip.images, batch_size=5), atol=1e-4)


def test_one_range_for_the_clip_flickers_less_than_one_per_frame(clip):
    together = extract(clip.images, range="of the clip")
    alone = torch.cat([extract(frame[None], range="of the clip") for frame in clip.images])

    assert together.max() == 1
    assert flicker(together[:, :32]) < flicker(alone[:, :32])  # above the dancer nothing moves


@pytest.mark.parametrize("size", [(16, 16), (8, 100), (37, 61)])
def test_small_and_odd_pictures_keep_their_size(size):
    assert extract(torch.rand(1, *size, 3)).shape == (1, *size, 3)


def test_a_large_still_is_made_smaller_sensibly():
    still = torch.zeros(1, 2160, 3840, 3)

    assert extract(still).shape == (1, 1152, 2048, 3)
    assert extract(still, max_size=512).shape == (1, 288, 512, 3)
    assert extract(still[:, :60, :90], max_size=0).shape == (1, 60, 90, 3)


def test_alpha_and_numbers_that_are_none_do_no_harm(clip):
    frames = torch.cat([clip.images[:2], torch.zeros_like(clip.images[:2, ..., :1])], dim=-1)
    plain = extract(clip.images[:2])
    assert torch.equal(extract(frames), plain)

    frames[1, 5, 5] = torch.nan
    assert extract(frames).isfinite().all()


def test_grey_pictures_are_refused():
    with pytest.raises(InputError, match=r"got 1 channel\(s\)"):
        extract(torch.rand(1, 32, 32, 1))


def test_cancel_stops_at_once(clip, monkeypatch):
    def stop():
        raise comfy.model_management.InterruptProcessingException

    monkeypatch.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", stop)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        extract(clip.images)


def test_a_file_that_is_no_video_is_refused_in_words(tmp_path):
    path = tmp_path / "dance.mp4"
    path.write_bytes(b"\x00" * 5000)

    with pytest.raises(InputError, match="video"):
        extract(InputImpl.VideoFromFile(str(path)))


def test_models_are_found_where_they_lie_and_only_those(models, clip):
    network = small_zoe()
    write_folder(models / "zoedepth" / "nyu", network)
    write_folder(models / "diffusers" / "other", network, config={"model_type": "dpt"})
    pack = models / "custom_nodes" / "comfyui_controlnet_aux" / "ckpts" / "lllyasviel" / "Annotators"
    pack.mkdir(parents=True)
    torch.save({"model": authors_names(network)}, pack / "ZoeD_M12_N.pt")
    (pack / "body_pose_model.pth").write_bytes(b"another")

    found = depth_models()

    assert found == [TINY, "lllyasviel/Annotators/ZoeD_M12_N.pt", "nyu"]
    assert extract(clip.images[:1], "nyu").shape == (1, 128, 128, 3)


def test_a_name_that_is_not_there_is_refused_before_the_run(models):
    message = DepthExtract.validate_inputs(model="../../secret.pt")

    assert "no depth model '../../secret.pt'" in message
    assert "Nothing is downloaded" in message
    assert DepthExtract.validate_inputs(model=TINY) is True


def test_a_wrong_file_is_refused(models, clip):
    (models / "zoedepth").mkdir()
    torch.save({"a": torch.zeros(2)}, models / "zoedepth" / "some.pt")

    with pytest.raises(WeightsError, match=r"'some\.pt' is no ZoeDepth file"):
        extract(clip.images, "some.pt")


def test_the_fingerprint_follows_the_file(models):
    folder = write_folder(models / "zoedepth" / "nyu", small_zoe())
    before = DepthExtract.fingerprint_inputs(model="nyu")

    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")

    assert DepthExtract.fingerprint_inputs(model="nyu") != before


def test_the_folder_is_registered_with_comfyui(monkeypatch):
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", dict(folder_paths.folder_names_and_paths))
    register_model_folders()

    assert any(path.endswith("zoedepth") for path in folder_paths.get_folder_paths("zoedepth"))


def test_depth_of_other_nodes_comes_out_as_pictures():
    metres = torch.rand(3, 20, 30) + 1
    pictures = NormaliseDepth.execute({"depth": metres, "mode": "mono"}).args[0]

    assert pictures.shape == (3, 20, 30, 3)
    assert torch.equal(pictures[..., 0].flatten().argmax(), metres.flatten().argmin()) or pictures.max() == 1


def test_without_controlnet_aux_the_error_names_the_command(models, clip, monkeypatch):
    (models / "controlnet_aux").mkdir()
    for name in FILES["MiDaS"]:
        torch.save({"a": torch.zeros(2)}, models / "controlnet_aux" / name)
    monkeypatch.setitem(sys.modules, "controlnet_aux", None)

    with pytest.raises(MissingPackageError, match="pip install controlnet_aux"):
        AuxPreprocess.execute(clip.images, "MiDaS")


@pytest.mark.parametrize("detector", DETECTORS)
def test_without_its_files_the_error_names_them_and_nothing_is_downloaded(models, clip, detector):
    with pytest.raises(InputError, match=f"needs {FILES[detector][0]}.*Nothing is downloaded"):
        AuxPreprocess.execute(clip.images, detector)
