"""Names and tooltips in English, Chinese and Japanese, complete for every node."""

import asyncio
import re
from pathlib import Path

import pytest
from dreamoving.tools.locales import COMMAND, ENGLISH, differences, english, leaves, read_locale

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {"zh": r"[\u4e00-\u9fff]", "ja": r"[\u3040-\u30ff\u4e00-\u9fff]"}
KANA = r"[\u3040-\u30ff]"
COMPILED = re.compile(r"[|{}@]")  # what vue-i18n takes for grammar; tooltips it leaves alone


@pytest.fixture(scope="module")
def wanted():
    from dreamoving.nodes import DreaMovingExtension

    nodes = asyncio.run(DreaMovingExtension().get_node_list())
    return english({info["name"]: info for info in (node.GET_NODE_INFO_V1() for node in nodes)})


def test_english_is_what_the_nodes_say(wanted):
    assert read_locale(ROOT, ENGLISH) == wanted, f"Run `{COMMAND}`."


@pytest.mark.parametrize("language", SCRIPTS)
def test_a_translation_has_every_text_and_nothing_else(wanted, language):
    assert differences(wanted, read_locale(ROOT, language)) == {"missing": [], "left over": []}


@pytest.mark.parametrize("language", SCRIPTS)
def test_sentences_are_in_their_language_and_keep_every_number(wanted, language):
    translated = dict(leaves(read_locale(ROOT, language)))
    strange, changed = [], []
    for path, text in leaves(wanted):
        if path.endswith(("tooltip", "description", "display_name")):
            found = translated[path]
            if not re.search(SCRIPTS[language], found) or (language == "zh" and re.search(KANA, found)):
                strange.append((path, found))
            numbers = set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", text))
            if numbers - set(re.findall(r"\d+(?:\.\d+)?", found)):
                changed.append((path, text, found))

    assert strange == []
    assert changed == []


@pytest.mark.parametrize("language", [ENGLISH, *SCRIPTS])
def test_names_hold_nothing_that_the_frontend_takes_for_grammar(language):
    texts = [*leaves(read_locale(ROOT, language)), *leaves(read_locale(ROOT, language, "main"))]

    assert [
        (path, text) for path, text in texts if not path.endswith("tooltip") and COMPILED.search(text)
    ] == []


def test_menu_folders_and_socket_types_have_names_in_every_language():
    from dreamoving.nodes import DreaMovingExtension

    schemas = [node.GET_SCHEMA() for node in asyncio.run(DreaMovingExtension().get_node_list())]
    folders = {part for schema in schemas for part in schema.category.split("/")}
    sockets = {slot.io_type for schema in schemas for slot in [*schema.inputs, *schema.outputs]}
    own = {name for name in sockets if name.startswith("DREAMOVING_")}
    cores = {"loaders", "sampling", "video"}  # ComfyUI translates these itself

    for language in (ENGLISH, *SCRIPTS):
        main = read_locale(ROOT, language, "main")
        assert set(main["nodeCategories"]) == folders - cores
        assert set(main["dataTypes"]) == own


def test_comfyui_finds_the_translations(tmp_path, monkeypatch):
    import folder_paths
    from app.custom_node_manager import CustomNodeManager

    (tmp_path / "any-folder").symlink_to(ROOT, target_is_directory=True)
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(tmp_path)])

    served = CustomNodeManager().build_translations()

    assert served["zh"]["nodeDefs"]["DreaMovingSampler"]["display_name"] == "采样视频"
    assert served["ja"]["nodeCategories"]["motion"]
