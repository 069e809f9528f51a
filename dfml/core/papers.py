"""The papers that methods, inverters, calibrators and learners come from, and this software, as BibTeX entries.

The registered classes name theirs by key (``papers``); the pages in ``docs/methods`` say what was taken from which.
"""

import re
from dataclasses import dataclass

SOFTWARE_TITLE = "DFML Studio: data-free meta-learning from a zoo of trained classifiers"
SOFTWARE_AUTHORS = "The DFML Studio contributors"
LICENCE = "Apache-2.0"

_ICML, _NEURIPS = (
    "International Conference on Machine Learning (ICML)",
    "Advances in Neural Information Processing Systems",
)
_CVPR = "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)"
_ICCV = "IEEE/CVF International Conference on Computer Vision (ICCV)"


@dataclass(frozen=True)
class Paper:
    """One published work.

    Attributes:
        title: As printed; words in braces keep their capitals.
        authors: ``Given Family``, in order.
        venue: Of the proceedings or the journal; empty for a preprint.
        year: Of publication.
        arxiv: Number of a preprint.
        journal: Whether the venue is a journal.
        pages: ``first--last``, where known.
    """

    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    arxiv: str = ""
    journal: bool = False
    pages: str = ""

    def bibtex(self, key: str) -> str:
        """The entry under a key."""
        where = "journal" if self.journal else "booktitle"
        fields = {"title": self.title, "author": " and ".join(self.authors), "year": str(self.year)}
        fields |= {where: self.venue} if self.venue else {}
        fields |= {"pages": self.pages} if self.pages else {}
        fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv"} if self.arxiv else {}
        kind = "article" if self.journal else "inproceedings" if self.venue else "misc"
        return _entry(kind, key, fields)


def software(version: str, commit: str | None) -> str:
    """The entry of this software, as ``CITATION.cff`` tells it, in the version and commit of a run.

    Of these, which a file of somebody else may have told, only letters, digits and ``.+-_`` are kept.
    """
    version, commit = (re.sub(r"[^\w.+-]", "", told, flags=re.ASCII) for told in (version, commit or ""))
    fields = {"title": f"{{{SOFTWARE_TITLE}}}", "author": f"{{{SOFTWARE_AUTHORS}}}", "version": version or "unknown"}
    note = f"Licence {LICENCE}" + (f", commit {commit}" if commit else "")
    return _entry("misc", "dfml-studio", {**fields, "note": note})


