"""The contact sheet: all pictures of a recovery as one PNG that says by itself what it shows."""

import io
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from dfml.core.texts import printable
from dfml.runs.spec import RunSpec
from dfml.ui.inversion.picture_order import Picture, ordered, recovered_pictures
from dfml.ui.inversion.recoveries import StoredRecovery
from dfml.ui.widgets.galleries import enlarged
from dfml.ui.widgets.texts import percent, with_interval

SIDE, GAP, MARGIN, WIDEST = 72, 6, 20, 20
TITLE, TEXT, SMALL = 22, 15, 12
"""Sizes of the letters."""
INK, QUIET, ALARM = "#10151d", "#5b6674", "#b3301f"
LABEL = 150
"""Pixels for the class names."""


def contact_sheet(recovery: StoredRecovery, spec: RunSpec) -> bytes:
    """Return the PNG: titles, a row a class (several where it has many), and under each picture who is how sure.

    Raises ``BadInput`` as ``StoredRecovery.pictures``.
    """
    pictures = ordered(recovered_pictures(recovery), "class")
    rows = _rows(pictures)
    said = any(one.teacher or one.judge for one in pictures)
    step = SIDE + GAP + (SMALL + 4) * said
    titles = sheet_titles(recovery, spec, pictures)
    top = MARGIN + TITLE + 8 + len(titles[1:]) * (TEXT + 6) + 10
    widest = max((len(row) for row in rows), default=1)
    words = max(_font(TITLE if i == 0 else TEXT).getlength(drawable(line)) for i, line in enumerate(titles))
    width = 2 * MARGIN + max(LABEL + widest * (SIDE + GAP) - GAP, int(words) + 1)
    sheet = Image.new("RGB", (width, top + len(rows) * step + MARGIN - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    y = MARGIN
    for i, line in enumerate(titles):
        draw.text((MARGIN, y), drawable(line), font=_font(TITLE if i == 0 else TEXT), fill=INK if i < 2 else QUIET)
        y += (TITLE + 8) if i == 0 else (TEXT + 6)
    seen: set[int] = set()
    for place, row in enumerate(rows):
        y = top + place * step
        if row[0].label not in seen:
            seen.add(row[0].label)
            draw.text((MARGIN, y + SIDE // 2 - TEXT // 2), _fitting(row[0].name), font=_font(TEXT), fill=INK)
        for column, one in enumerate(row):
            _cell(sheet, draw, one, MARGIN + LABEL + column * (SIDE + GAP), y)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def sheet_titles(recovery: StoredRecovery, spec: RunSpec, pictures: list[Picture]) -> list[str]:
    """Return the lines above the pictures: whose they are, how they were made, what was measured, what signs mean."""
    report = recovery.report
    zoo = str(report.get("zoo") or spec.zoo or "a zoo").rstrip("/").rpartition("/")[2]
    steps = f", {report['steps']} steps" if report.get("steps") else ""
    made = f"Inverter {recovery.method}{steps}, {spec.preset} preset, seed {report.get('seed', spec.seed)}"
    made += f", {spec.created[:10]}" if spec.created else ""
    lines = [f"Recovered from teacher {recovery.teacher} of {zoo}", made]
    if (own := report.get("teacher_accuracy")) is not None:
        judge = report.get("judge_agreement")
        told = "" if judge is None else f", its judge {with_interval(judge, report.get('judge_agreement_ci95'))} %"
        lines.append(f"The teacher sees the asked class in {percent(own)} of them{told}")
    if any(one.teacher and one.judge for one in pictures):
        lines.append("T, J: how sure teacher and judge are of the asked class, in per cent; dashed: they disagree")
    return lines


def _rows(pictures: list[Picture]) -> list[list[Picture]]:
    rows: list[list[Picture]] = []
    for one in pictures:
        if rows and rows[-1][0].label == one.label and len(rows[-1]) < WIDEST:
            rows[-1].append(one)
        else:
            rows.append([one])
    return rows


def _cell(sheet: Image.Image, draw: ImageDraw.ImageDraw, one: Picture, x: int, y: int) -> None:
    large = enlarged(one.image.convert("RGB"), SIDE)
    large.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    sheet.paste(large, (x + (SIDE - large.width) // 2, y + (SIDE - large.height) // 2))
    if one.disagreed:
        for at in range(0, SIDE, 12):
            for line in (
                (x + at, y - 2, x + at + 6, y - 2),
                (x + at, y + SIDE + 1, x + at + 6, y + SIDE + 1),
                (x - 2, y + at, x - 2, y + at + 6),
                (x + SIDE + 1, y + at, x + SIDE + 1, y + at + 6),
            ):
                draw.line(line, fill=ALARM, width=2)
    parts = [f"{sign} {100 * a.asked:.0f}" for sign, a in (("T", one.teacher), ("J", one.judge)) if a]
    draw.text((x + 2, y + SIDE + 4), "  ".join(parts), font=_font(SMALL), fill=ALARM if one.disagreed else QUIET)


def _fitting(name: str) -> str:
    """A class name that is cut where it is too long for its place."""
    name = drawable(name)
    while name and _font(TEXT).getlength(name) > LABEL - 12:
        name = name.removesuffix("…")[:-1] + "…"
    return name


def drawable(text: str) -> str:
    """Return text on one line, with what the letters at hand lack as ``U+732B``: a box would tell nothing."""
    return "".join(char if _has(char) else f"U+{ord(char):04X}" for char in printable(text))


@lru_cache(maxsize=4096)
def _has(char: str) -> bool:
    return char.isspace() or _drawn(char) != _drawn("\ue000")


def _drawn(char: str) -> bytes:
    image = Image.new("L", (2 * TEXT, 2 * TEXT))
    ImageDraw.Draw(image).text((0, 0), char, font=_font(TEXT), fill=255)
    return image.tobytes()


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # The app's own letters, which come with Streamlit; Pillow's know little more than English.
    for file in sorted((Path(st.__file__).parent / "static").rglob("SourceSansVF-Upright*.woff2")):
        with suppress(OSError):
            font = ImageFont.truetype(file, size)
            font.set_variation_by_axes([400])  # their weight; the file opens with the lightest
            return font
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
