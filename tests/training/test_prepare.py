"""`prepare` from videos to a set: what is kept, what is left out and why, cut and resumed, and trained on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, MissingPackageError, WeightsError
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from dreamoving.dreamoving_core.preprocess.pose_clip import read_clip
from dreamoving.dreamoving_core.preprocess.pose_json import read_pose_json
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.tiny import files as tiny_files
from dreamoving.dreamoving_core.training import sd15, sd15_cli
from dreamoving.dreamoving_core.training.dances import SHOTS
from dreamoving.dreamoving_core.training.folder_items import find_items
from dreamoving.dreamoving_core.training.folder_source import FolderSource
from dreamoving.dreamoving_core.training.prepare import cache, cli
from dreamoving.dreamoving_core.training.prepare.captions import load_captioner
from dreamoving.dreamoving_core.training.prepare.manifest import Manifest
from dreamoving.dreamoving_core.training.prepare.run import PrepareRun
from dreamoving.dreamoving_core.training.prepare.shots import scenedetect
from dreamoving.dreamoving_core.training.prepare.tools import ToolSettings, open_tools, write_depth
from dreamoving.dreamoving_core.training.shards import Shards, ShardWriter
from dreamoving.dreamoving_core.training.stages import changed
from dreamoving.dreamoving_core.training.stages_sd15 import STAGES
from dreamoving.dreamoving_core.training.trainer import new_accelerator
from dreamoving.dreamoving_core.video.clip_file import FileClip
from dreamoving.dreamoving_core.video.encode import encode_video
from PIL import Image
from training.prepared_videos import WORDS, dance, write_videos
from training.small_sd15 import small_files

pytestmark = pytest.mark.skipif(not tiny_files.FOLDER.is_dir(), reason="this copy has no trained weights")

INSIDE = Path(__file__).parents[2] / "tools" / "inside.py"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder)
    return folder


@pytest.fixture(scope="module")
def small():
    with small_files(sd15, cache):
        yield


def prepare(videos, out, *words):
    """As the command line does; the run's words."""
    run, sources = cli.prepared(cli.parsed([str(videos), "--out", str(out), *WORDS, *words]))
    return run.run(sources)


@pytest.fixture(scope="module")
def whole(small, videos, tmp_path_factory):
    """The whole set with latents and embeddings; and what was said."""
    out = tmp_path_factory.mktemp("set")
    encoding = ("--base", str(videos), "--clip-vision", str(videos), "--sizes", "64")
    return out, prepare(videos, out, *encoding)


def lines_of(out):
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


def test_both_shots_of_a_video_become_clips_with_all_that_belongs_to_them(whole):
    out, _ = whole

    kept = [line for line in lines_of(out) if "clip" in line and not line["reason"]]

    assert [line["clip"] for line in kept] == ["cut_0000", "cut_0001", "early_0000"]
    assert kept[0]["start"] + kept[0]["frames"] <= 20 - 1  # the guard
    assert kept[1]["start"] >= 20 + 1
    for line in kept:
        name, trained = line["clip"], range(line["start"], line["start"] + line["frames"])
        assert FileClip(str(out / f"{name}.mp4")).num_frames == line["frames"]
        pose = read_clip(read_pose_json([(out / f"{name}.pose.json").read_text()]))
        assert pose.points.shape[:2] == (line["frames"], 1)
        assert (pose.width, pose.height) == (128, 128)
        assert pose.points[:, 0, :18, 2].mean() > 0.9
        assert line["face_frame"] not in trained
        assert line["cloth_frame"] not in trained
        for part in ("face", "cloth"):
            assert Image.open(out / f"{name}.{part}.png").size == (224, 224)
    assert (out / "cut_0001.txt").read_text() == "two dancers, one after the other\n"
    assert not (out / "early_0000.txt").exists()


