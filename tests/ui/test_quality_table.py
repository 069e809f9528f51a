from dfml.ui.inversion.frames import curve_title, offered
from dfml.ui.inversion.quality_table import HELP, brief, row_of

REPORT = {
    "seconds": 3.42,
    "passes": 20,
    "queries": 1_010_000,
    "teacher_accuracy": 1.0,
    "judge_agreement": 0.56,
    "judge_agreement_ci95": 0.189,
    "judge_accuracy": 0.732,
    "diversity": 0.159,
    "bn_distance": 17.61,
    "warm_up": {"steps": 4, "seconds": 4.0},
}


def test_a_row_has_every_measure_with_the_interval_and_the_judges_own_accuracy():
    row = row_of("pixels", REPORT)
    assert row["Judge"] == "56.0 ± 18.9 %"
    assert row["Judge on real"] == "73.2 %"
    assert (row["Time"], row["Warm-up"], row["Queries"]) == ("3.4 s", "4.0 s", "1.01 M")
    assert set(row) == {"Inverter", *HELP}


def test_what_an_older_report_lacks_is_left_open():
    row = row_of("pixels", {"seconds": 120})
    assert row["Time"] == "2 min 00 s"
    assert [name for name, value in row.items() if value is None] == [name for name in HELP if name != "Time"]
    assert row_of("pixels", {"warm_up": {"steps": 0, "seconds": 0.0}})["Warm-up"] is None
    assert row_of("pixels", {"judge_agreement": 0.5})["Judge"] == "50.0 %"


def test_short_times_keep_a_digit():
    assert [brief(seconds) for seconds in (0.273, 3.42, 42.0, None)] == ["0.27 s", "3.4 s", "42 s", None]


def test_curves_of_the_recovery_come_before_those_of_the_warm_up():
    curve = ([1, 2], [1.0, 0.5])
    names = offered([{"inversion/bn": curve, "warm-up/ce": curve}, {"inversion/ce": curve, "queries": curve}])
    assert names == ["inversion/ce", "inversion/bn", "warm-up/ce"]
    assert curve_title("warm-up/ce") == "warm-up: cross-entropy"
