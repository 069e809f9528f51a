from dfml.bench.timings import SpeedConfig, bench_speed
from dfml.inversion import INVERTERS


def test_the_ratios_compare_each_command_with_its_bare_passes(tiny_zoo_folder, patterns, tmp_path, monkeypatch):
    pixels = INVERTERS.get("pixels")
    monkeypatch.setattr(pixels, "demo", classmethod(lambda cls: cls.Config(steps=4)))
    asked = {"zoo": str(tiny_zoo_folder), "data": str(patterns), "out": tmp_path, "command": "test", "device": "cpu"}
    found = bench_speed(SpeedConfig(**asked, episodes=2))
    assert len(found["rows"]) == 2
    for row in found["rows"]:
        assert row["seconds"] > 0 and row["reference_seconds"] > 0
        assert row["ratio"] == row["seconds"] / row["reference_seconds"]
    assert "bare passes" in (tmp_path / "speed.md").read_text()
