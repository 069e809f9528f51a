import itertools
import re
import tomllib
from pathlib import Path

import pytest

from dfml.core.paths import REPOSITORY
from dfml.ui.charts.figures import DARK, LIGHT, translucent
from dfml.ui.widgets.metrics import CHIPS, chip
from dfml.ui.widgets.navigation import SMALL_LOGO
from dfml.ui.widgets.sidebar import LOGO
from dfml.ui.zoo import model_files

CONFIG = tomllib.loads((REPOSITORY / ".streamlit" / "config.toml").read_text(encoding="utf-8"))


def linear(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def luminance(colour):
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_charts_and_streamlit_use_the_same_colours(name, palette):
    theme = CONFIG["theme"][name]
    assert tuple(theme["chartCategoricalColors"]) == palette.series
    assert theme["textColor"] == palette.text


def grounds(name):
    """The colours behind words: of the page, of the boxes on it, of the sidebar."""
    theme = CONFIG["theme"][name]
    return theme["backgroundColor"], theme["secondaryBackgroundColor"], theme["sidebar"]["backgroundColor"]


def over(colour, ground, opacity):
    """What is seen of a colour that lets its ground through."""
    pairs = zip(*([int(each[i : i + 2], 16) for i in (1, 3, 5)] for each in (colour, ground)), strict=True)
    return "#" + "".join(f"{round(opacity * front + (1 - opacity) * back):02x}" for front, back in pairs)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_words_have_the_contrast_of_wcag_aa(name):
    theme = CONFIG["theme"][name]
    words = [theme["textColor"], *(theme[f"{one}Color"] for one in "link orange green violet red gray blue".split())]
    for ground in grounds(name):
        assert min(contrast(word, ground) for word in words) >= 4.5
        assert contrast(over(theme["textColor"], ground, 0.6), ground) >= 4.5, "a caption"
        # What is no text, but has to be seen: the edge of a field, a button.
        assert min(contrast(theme[f"{one}Color"], ground) for one in ("border", "primary")) >= 3
    assert contrast("#ffffff", theme["primaryColor"]) >= 4.5


@pytest.mark.parametrize(("name", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_colours_stand_out_from_the_ground(name, palette):
    assert contrast(palette.text, CONFIG["theme"][name]["backgroundColor"]) >= 7
    assert min(contrast(colour, ground) for colour in palette.series for ground in grounds(name)) >= 3


@pytest.mark.parametrize("logo", [SMALL_LOGO, LOGO])
@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_logo_is_seen_in_the_sidebar(logo, name):
    colours = set(re.findall(r"#[0-9a-f]{6}", Path(logo).read_text(encoding="utf-8")))
    assert min(contrast(colour, grounds(name)[-1]) for colour in colours) >= 3


@pytest.mark.parametrize("name", ["light", "dark"])
def test_a_scale_of_colours_rises_or_falls_all_the_way(name):
    scale = [luminance(colour) for colour in CONFIG["theme"][name]["chartSequentialColors"]]
    assert len(scale) == 10
    assert scale == sorted(scale, reverse=name == "light")


# Viénot, Brettel, Mollon 1999: what is left of linear RGB without the red or the green cones.
BLINDNESS = {
    "protanopia": ((0.1124, 0.8876, 0.0), (0.1124, 0.8876, 0.0), (0.004, -0.004, 1.0)),
    "deuteranopia": ((0.2928, 0.7072, 0.0), (0.2928, 0.7072, 0.0), (-0.0223, 0.0223, 1.0)),
}


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_all_series_stay_apart_without_red_or_green_cones(blindness, palette):
    def seen(colour):
        return [sum(w * p for w, p in zip(row, linear(colour), strict=True)) for row in BLINDNESS[blindness]]

    for one, other in itertools.combinations(palette.series, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen(one), seen(other), strict=True)) ** 0.5
        assert distance > 0.09, (one, other)


def test_server_is_private_and_quiet():
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["server"]["enableXsrfProtection"] is True
    assert CONFIG["server"]["enableCORS"] is True
    assert CONFIG["server"]["maxUploadSize"] == model_files.MEGABYTES
    assert CONFIG["browser"]["gatherUsageStats"] is False


def test_every_state_has_its_own_word_and_an_unknown_one_is_named():
    assert len({look.word for look in CHIPS.values()}) == len(CHIPS)
    assert chip("dreaming").word == "dreaming"


def test_translucent():
    assert translucent("#0072b2", 0.5) == "rgba(0, 114, 178, 0.5)"


def test_the_weights_of_headings_are_ones_that_streamlit_takes():
    assert all(100 <= weight <= 900 and weight % 50 == 0 for weight in CONFIG["theme"]["headingFontWeights"])