def test_references_show_the_person_of_their_own_shot(whole):
    out, _ = whole

    def colours(name):
        picture = torch.from_numpy(np.array(Image.open(out / f"{name}.cloth.png"))).float().flatten(0, 1)
        clothes = picture[(picture - 127).abs().sum(dim=1) > 20]
        return clothes.mean(dim=0)

    assert (colours("cut_0000") - colours("early_0000")).norm() < 15  # the same dancer
    assert (colours("cut_0000") - colours("cut_0001")).norm() > 30


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("broken.mp4", "cannot be read as a video"),
        ("sound.mp4", "holds no picture that can be read: it is sound only"),
        ("short.mp4", r"shot too short: 0\.8 s between transitions, a clip needs 1\.2 s"),
        ("two.mp4", r"several people in 100% of the frames, the bar is 5%"),
    ],
)
def test_what_is_wrong_with_a_video_is_told_and_the_run_goes_on(whole, file, reason):
    out, told = whole
    report = json.loads((out / "report" / "report.json").read_text(encoding="utf-8"))

    said = [line["reason"] for line in report["left_out"] if line["video"] == file]

    assert len(said) == 1
    assert re.search(reason, said[0])
    assert any(line.startswith(file) and re.search(reason, line) for line in told)
    assert report["files"] == 6
    assert report["clips"] == 3
    assert report["captions"] == {"text file": 2, "none": 1}
    assert report["reasons"]["files that cannot be read"] == 2


def test_the_contact_sheet_has_four_pictures_of_each_clip(whole):
    sheet = Image.open(whole[0] / "report" / "contact.jpg")

    assert sheet.width == 4 * 128 + 3 * 4 + 2 * 4
    assert sheet.height > 3 * 128


def test_a_prepared_video_has_the_depth_of_its_own_frames_beside_it(videos, tmp_path):
    (tmp_path / "in").mkdir()
    os.link(videos / "early.mp4", tmp_path / "in" / "early.mp4")

    prepare(tmp_path / "in", tmp_path / "out", "--depth-model", "tiny")

    start, count = (lines_of(tmp_path / "out")[0][name] for name in ("start", "frames"))
    depth = torch.stack(list(FileClip(str(tmp_path / "out" / "early_0000.depth.mp4")).forward()))[..., 0]
    true = render_clip(ClipSpec(seed=1, num_frames=20, size=128)).depth[start : start + count]
    assert depth.shape == (count, 128, 128)
    away = [(depth - other).abs().mean() for other in (true, true.flip(0), true[:1].expand_as(true))]
    assert away[0] < 0.06
    assert away[0] < 0.6 * min(away[1:])  # frame n is frame n
    settings = json.loads((tmp_path / "out" / "settings.json").read_text(encoding="utf-8"))
    assert settings["depth"] == tiny_files.DEPTH


def test_depth_has_a_picture_for_each_frame_and_the_dancer_is_nearer_than_the_wall(tmp_path):
    clip = render_clip(ClipSpec(seed=1, num_frames=2, size=128))
    encode_video(tmp_path / "x.mp4", clip.images, format="mp4", frame_rate=12)
    tools = open_tools(ToolSettings(depth=tiny_files.FOLDER / tiny_files.DEPTH, device="CPU"))

    write_depth(tmp_path / "x.depth.mp4", FileClip(str(tmp_path / "x.mp4")), tools.depth, rate="12")

    depth = torch.stack(list(FileClip(str(tmp_path / "x.depth.mp4")).forward()))
    assert depth.shape == (2, 128, 128, 3)
    assert (depth[..., 0] - clip.depth).abs().mean() < 0.06


def test_nobody_in_a_video_is_told(videos, tmp_path):
    (tmp_path / "in").mkdir()
    stripes = torch.linspace(0, 1, 128).remainder(0.1).mul(8).reshape(1, 1, -1, 1).expand(16, 128, 128, 3)
    moving = torch.stack([frame.roll(number, dims=1) for number, frame in enumerate(stripes)])
    encode_video(tmp_path / "in" / "stripes.mp4", moving, format="mp4", frame_rate=12)

    told = prepare(tmp_path / "in", tmp_path / "out", "--nobody", "0", "--sharpness", "0")

    assert any("no person was found" in line for line in told)


def test_the_trainer_reads_the_set_and_leaves_out_what_has_no_caption(whole, caplog):
    caplog.set_level("INFO")

    found = find_items(whole[0], changed(STAGES["video_control"], {"frames": 8}))

    assert [item.source.name for item in found] == ["cut_0000.mp4", "cut_0001.mp4"]
    assert "left out: 1 without a caption" in caplog.text
    assert {part for item in found for part in item.beside} == {"pose", "face", "cloth"}


