"""The benchmark of the chunks' size, at its smallest."""

import json

from dreamoving.benchmarks import chunks


def test_both_sizes_are_timed_at_both_lengths(tmp_path):
    out = tmp_path / "chunks.json"

    assert chunks.main(["--pairs", "1", "--out", str(out)]) == 0

    figures = json.loads(out.read_text(encoding="utf8"))["figures"]
    assert list(figures) == ["chunk_ratio_16", "seconds_16", "chunk_ratio_64", "seconds_64"]
    assert figures["seconds_64"] > figures["seconds_16"] > 0
