"""The runner behind `bench parity`, on comparisons whose error is known by hand."""

import importlib
import json
import math

import pytest
import torch

parity = importlib.import_module("dreamoving.benchmarks.parity")
comparison = importlib.import_module("dreamoving.benchmarks._comparison")


def compare(name, error):
    def run():
        if isinstance(error, Exception):
            raise error
        return error

    return comparison.Comparison(name=name, against=f"{name}'s own authors", run=run)


@pytest.fixture
def bench(monkeypatch, tmp_path, capsys):
    """Runs the command on the given comparisons: exit status, what was written, what was printed."""

    def run(*found, words=()):
        monkeypatch.setattr(parity, "comparisons", lambda: list(found))
        monkeypatch.setattr(parity, "PARTS", ())
        status = parity.main([*words, "--out", str(tmp_path / "out" / "parity.json")])
        path = tmp_path / "out" / "parity.json"
        return status, json.loads(path.read_text()) if path.exists() else None, capsys.readouterr().out

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


def test_the_error_is_the_largest_difference_over_the_largest_value():
    ours, theirs = torch.tensor([1.0, -4.0, 2.0]), torch.tensor([1.0, -5.0, 2.5])

    assert comparison.relative_error(ours, theirs) == pytest.approx(1 / 5)
    assert comparison.relative_error(theirs, theirs) == 0.0


def test_shapes_that_broadcast_are_no_comparison():
    with pytest.raises(ValueError, match=r"Shapes differ: ours \(1, 3\), the reference's \(2, 3\)"):
        comparison.relative_error(torch.zeros(1, 3), torch.zeros(2, 3))


def test_one_figure_for_each_comparison_is_written_with_how_it_was_measured(bench):
    status, report, printed = bench(compare("a", 2e-6), compare("b", 1e-4))

    assert status == 0
    assert report["figures"] == {"a": 2e-6, "b": 1e-4}
    assert report["measured"]["a"]["against"] == "a's own authors"
    assert report["complete"] is True
    assert report["failed"] == []
    assert report["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert "2 of 2 at most 0.0001" in printed


@pytest.mark.parametrize("error", [1.0001e-4, math.nan, math.inf, ValueError("no such file")])
def test_one_that_differs_fails_the_whole_and_the_others_still_run(bench, error):
    status, report, printed = bench(compare("bad", error), compare("good", 0.0))

    assert status == 1
    assert report["failed"] == ["bad"]
    assert report["figures"]["good"] == 0.0
    assert "FAILS  bad" in printed
    assert "1 of 2" in printed


def test_an_error_is_named_and_is_no_figure(bench):
    _, report, printed = bench(compare("bad", ValueError("no such file")))

    assert report["figures"] == {}
    assert report["measured"]["bad"]["failed"] == "ValueError: no such file"
    assert "ValueError: no such file" in printed


def test_only_some_can_be_run_and_the_report_says_that_it_is_not_whole(bench):
    status, report, _ = bench(
        compare("motion v1", 0.0),
        compare("motion v3", 0.0),
        compare("guider", 1.0),
        words=["--only", "motion"],
    )

    assert status == 0
    assert sorted(report["figures"]) == ["motion v1", "motion v3"]
    assert report["complete"] is False


def test_a_name_that_nothing_has_is_answered_with_the_names(bench):
    with pytest.raises(SystemExit, match=r"no comparison 'mution'. There are:\n  motion v1"):
        bench(compare("motion v1", 0.0), words=["--only", "mution"])


def test_names_can_be_listed_without_running_anything(bench):
    status, report, printed = bench(compare("a", ValueError("must not run")), words=["--list"])

    assert (status, report, printed) == (0, None, "a\n")


def test_nothing_measured_is_no_success(bench):
    assert bench()[0] == 1


def test_two_comparisons_of_one_name_are_refused(monkeypatch):
    class Part:
        @staticmethod
        def comparisons():
            return [compare("a", 0.0), compare("a", 1.0)]

    monkeypatch.setattr(parity, "PARTS", ("_part",))
    monkeypatch.setattr(parity, "exists", lambda part: True)
    monkeypatch.setattr(parity.importlib, "import_module", lambda name, package: Part)

    with pytest.raises(ValueError, match="Two comparisons have the name a"):
        parity.comparisons()


def test_every_part_is_there_and_its_names_are_its_own():
    names = [found.name for found in parity.comparisons()]

    assert all(parity.exists(part) for part in parity.PARTS)
    assert len(names) > 10
