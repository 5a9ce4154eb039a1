"""What ComfyUI shows of every node before anybody opens its help: tooltips, search words, folded inputs."""

import asyncio

import pytest

RARE = {  # inputs that most graphs never touch
    "start_percent", "end_percent", "crf", "preset", "audio_length", "audio_start", "stick_width", "sticks", "swap_hands",
    "anchor_frame", "box_width", "box_height", "closed_loop", "freenoise", "beta_schedule", "norms_across_frames",
    "positions", "scale", "split", "dance_seed", "pooled", "lora_strength", "ip_adapter_variant", "motion_norm", "space",
    "preview", "before", "after",
}  # fmt: skip
UNFOLDED = 11  # widgets that a node may show; more do not fit beside the graph


def schemas():
    from dreamoving.nodes import DreaMovingExtension

    return [node.GET_SCHEMA() for node in asyncio.run(DreaMovingExtension().get_node_list())]


SCHEMAS = schemas()
each_schema = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.node_id)


@each_schema
def test_every_input_and_output_has_a_tooltip_that_is_a_sentence(schema):
    for slot in [*schema.inputs, *schema.outputs]:
        assert slot.tooltip, slot.id
        assert slot.tooltip[0].isalnum() or slot.tooltip[0] in "'\"-", (slot.id, slot.tooltip)
        assert slot.tooltip.strip().endswith((".", ")")), (slot.id, slot.tooltip)


@each_schema
def test_a_node_is_described_and_found_by_words_that_artists_use(schema):
    names = {schema.display_name.lower(), schema.node_id.lower()}

    assert len(schema.description) > 40
    assert len(schema.search_aliases or []) >= 2
    assert not names & {alias.lower() for alias in schema.search_aliases}  # those are found anyway
    assert len(set(schema.search_aliases)) == len(schema.search_aliases)


@each_schema
def test_rarely_used_inputs_are_folded_and_the_others_fit(schema):
    from comfy_api.latest import io

    widgets = [slot for slot in schema.inputs if isinstance(slot, (io.WidgetInput, io.MultiType.Input))]

    assert [slot.id for slot in widgets if slot.id in RARE and not slot.advanced] == []
    assert len([slot for slot in widgets if not slot.advanced]) <= UNFOLDED