def batch_of(out, stage, encoders, guider, *, seed=0):
    source = FolderSource(out, stage, encoders=encoders, guider=guider)
    batch, _ = source(0, [torch.Generator().manual_seed(seed + i) for i in range(stage.clips)])
    return batch, source


@pytest.fixture(scope="module")
def built(small, videos):
    """The networks of stage 1, whose encoders serve every stage."""
    return sd15.build(STAGES["content_guider"], sd15.Files(base=videos, clip_vision=videos))


def test_what_is_kept_in_shards_is_what_the_encoders_would_see(whole, built, tmp_path):
    settings = {
        "frames": 4,
        "size": 64,
        "clips": 2,
        "crop": "center",
        "pose_jitter": 0.0,
        "pose_dropout": 0.0,
    }
    stage = changed(STAGES["content_guider"], settings)
    guider = built.trainee.guider
    kept, source = batch_of(whole[0], stage, built.encoders, guider)
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in whole[0].iterdir():
        if path.is_file():
            os.link(path, bare / path.name)

    fresh, other = batch_of(bare, stage, built.encoders, guider)

    assert len(source.shards) > len(other.shards) == 0
    assert not source.told
    for name in ("latents", "text", "face", "cloth", "face_blank"):
        one, two = getattr(kept, name), getattr(fresh, name)
        assert one.shape == two.shape
        assert torch.allclose(one, two, rtol=2e-3, atol=2e-3), name  # half precision
        assert name == "face_blank" or not torch.equal(one, two)  # they do come off the shards


def test_latents_of_another_vae_are_not_taken(whole, built, caplog, monkeypatch):
    caplog.set_level("INFO")
    before = built.encoders.fingerprint("vae")
    weight = next(built.encoders.vae.first_stage_model.parameters())
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.add_(0.01)
    other = built.encoders.fingerprint("vae")
    with torch.no_grad():
        weight.copy_(kept)
    assert other != before == built.encoders.fingerprint("vae")
    monkeypatch.setattr(type(built.encoders), "fingerprint", lambda _self, _part: other)

    batch, _ = batch_of(
        whole[0], changed(STAGES["long_frame"], {"frames": 2, "size": 64}), built.encoders, None
    )

    assert batch.latents.shape == (1, 2, 4, 8, 8)
    assert "of another VAE or clip" in caplog.text


def test_two_steps_of_a_stage_learn_from_the_set(whole, videos, tmp_path):
    words = [
        "--stage",
        "video_control",
        "--data",
        str(whole[0]),
        "--base",
        str(videos),
        "--folder",
        str(tmp_path),
    ]
    for setting in ("steps=2", "size=64", "frames=2", "precision=no", "checkpointing=false"):
        words += ["--set", setting]
    args = sd15_cli.parsed([*words, "--device", "cpu"])
    stage = sd15_cli.stage_of(args)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sd15, "refuse_gaps", lambda _stage, _files: None
        )  # no file of the stage before is at hand
        built = sd15.build(stage, sd15.Files(base=videos))
    before = {n: p.detach().clone() for n, p in built.trainee.named_parameters()}
    source = FolderSource(args.data, stage, encoders=built.encoders, guider=None)
    encoded = []
    source.encoders = _Watched(built.encoders, encoded)

    trainer = sd15_cli.train(stage, built, source, args, new_accelerator(device="cpu"))

    moved = {n for n, p in built.trainee.named_parameters() if not torch.equal(p, before[n])}
    assert trainer.step == 2
    assert moved
    assert all(n.startswith(stage.learns) for n in moved)
    assert encoded == [[""], [""]]  # the empty caption; latents and texts come off the shards


class _Watched:
    """The encoders, and what they were asked for."""

    def __init__(self, encoders, asked):
        self.encoders, self.asked = encoders, asked

    def text(self, captions):
        self.asked.append(captions)
        return self.encoders.text(captions)

    def latents(self, _pictures):
        raise AssertionError("the latents are in the shards")


