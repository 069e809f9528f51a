import pytest

from dfml.bench.dro_protocol import bench_dro, check_protocol, protocol_table
from dfml.core.errors import BadInput


def test_it_trains_zoos_fuses_them_and_prints_both_tables(patterns, tmp_path, monkeypatch):
    from dfml.bench import dro_protocol

    monkeypatch.setattr(dro_protocol, "SHOTS", (2,))
    wanted = {
        "data": str(patterns), "out": tmp_path / "out", "work": tmp_path / "work", "command": "python -m dfml bench",
        "ways": (5,), "models": 3, "epochs": 1, "episodes": 2, "changes": ["test_steps=2", "epochs=2"],
    }  # fmt: skip
    found = bench_dro(**wanted)
    methods = {row["method"] for row in found["rows"]}
    assert {"random", "average", "ota", "dro", "dro online"} == methods
    assert {(row["way"], row["shots"]) for row in found["rows"]} == {(5, 2)}
    text = (tmp_path / "out" / f"dro-protocol-{patterns.name}-demo.md").read_text()
    assert "dro, online" in text and "average (VA)" in text and "16 filters" in text
    # Zoo and runs are taken as they are.
    stamp = (tmp_path / "work" / "zoo-5-way" / "000" / "model.safetensors").stat().st_mtime_ns
    again = bench_dro(**wanted)
    assert (tmp_path / "work" / "zoo-5-way" / "000" / "model.safetensors").stat().st_mtime_ns == stamp
    pick = ("method", "bn", "adapt", "accuracy")
    assert [[r[k] for k in pick] for r in again["rows"]] == [[r[k] for k in pick] for r in found["rows"]]


def test_the_published_numbers_stand_beside_ours():
    row = {
        "method": "dro",
        "way": 5,
        "shots": 10,
        "adapt": "steps",
        "bn": "transductive",
        "accuracy": 0.5,
        "ci95": 0.01,
    }
    table = protocol_table([row], {"dro": {(5, 10): (50.42, 1.5)}})
    assert "| dro, offline | 50.42 ± 1.5 | 50.00 ± 1.00 | – |" in table
    assert "| dro, offline | – | 50.00 ± 1.00 | – |" in protocol_table([row], {})


@pytest.mark.parametrize(
    ("protocol", "data", "says"),
    [
        ("dor", ["d"], "Did you mean 'dro'"),
        ("dro", ["a", "b"], "give one folder"),
        ("dro", ["sample:cifar-fs"], "give one folder"),
    ],
)
def test_what_it_cannot_do_is_said(protocol, data, says):
    with pytest.raises(BadInput, match=says):
        check_protocol(protocol, data)
