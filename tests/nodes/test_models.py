import pytest
from dreamoving.dreamoving_core.bridge import model_files
from dreamoving.nodes import models

GRAPH = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "mine.safetensors"}}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(
        folder_paths, "folder_names_and_paths", {"checkpoints": ([str(tmp_path)], {".safetensors"})}
    )
    return tmp_path


class Hidden:
    prompt = GRAPH


def run(monkeypatch, *arguments):
    monkeypatch.setattr(models.CheckModels, "hidden", Hidden, raising=False)
    return models.CheckModels.execute(*arguments)


def test_this_graph_is_the_one_that_the_node_stands_in(folder, monkeypatch):
    report, complete = run(monkeypatch, "this graph", False).args

    assert "MISSING  models/checkpoints/mine.safetensors" in report
    assert complete is False


def test_what_is_there_is_found_in_comfyuis_own_folders(folder, monkeypatch):
    (folder / "sub").mkdir()
    (folder / "sub" / "mine.safetensors").touch()

    output = run(monkeypatch, "this graph", True)

    assert output.args[1] is True
    assert output.ui.as_dict()["text"] == (output.args[0],)


def test_a_story_is_answered_without_a_graph(folder):
    report, complete = model_files.check_models("Face and clothes", None, verify=False)

    assert report.startswith("Face and clothes: 8 of 8 files to see to")
    assert not complete


def test_the_list_begins_with_this_graph():
    schema = models.CheckModels.define_schema()

    assert schema.inputs[0].options[0] == schema.inputs[0].default == "this graph"
    assert schema.is_output_node


def test_files_come_and_go_so_the_answer_is_never_kept():
    first = models.CheckModels.fingerprint_inputs("this graph", False)

    assert models.CheckModels.fingerprint_inputs("this graph", False) != first