def test_a_second_start_does_nothing_and_says_the_same(whole, videos, small):
    out, told = whole
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()}
    encoding = ("--base", str(videos), "--clip-vision", str(videos), "--sizes", "64")

    again = prepare(videos, out, *encoding)

    assert again == told
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir() if path.is_file()}


def test_other_settings_for_the_same_set_are_refused(whole, videos):
    with pytest.raises(
        InputError, match=r"begun with other settings: .*reserve was 0\.3, is now 0\.2.*another --out"
    ):
        prepare(videos, whole[0], "--reserve", "0.2")


@pytest.fixture(scope="module")
def plain(videos, tmp_path_factory):
    """The set without anything that this process alone can do."""
    out = tmp_path_factory.mktemp("plain")
    prepare(videos, out)
    return out


def same_set(one, other):
    def names(out):
        return sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))

    assert names(one) == names(other)
    for name in ("manifest.jsonl", "report/report.json", "report/report.txt", "settings.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for path in (*one.glob("*.pose.json"), *one.glob("*.png"), *one.glob("*.mp4")):
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_a_kill_in_the_middle_and_a_second_start_give_the_same_set_by_several_processes(
    plain, videos, tmp_path
):
    out = tmp_path / "set"
    words = ["train", "prepare", str(videos), "--out", str(out), *WORDS[:-1], "2"]
    command = [sys.executable, str(INSIDE), *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        said = []
        for line in first.stderr:
            said.append(line)
            if " 1/6 " in line:  # the next one takes seconds: the kill finds its processes at work
                first.kill()
    assert first.returncode == -9, "".join(said)
    assert 0 < len(lines_of(out)) < len(lines_of(plain))

    prepare(videos, out)

    same_set(plain, out)


def test_an_interruption_between_a_clips_files_and_its_line_does_not_show(plain, videos, tmp_path):
    class Interrupted(Exception):
        pass

    calls = []

    def interrupting(source, key_frame):
        calls.append(source.name)
        if len(calls) == 2:
            raise Interrupted
        return captions(source, key_frame)

    args = cli.parsed([str(videos), "--out", str(tmp_path / "set"), *WORDS])
    run, sources = cli.prepared(args)
    captions = run.captions
    cut = PrepareRun(out=run.out, settings=run.settings, captions=interrupting)
    with pytest.raises(Interrupted):
        cut.run(sources)
    assert [line["clip"] for line in lines_of(run.out) if "clip" in line] == ["cut_0000"]
    with (run.out / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"clip": "cut_0001", "fr')  # the power went here

    run.run(sources)

    same_set(plain, tmp_path / "set")


def test_a_manifest_that_was_damaged_by_hand_is_refused(tmp_path):
    (tmp_path / "manifest.jsonl").write_text('{"video": "a", "bytes": 1}\nnothing\n')

    with pytest.raises(InputError, match=r"Line 2 of .*manifest\.jsonl is no JSON"):
        Manifest(tmp_path)


def test_pictures_for_stage_one_are_filtered_and_show_their_own_face(built, videos, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    pictures = {"one": dance(1, 1)[0], "two": torch.cat([dance(1, 1)[0], dance(2, 1)[0]], dim=1)}
    for name, picture in (*pictures.items(), ("tiny", pictures["one"][::4, ::4])):
        Image.fromarray((picture * 255).byte().numpy()).save(folder / f"{name}.png")
    (folder / "one.txt").write_text("a dancer")

    told = prepare(folder, out, "--base", str(videos), "--clip-vision", str(videos))

    assert told[0] == "3 files: 0 clips (0 minutes) and 1 pictures kept"
    assert (out / "one.png").read_bytes() == (folder / "one.png").read_bytes()
    assert Image.open(out / "one.face.png").size == (224, 224)
    stage = changed(STAGES["content_guider"], {"size": 64, "clips": 1})
    batch, source = batch_of(out, stage, built.encoders, built.trainee.guider)
    assert batch.latents.shape == (1, 1, 4, 8, 8)
    assert set(source.shards.places) == {"one/text", "one/face", "one/cloth"}


def test_a_webvid_folder_needs_no_people_and_takes_its_captions_from_the_table(videos, tmp_path):
    folder = tmp_path / "in" / "006001_006050"
    folder.mkdir(parents=True)
    encode_video(folder / "21179416.mp4", dance(1, 14), format="mp4", frame_rate=12)
    table = tmp_path / "results.csv"
    table.write_text("videoid,contentUrl,duration,page_dir,name\n21179416,,,006001_006050,A  dancer\n")
    words = ["--seconds", "0.8", "1", "--min-side", "64", "--jobs", "1", "--csv", str(table)]
    args = cli.parsed([str(tmp_path / "in"), "--out", str(tmp_path / "out"), *words])

    run, sources = cli.prepared(args)
    run.run(sources)

    found = find_items(tmp_path / "out", changed(STAGES["long_frame"], {"frames": 8}))
    assert [(item.source.name, item.caption) for item in found] == [
        ("006001_006050_21179416_0000.mp4", "A dancer")
    ]
    assert lines_of(tmp_path / "out")[0]["caption"] == "table"


def test_drawn_dancers_are_a_source_too_with_their_true_poses(tmp_path):
    out = tmp_path / "set"
    prepare("procdance:2", out, "--short-side", "64")

    found = find_items(out, changed(STAGES["video_control"], {"frames": 8}))

    true = render_clip(ClipSpec(seed=1, num_frames=10, size=64, shot=SHOTS[1]))
    assert [item.source.name for item in found] == ["procdance_000000.mp4", "procdance_000001.mp4"]
    assert found[1].caption == true.caption
    pose = read_clip(read_pose_json([(out / "procdance_000001.pose.json").read_text()]))
    wanted = read_clip(encode_pose_keypoint(true.keypoints, width=64, height=64))
    assert abs(pose.points - wanted.points).max() < 0.006  # hundredths of a pixel
    assert set(found[1].beside) == {"pose", "depth", "face", "cloth"}
    again = prepare("procdance:3", out, "--short-side", "64")  # more of them
    assert again[0].startswith("3 files: 3 clips")


def test_a_count_of_dancers_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"Write procdance:COUNT, .*got 'procdance:many'"):
        prepare("procdance:many", tmp_path / "set")


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    """A BLIP of a few thousand random numbers, as transformers writes it."""
    import transformers as hf

    folder = tmp_path_factory.mktemp("blip")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "[DEC]",
        "a",
        "dancer",
        "on",
        "stage",
        "red",
        "dress",
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    marks = {"bos_token_id": 5, "pad_token_id": 0, "sep_token_id": 3, "eos_token_id": 3}
    config = hf.BlipConfig(
        text_config={**small, **marks, "vocab_size": len(words), "encoder_hidden_size": 16},
        vision_config={**small, "image_size": 16, "patch_size": 8},
    )
    torch.manual_seed(0)
    model = hf.BlipForConditionalGeneration(config)
    head = model.text_decoder.cls.predictions
    with torch.no_grad():
        head.bias[:6] = -30.0  # words, and no marks
    model.save_pretrained(folder)
    pictures = hf.BlipImageProcessor(size={"height": 16, "width": 16})
    tokenizer = hf.BertTokenizer(str(folder / "vocab.txt"), additional_special_tokens=["[DEC]"])
    hf.BlipProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def test_a_local_model_captions_the_key_frame_where_nobody_wrote_anything(blip, videos, tmp_path):
    out = tmp_path / "set"
    (tmp_path / "in").mkdir()
    for name in ("early.mp4", "cut.mp4", "cut.txt"):
        os.link(videos / name, tmp_path / "in" / name)

    prepare(tmp_path / "in", out, "--captions-model", str(blip))

    lines = {line["clip"]: line for line in lines_of(out) if "clip" in line}
    assert lines["cut_0000"]["caption"] == "text file"
    assert lines["early_0000"]["caption"] == "model"
    with Image.open(out / "report" / "keys" / "early_0000.jpg") as picture:
        said = load_captioner(blip)(picture.convert("RGB"))
    assert (out / "early_0000.txt").read_text().split() == said.split()
    assert set(said.split()) <= {"a", "dancer", "on", "stage", "red", "dress"}


def test_a_model_that_is_asked_gets_picture_and_prompt_and_its_question_is_no_caption(tmp_path):
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [
        "<pad>",
        "<s>",
        "</s>",
        "<unk>",
        "<image>",
        "a",
        "dancer",
        "on",
        "stage",
        "Describe",
        "this",
        "frame",
    ]
    tokens = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokens, additional_special_tokens=["<image>"], **special
    )
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    vision = hf.CLIPVisionConfig(**small, num_hidden_layers=2, image_size=16, patch_size=8)
    text = hf.LlamaConfig(
        **small,
        num_hidden_layers=1,
        num_key_value_heads=2,
        vocab_size=len(words),
        eos_token_id=2,
        initializer_range=1.0,
    )
    torch.manual_seed(0)
    config = hf.LlavaConfig(vision_config=vision, text_config=text, image_token_index=4)
    model = hf.LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = 2
    model.save_pretrained(tmp_path)
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}"
        "{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
    )
    hf.LlavaProcessor(
        hf.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(tmp_path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8))

    said = load_captioner(tmp_path, prompt="Describe this frame")(picture)
    other = load_captioner(tmp_path, prompt="a dancer on stage")(picture)

    assert said
    assert said != other  # the prompt is heard
    assert not said.startswith("Describe this frame")


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_folder_that_holds_no_vision_language_model_is_refused(tmp_path, content):
    if content:
        (tmp_path / "config.json").write_text(content)

    with pytest.raises(
        WeightsError, match=r"has no config\.json" if content is None else "cannot be read as a vision"
    ):
        load_captioner(tmp_path)


