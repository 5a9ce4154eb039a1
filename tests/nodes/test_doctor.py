"""The Doctor as a node."""

import folder_paths
import pytest
from dreamoving.dreamoving_core.bridge.loading import register_model_folders
from dreamoving.nodes.doctor import Doctor


@pytest.fixture
def registered(monkeypatch):
    """Model folders as `on_load` registers them."""
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", dict(folder_paths.folder_names_and_paths))
    register_model_folders()


def test_it_shows_its_report_and_gives_it_on(registered):
    output = Doctor.execute()

    text, well = output.args
    assert "ok     Python" in text
    assert "ok     ComfyUI" in text
    assert "models/dreamoving" in text
    assert isinstance(well, bool)
    assert text.split("\n")[0] in output.ui.as_dict()["text"][0]


def test_every_output_explains_itself_and_it_runs_each_time():
    schema = Doctor.define_schema()
    schema.validate()

    assert all(len(output.tooltip) > 10 for output in schema.outputs)
    assert Doctor.fingerprint_inputs() != Doctor.fingerprint_inputs()