def _entry(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


PAPERS: dict[str, Paper] = {
    "wang2022dro": Paper(
        "Meta-Learning without Data via {Wasserstein} Distributionally-Robust Model Fusion",
        ("Zhenyi Wang", "Xiaoyang Wang", "Li Shen", "Qiuling Suo", "Kaiqiang Song", "Dong Yu", "Yan Shen",
         "Mingchen Gao"),
        "Conference on Uncertainty in Artificial Intelligence (UAI)", 2022, pages="2045--2055",
    ),
    "hu2023purer": Paper(
        "Architecture, Dataset and Model-Scale Agnostic Data-Free Meta-Learning",
        ("Zixuan Hu", "Li Shen", "Zhenyi Wang", "Tongliang Liu", "Chun Yuan", "Dacheng Tao"),
        _CVPR, 2023, pages="7736--7745",
    ),
    "hu2023bidf": Paper(
        "Learning to Learn from {APIs}: Black-Box Data-Free Meta-Learning",
        ("Zixuan Hu", "Li Shen", "Zhenyi Wang", "Baoyuan Wu", "Chun Yuan", "Dacheng Tao"),
        _ICML, 2023, pages="13610--13627",
    ),
    "hu2025teapot": Paper(
        "Task-Distributionally Robust Data-Free Meta-Learning",
        ("Zixuan Hu", "Yongxian Wei", "Li Shen", "Zhenyi Wang", "Baoyuan Wu", "Chun Yuan", "Dacheng Tao"),
        "IEEE Transactions on Pattern Analysis and Machine Intelligence", 2025, arxiv="2311.14756", journal=True,
    ),
    "wei2024free": Paper(
        "{FREE}: Faster and Better Data-Free Meta-Learning",
        ("Yongxian Wei", "Zixuan Hu", "Zhenyi Wang", "Li Shen", "Chun Yuan", "Dacheng Tao"),
        _CVPR, 2024,
    ),
    "wei2024tgr": Paper(
        "Task Groupings Regularization: Data-Free Meta-Learning with Heterogeneous Pre-trained Models",
        ("Yongxian Wei", "Zixuan Hu", "Li Shen", "Zhenyi Wang", "Yu Li", "Chun Yuan", "Dacheng Tao"),
        _ICML, 2024,
    ),
    "hu2024sparse": Paper(
        "Sparse Model Inversion: Efficient Inversion of Vision Transformers for Data-Free Applications",
        ("Zixuan Hu", "Yongxian Wei", "Li Shen", "Zhenyi Wang", "Lei Li", "Chun Yuan", "Dacheng Tao"),
        _ICML, 2024, arxiv="2510.27186",
    ),
    "yin2020deepinversion": Paper(
        "Dreaming to Distill: Data-free Knowledge Transfer via {DeepInversion}",
        ("Hongxu Yin", "Pavlo Molchanov", "Jose M. Alvarez", "Zhizhong Li", "Arun Mallya", "Derek Hoiem",
         "Niraj K. Jha", "Jan Kautz"),
        _CVPR, 2020, pages="8715--8724",
    ),
    "fang2022up": Paper(
        "Up to 100x Faster Data-Free Knowledge Distillation",
        ("Gongfan Fang", "Kanya Mo", "Xinchao Wang", "Jie Song", "Shitao Bei", "Haofei Zhang", "Mingli Song"),
        "AAAI Conference on Artificial Intelligence", 2022, pages="6597--6604",
    ),
    "singh2020fusion": Paper(
        "Model Fusion via Optimal Transport", ("Sidak Pal Singh", "Martin Jaggi"), _NEURIPS, 2020,
    ),
    "baradad2021noise": Paper(
        "Learning to See by Looking at Noise",
        ("Manel Baradad", "Jonas Wulff", "Tongzhou Wang", "Phillip Isola", "Antonio Torralba"), _NEURIPS, 2021,
    ),
    "hinton2015distilling": Paper(
        "Distilling the Knowledge in a Neural Network", ("Geoffrey Hinton", "Oriol Vinyals", "Jeff Dean"), "", 2015,
        arxiv="1503.02531",
    ),
    "achille2019task2vec": Paper(
        "{Task2Vec}: Task Embedding for Meta-Learning",
        ("Alessandro Achille", "Michael Lam", "Rahul Tewari", "Avinash Ravichandran", "Subhransu Maji",
         "Charless C. Fowlkes", "Stefano Soatto", "Pietro Perona"),
        _ICCV, 2019,
    ),
    "nichol2018first": Paper(
        "On First-Order Meta-Learning Algorithms", ("Alex Nichol", "Joshua Achiam", "John Schulman"), "", 2018,
        arxiv="1803.02999",
    ),
    "khosla2020supervised": Paper(
        "Supervised Contrastive Learning",
        ("Prannay Khosla", "Piotr Teterwak", "Chen Wang", "Aaron Sarna", "Yonglong Tian", "Phillip Isola",
         "Aaron Maschinot", "Ce Liu", "Dilip Krishnan"),
        _NEURIPS, 2020,
    ),
    "finn2017maml": Paper(
        "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks",
        ("Chelsea Finn", "Pieter Abbeel", "Sergey Levine"), _ICML, 2017, pages="1126--1135",
    ),
    "raghu2020anil": Paper(
        "Rapid Learning or Feature Reuse? {Towards} Understanding the Effectiveness of {MAML}",
        ("Aniruddh Raghu", "Maithra Raghu", "Samy Bengio", "Oriol Vinyals"),
        "International Conference on Learning Representations (ICLR)", 2020,
    ),
    "snell2017prototypical": Paper(
        "Prototypical Networks for Few-shot Learning", ("Jake Snell", "Kevin Swersky", "Richard Zemel"), _NEURIPS, 2017,
    ),
}  # fmt: skip
"""By key: family name of the first author, year, and a word."""
