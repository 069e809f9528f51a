"""The papers: whole entries, in the words of the pages on the methods, and this software as CITATION.cff tells it."""

import re

import pytest

from dfml.core.papers import LICENCE, PAPERS, SOFTWARE_AUTHORS, SOFTWARE_TITLE, software
from dfml.core.paths import REPOSITORY
from dfml.inversion import INVERTERS
from dfml.meta.calibration import CALIBRATORS
from dfml.meta.learners import LEARNERS
from dfml.methods import METHODS

PAGES = REPOSITORY / "docs" / "methods"
NAMED = {name: registry.get(name) for registry in (METHODS, INVERTERS, CALIBRATORS) for name in registry}


def plain(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower())


@pytest.mark.parametrize("name", NAMED)
def test_what_is_cited_is_what_the_page_names(name):
    if not NAMED[name].__module__.startswith("dfml."):
        return
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    for paper in map(PAPERS.get, NAMED[name].papers):
        family = paper.authors[0].split()[-1]
        assert family in page and plain(paper.title) in plain(page) and str(paper.year) in page


def test_all_that_is_published_is_cited_and_nothing_else_is_known():
    published = [METHODS.get(name) for name in METHODS if METHODS.get(name).role == "method"]
    learners = [LEARNERS.get(name) for name in LEARNERS]
    others = [INVERTERS.get(name) for name in INVERTERS] + [CALIBRATORS.get(name) for name in CALIBRATORS]
    ours = [cls for cls in [*published, *learners, *others] if cls.__module__.startswith("dfml.")]
    assert [cls.name for cls in ours if not cls.papers] == []
    assert {key for cls in [*NAMED.values(), *learners] for key in cls.papers} == set(PAPERS)
    assert {METHODS.get(name).inverter for name in METHODS} - {""} <= set(INVERTERS)


@pytest.mark.parametrize("key", PAPERS)
def test_an_entry_is_whole(key):
    paper = PAPERS[key]
    assert re.fullmatch(rf"{paper.authors[0].split()[-1].lower()}{paper.year}[a-z0-9]+", key)
    assert all(re.fullmatch(r"[A-Z][\w.]*( [A-Z][\w.]*)+", author) for author in paper.authors)
    assert paper.venue or paper.arxiv
    text = paper.bibtex(key)
    kind, rest = re.fullmatch(r"@(\w+)\{([^}].*)\n\}", text, re.S).groups()
    assert kind == ("article" if paper.journal else "inproceedings" if paper.venue else "misc")
    assert rest.startswith(key + ",\n") and text.count("{") == text.count("}") and text.isascii()
    fields = re.findall(r"^  (\w+) = \{(.+)\},$", rest, re.M)
    assert len(fields) == rest.count("\n") and dict(fields)["author"].count(" and ") == len(paper.authors) - 1


def test_the_software_is_what_the_citation_file_tells():
    told = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert SOFTWARE_TITLE in told and SOFTWARE_AUTHORS in told and f"license: {LICENCE}" in told
    entry = software("1.2.3", "f" * 40)
    assert "version = {1.2.3}" in entry and "f" * 40 in entry and "commit" not in software("1.2.3", None)


def test_a_foreign_version_or_commit_ends_no_field_and_no_entry():
    entry = software("1},\n evil = {2}\n}\n@misc{x,", "abc}, note = {\\input{x}\n")
    assert entry.count("\n") == 5 and entry.count("@") == 1 and "\\" not in entry
    assert entry.count("{") == entry.count("}") == 7
    assert "{unknown}" in software("}{", "}") and "commit" not in software("}{", "}")
