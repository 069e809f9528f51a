from PIL import Image

from dfml.ui.inversion.picture_order import (
    Picture,
    caption_of,
    class_name,
    disagreements,
    offered_sorts,
    ordered,
    pictures_of,
    said_of,
)
from dfml.ui.inversion.recoveries import Answer

NAMES = ["bee", "can"]


def picture(position, label, teacher=None, judge=None):
    def answer(given):
        return None if given is None else Answer(given[0], max(given[1], 1 - given[1]), given[1])

    return Picture(position, Image.new("RGB", (4, 4)), label, NAMES[label], answer(teacher), answer(judge))


PICTURES = [
    picture(0, 1, (1, 0.90), (1, 0.60)),
    picture(1, 0, (0, 0.99), (1, 0.30)),
    picture(2, 0, (0, 0.70), (0, 0.80)),
    picture(3, 0, (1, 0.40), (1, 0.20)),
]


def places(sort):
    return [one.position for one in ordered(PICTURES, sort)]


def test_each_order_is_that_of_the_asked_classs_probability():
    assert places("class") == [1, 2, 3, 0]
    assert places("teacher") == [1, 0, 2, 3]
    assert places("judge") == [2, 0, 1, 3]


def test_disagreements_come_first_and_only_they_are_flagged():
    assert places("doubt")[0] == 1
    assert [one.sign for one in PICTURES] == ["right", "wrong", "right", ""]
    assert disagreements(PICTURES).startswith("Teacher and judge") and "1 of 4 pictures" in disagreements(PICTURES)


def test_what_was_not_kept_is_not_offered():
    bare = pictures_of([Image.new("RGB", (4, 4))], [0], NAMES)
    assert offered_sorts(bare) == ["class"] and disagreements(bare) == "" and bare[0].sign == ""
    assert offered_sorts([picture(0, 0, (0, 0.5))]) == ["class", "teacher"]
    assert offered_sorts(PICTURES) == ["class", "teacher", "judge", "doubt"]


def test_words_name_the_class_and_the_probability():
    assert caption_of(PICTURES[1], "class") == "bee"
    assert (caption_of(PICTURES[1], "judge"), caption_of(PICTURES[1], "teacher")) == ("bee 30\u00a0%", "bee 99\u00a0%")
    assert said_of("teacher", PICTURES[1].teacher, PICTURES[1], NAMES) == "teacher: bee, 99 %"
    assert said_of("judge", PICTURES[1].judge, PICTURES[1], NAMES) == "judge: can, 70 %; bee 30 %"
    assert [class_name(NAMES, label) for label in (-1, 0, 7)] == ["–", "bee", "class 7"]