def test_what_lacks_is_named_before_the_first_video_is_read(videos, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--detector and --pose-model go together"):
        cli.settings_of(cli.parsed([str(videos), "--out", "x", "--detector", "tiny"]))
    with pytest.raises(InputError, match=r"There is no .*nowhere.*Check --depth-model"):
        prepare(videos, tmp_path, "--depth-model", "nowhere")
    with pytest.raises(InputError, match="--jobs is at least 1, got 0"):
        prepare(videos, tmp_path, "--jobs", "0")
    with pytest.raises(InputError, match="--clip-vision goes with --base"):
        prepare(videos, tmp_path, "--clip-vision", str(videos))
    points = str(tiny_files.FOLDER / tiny_files.POINT_DETECTOR)
    with pytest.raises(WeightsError, match="is no person detector"):
        prepare(videos, tmp_path, "--detector", points)
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'scenedetect>=0\.7'"):
        scenedetect()
    assert not (tmp_path / "manifest.jsonl").exists()


def test_a_run_without_other_processes_leaves_the_threads_of_this_one_alone(whole):
    assert torch.get_num_threads() == 1  # as tests/conftest.py has it


def test_processes_that_read_videos_load_neither_comfyui_nor_a_network():
    """Each of them would take half a gigabyte, and the GPU."""
    code = (
        "import runpy, sys, os\n"
        f"child = runpy.run_path({str(INSIDE.parents[1] / 'dreamoving_core/training/prepare/child.py')!r})\n"
        f"child['load']('dreamoving', {str(INSIDE.parents[1])!r})\n"
        "import dreamoving.dreamoving_core.training.prepare.video\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('comfy', 'folder_paths', 'transformers')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)

    assert done.stdout.strip() == "[]", done.stderr


def test_a_shard_that_was_packed_before_the_power_went_is_not_packed_twice(tmp_path):
    writer = ShardWriter(tmp_path)
    writer.add("a", {"text": torch.ones(2, 3)}, {"text": "mark"})
    part = next(iter(writer.waiting()))
    kept = part.read_bytes()
    writer.pack(rest=False)
    assert writer.waiting()  # one clip does not fill a shard
    writer.pack(rest=True)
    part.parent.mkdir()
    part.write_bytes(kept)

    again = ShardWriter(tmp_path)
    again.pack(rest=True)

    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["00000.safetensors"]
    assert torch.equal(Shards(tmp_path).read("a/text", "mark"), torch.ones(2, 3))
    assert torch.equal(Shards(tmp_path).read("a/text", "mark", rows=[1]), torch.ones(1, 3))
    assert Shards(tmp_path).read("a/text", "mark", rows=[2]) is None
    assert Shards(tmp_path).read("a/text", "another mark") is None
