"""Keyframes and Prompt Travel as nodes."""

import pytest
import torch


def nodes():
    from dreamoving.nodes import schedule

    return schedule


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))


def test_keyframes_gives_one_number_per_frame_that_a_strength_takes_and_draws_them(tmp_path):
    from dreamoving.dreamoving_core.bridge.curves import per_frame

    output = nodes().Keyframes.execute("0:(0.2), 4:(1.0)", 5, "linear")

    assert output[0] == output[1] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert per_frame(output[0], 5) == per_frame("0:(0.2), 4:(1.0)", 5)
    (shown,) = output.ui.as_dict()["images"]
    assert shown["type"] == "temp"
    assert list(tmp_path.glob("*.png"))


def test_every_strength_of_the_pack_takes_keyframe_text():
    import asyncio

    from dreamoving.nodes import DreaMovingExtension

    schemas = [node.GET_SCHEMA() for node in asyncio.run(DreaMovingExtension().get_node_list())]
    over_time = {
        f"{schema.node_id}.{slot.id}": set(slot.get_io_type().split(","))
        for schema in schemas
        for slot in schema.inputs
        if slot.id in ("alpha_f", "alpha_c")
        or (schema.node_id, slot.id)
        in {
            ("DreaMovingApplyMotion", "strength"),
            ("DreaMovingApplyMotion", "scale"),
            ("DreaMovingControlStrength", "strength"),
        }
    }

    assert len(over_time) == 5
    assert {
        name for name, types in over_time.items() if not {"FLOAT", "FLOATS", "CURVE", "STRING"} <= types
    } == set()


def test_prompt_travel_gives_a_conditioning_and_draws_the_prompts_shares(tmp_path):
    class Clip:
        def tokenize(self, text):
            return text

        def encode_from_tokens_scheduled(self, tokens):
            return [[torch.full((1, 2, 3), float(len(tokens))), {"pooled_output": None}]]

    output = nodes().PromptTravel.execute(Clip(), "0: abc | 2: abcde", 4, "linear", before="x", after="")

    ((tokens, extra),) = output[0]
    assert tokens[:, 0, 0].tolist() == [6.0, 7.0, 8.0, 8.0]  # "x, abc" has six letters
    assert extra["dreamoving_travel_frames"] == 4
    assert list(tmp_path.glob("*.png"))
