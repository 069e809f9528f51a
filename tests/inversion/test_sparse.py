import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dfml.core.errors import BadInput
from dfml.inversion import INVERTERS, terms
from dfml.inversion.sparse import SparseConfig, SparsePictures, cosine_rate
from dfml.nets import build_network
from dfml.zoo.oracles.base import AutogradOracle, LocalApi
from dfml.zoo.oracles.choose import ZerothOrderOracle
from dfml.zoo.oracles.patches import GREY, PatchOracle
from dfml.zoo.teacher import Teacher, TeacherCard
from tests.inversion.small import last, make
from tests.inversion.transformers import SMALL, make_teacher, plain_attention, plain_tokens

TINY = {}
TRANSFORMERS_ONLY = True


def recover(teachers, per_class=2, seed=0, extra_loss=None, **changes):
    oracles = [AutogradOracle(t) for t in teachers]
    config = SparseConfig(keep=0.7).override({"steps": 20, **changes})
    labels = [torch.arange(5).repeat_interleave(per_class)] * len(teachers)
    generator = torch.Generator().manual_seed(seed)
    run = INVERTERS.get("sparse")(config).recover
    return run(oracles, labels, generator=generator, device=torch.device("cpu"), extra_loss=extra_loss)


@pytest.mark.parametrize("kind", ["colour", "average", "grey", "large", "timm"])
def test_each_drop_keeps_the_patches_of_highest_attention(kind):
    teacher = make_teacher(kind)
    config = SparseConfig(keep=0.7, steps=4, drop_at=[0.5], shift=0, flip=False)
    generator = torch.Generator().manual_seed(0)
    pictures = SparsePictures(AutogradOracle(teacher), torch.arange(5), config, generator)
    eye = pictures.eye
    pictures.step(0.1)
    for share in (1.0, 0.7):
        kept = pictures.kept
        assert kept.shape[1] == round(share * eye.count)
        tokens = plain_tokens(teacher.net, teacher.prepare(pictures.images()), kept)
        received = plain_attention(teacher.net, tokens)
        pictures.step(0.1, 1)
        for row in range(5):
            order = received[row].argsort(descending=True)[: round(0.7 * kept.shape[1])]
            assert set(pictures.kept[row].tolist()) == set(kept[row][order].tolist())


def test_tokens_and_work_fall_at_every_drop():
    teacher, work, shares = make_teacher("large"), [], []
    steps = recover([teacher], finish=0)
    for _ in range(20):
        with FlopCounterMode(display=False) as counter:
            shares.append(next(steps).losses["patches"])
        work.append(counter.get_total_flops())
    expected = [1.0] + [101 / 144] + [71 / 144] * 2 + [50 / 144] * 2 + [35 / 144] * 14
    assert shares == pytest.approx(expected)
    for before, after in ((1, 2), (3, 4), (5, 6)):
        assert work[after] < 0.8 * work[before]
    assert work[-2] < 0.27 * work[1] / (101 / 144), "work falls at least as tokens do"


def test_a_step_is_less_work_with_fewer_patches():
    """Counted, not timed: how seconds follow depends on the processor and on who else uses it."""
    from torch.utils.flop_counter import FlopCounterMode

    net = build_network("fewshot_vit", width=64, depth=2)
    card = TeacherCard(id="a", architecture="fewshot_vit", way=5, input_size=(3, 32, 32), mean=[0.5], std=[0.25])
    config = SparseConfig(keep=0.7, shift=0)
    labels = torch.arange(5).repeat(8)
    pictures = SparsePictures(AutogradOracle(Teacher(card, net)), labels, config, torch.Generator().manual_seed(0))

    def work():
        with FlopCounterMode(display=False) as counter:
            pictures.step(0.1)
        return counter.get_total_flops()

    whole = work()
    pictures.step(0.1, 4)
    assert pictures.kept.shape[1] == 15
    assert 0 < work() < 0.3 * whole


def test_what_has_left_is_grey_for_good_and_what_is_left_moves_on():
    teacher = make_teacher()
    steps = list(recover([teacher], drop_at=[0.3, 0.5], shift=0))
    eye = PatchOracle(AutogradOracle(teacher))
    cut = [eye.split(step.images) for step in steps]
    gone = [(p == GREY).flatten(2).all(2) for p in cut]
    assert [int(g.sum(1).max()) for g in gone] == [int(g.sum(1).min()) for g in gone]
    assert [int(g[0].sum()) for g in gone] == [0] * 5 + [19] * 4 + [33] * 11
    for before, after in zip(gone, gone[1:], strict=False):
        assert (before <= after).all(), "nothing comes back"
    moved = (cut[19] != cut[9]).flatten(2).any(2)
    assert torch.equal(moved, ~gone[9])


def test_adam_remembers_the_patches_that_stay():
    pictures = SparsePictures(
        AutogradOracle(make_teacher()), torch.arange(5), SparseConfig(keep=0.7, shift=0, flip=False), torch.Generator()
    )
    for _ in range(3):
        pictures.step(0.1)
    twin = copy.deepcopy(pictures.adam.state[pictures.patches]["exp_avg"])
    kept, rows = pictures.kept, torch.arange(5)[:, None]
    pictures._drop(torch.rand(5, 64), 1)
    state = pictures.adam.state[pictures.patches]
    assert torch.equal(state["exp_avg"], twin[rows, pictures.kept]) and int(state["step"]) == 3
    assert pictures.patches.is_leaf and pictures.patches.shape[:2] == pictures.kept.shape == (5, 45)
    assert kept.shape == (5, 64)


def test_patches_are_shifted_only_until_the_first_drop():
    teacher = make_teacher()
    pictures = SparsePictures(
        AutogradOracle(teacher), torch.arange(5), SparseConfig(keep=0.7, flip=False), torch.Generator()
    )
    plain = pictures.eye.split(pictures.images())
    moved = [not torch.equal(pictures._jittered(still=False)[0], plain) for _ in range(8)]
    assert sum(moved) >= 5
    seen, where = pictures._jittered(still=True)
    assert seen is pictures.patches and where is pictures.kept
    pictures.step(0.1, 1)
    assert all(pictures._jittered(still=False)[0] is pictures.patches for _ in range(4))


@pytest.fixture(scope="module")
def vit_zoo(patterns, tmp_path_factory):
    from dfml.zoo import open_zoo
    from dfml.zoo.build.pretrain import PretrainConfig, pretrain_zoo

    out = tmp_path_factory.mktemp("zoos") / "vit"
    config = PretrainConfig(models=1, way=5, epochs=20, batch=32, lr=0.04, width=16, flip=False, shift=0, seed=1)
    (accuracy,) = pretrain_zoo(patterns, out, ["fewshot_vit"], config)
    assert accuracy > 0.6, "a vision transformer is trained like any other teacher"
    return open_zoo(out)


@pytest.mark.stochastic
def test_the_own_teacher_sees_what_was_asked_for_in_the_patches_that_are_left(vit_zoo, margin):
    from tests.inversion.one_teacher import invert_teacher

    config = SparseConfig(keep=0.7).override({"steps": 60})
    recovery = list(invert_teacher(vit_zoo, 0, "sparse", config, per_class=4))[-1].result
    task, teacher = recovery.task, vit_zoo.teacher(0)
    eye = PatchOracle(AutogradOracle(teacher))
    cut = eye.split(task.images)
    kept = (cut != GREY).flatten(2).any(2)
    assert kept.sum(1).tolist() == [15] * 20 and task.cost["patches"] == 15 / 64
    places = torch.stack([row.nonzero().squeeze(1) for row in kept])
    logits = eye.look(cut[torch.arange(20)[:, None], places], places).logits
    accuracy = float((logits.argmax(1) == task.labels).float().mean())
    margin.at_least("as asked", accuracy, 0.95, null=1)
    assert task.cost["sparse_accuracy"] == pytest.approx(accuracy)
    # The targets are answers about the pictures as they are handed on, grey patches included.
    torch.testing.assert_close(task.soft_targets, teacher.logits(task.images), atol=1e-4, rtol=1e-4)
    assert task.images.min() >= 0 and task.images.max() <= 1
    assert task.cost["passes"] == 60 and task.cost["queries"] == 60 * 20 + 20


def test_a_seed_gives_the_same_bytes_whatever_teachers_stand_beside():
    teachers = [make_teacher(), make_teacher("grey")]
    alone, again, other = (list(recover(teachers[:1], seed=s))[-1].tasks[0].images for s in (0, 0, 1))
    last = list(recover(teachers))[-1]
    assert torch.equal(alone, again) and not torch.equal(alone, other)
    assert torch.equal(alone, last.tasks[0].images)
    assert last.images.shape == (20, 3, 32, 32) and last.tasks[1].images.shape == (10, 1, 28, 28)
    assert [t.teacher_id for t in last.tasks] == ["colour", "grey"]


@pytest.mark.stochastic
def test_the_loss_falls(vit_zoo, margin):
    steps = list(recover([vit_zoo.teacher(0)], steps=40, finish=0))
    margin.at_most("cross-entropy", steps[-1].losses["ce"] / steps[0].losses["ce"], 0.6)
    margin.at_least("as asked", steps[-1].losses["teacher_accuracy"], 0.9, null=1)
    margin.at_most("as asked before", steps[0].losses["teacher_accuracy"], 0.6, null=1)


@pytest.mark.parametrize("stop_after", [1, 3, 20])
def test_the_teacher_is_the_same_bytes_even_when_stopped_half_way(stop_after):
    teacher = make_teacher()

    def everything():
        named = [*teacher.net.named_parameters(), *teacher.named_buffers()]
        bytes_ = {name: (t.detach().numpy().tobytes(), t.requires_grad, t.grad, id(t)) for name, t in named}
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        hooks = [len(getattr(m, kind)) for m in teacher.modules() for kind in kinds]
        own = [(id(m), m.training, sorted(k for k in vars(m) if k not in kinds)) for m in teacher.modules()]
        return bytes_, hooks, own

    AutogradOracle(teacher)
    before = everything()
    steps = recover([teacher])
    for _ in range(stop_after):
        next(steps)
    steps.close()
    assert everything() == before


@pytest.mark.stochastic
def test_a_disagreement_term_is_asked_about_the_pictures_that_the_teacher_sees(margin):
    calls = []

    def darker(images, labels, logits):
        calls.append((images.shape, labels.shape, logits.shape, images.requires_grad, logits.requires_grad))
        return 50 * images.mean((1, 2, 3))

    dark = list(recover([make_teacher()], extra_loss=darker))[-1].images
    plain = list(recover([make_teacher()]))[-1].images
    assert calls == [((10, 3, 32, 32), (10,), (10, 5), True, True)] * 20
    margin.at_least("darker", plain.mean() - dark.mean(), 0.05)


def test_smoothness_counts_pairs_of_shown_pixels_only():
    x = torch.rand(2, 3, 12, 12)
    everything = torch.ones(2, 1, 12, 12, dtype=torch.bool)
    torch.testing.assert_close(terms.total_variation(x, everything), terms.total_variation(x))
    left = everything.clone()
    left[..., 6:] = False
    torch.testing.assert_close(terms.total_variation(x, left), terms.total_variation(x[..., :6]))
    y = x.clone()
    y[..., 6:] = torch.rand(2, 3, 12, 6)
    assert terms.total_variation(y, left) == terms.total_variation(x, left)


def test_every_drop_of_the_presets_happens():
    demo, paper = (INVERTERS.get("sparse").preset(name) for name in ("demo", "paper"))
    assert paper.drops() == {50: 1, 100: 1, 200: 1, 300: 1} and paper.steps == 4000
    assert demo.drops() == {10: 1, 20: 1, 40: 1, 60: 1}
    assert SparseConfig(keep=0.7, steps=5).drops() == {1: 3, 2: 1}, "short runs drop several times at once"
    assert SparseConfig(keep=0.7, steps=1).drops() == {}
    assert cosine_rate(0.1, 1, 200) == pytest.approx(0.1) and 0.005 < cosine_rate(0.1, 200, 200) < 0.0051


@pytest.mark.parametrize("value", ["[0.5, 1.5]", "[0]", "[-1]", "often"])
def test_drops_outside_the_run_are_one_clear_line(value):
    with pytest.raises(BadInput, match="drop_at") as caught:
        SparseConfig(keep=0.7).override([f"drop_at={value}"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("steps", [1, 2])
def test_one_patch_and_few_steps_are_enough(steps):
    name, args = "fewshot_vit", {**SMALL, "patch_size": 32}
    card = TeacherCard(id="a", architecture=name, way=5, input_size=(3, 32, 32), mean=[0.5], std=[0.25])
    last = list(recover([Teacher(card, build_network(name, **args))], steps=steps))[-1]
    assert last.step == steps and last.tasks[0].cost["patches"] == 1.0


@pytest.mark.parametrize(
    ("kind", "card", "says"),
    [
        ("fewshot_conv4", {}, "no vision transformer"),
        ("fewshot_resnet10", {}, "no vision transformer"),
        ("colour", {"access": "gradients"}, "needs its weights"),
        ("grey", {"input_size": (1, 32, 32)}, "its positions are for"),
    ],
)
def test_other_teachers_are_refused_in_one_clear_line(kind, card, says):
    with pytest.raises(BadInput, match=says) as caught:
        next(recover([make_teacher(kind, **card)]))
    assert "\n" not in str(caught.value) and repr(kind) in str(caught.value)


def test_sparse_names_a_teacher_that_is_no_transformer(tiny_zoo):
    with pytest.raises(BadInput):
        last(make("sparse"), [AutogradOracle(tiny_zoo.teacher(0))])


def test_a_teacher_that_only_answers_queries_is_refused():
    oracle = ZerothOrderOracle(LocalApi(make_teacher()), generator=torch.Generator())
    run = INVERTERS.get("sparse")().recover
    with pytest.raises(BadInput, match="only answers queries"):
        next(run([oracle], [torch.arange(5)], generator=torch.Generator(), device=torch.device("cpu")))


def test_the_last_steps_show_the_grey_patches_too(monkeypatch):
    sizes, look = [], PatchOracle.look

    def spy(eye, patches, kept, **options):
        sizes.append((patches.shape[1], kept.shape[1]))
        return look(eye, patches, kept, **options)

    monkeypatch.setattr(PatchOracle, "look", spy)
    steps = list(recover([make_teacher()], finish=0.25))
    assert [a for a, _ in sizes[:20]] == [64, 45, 31, 31, 22, 22] + [15] * 9 + [64] * 5
    assert all(a == b for a, b in sizes)
    assert [step.losses["patches"] for step in steps[14:]] == [15 / 64] * 6, "grey patches do not come back"
    eye = PatchOracle(AutogradOracle(make_teacher()))
    gone = [(eye.split(s.images) == GREY).flatten(2).all(2) for s in (steps[13], steps[19])]
    assert torch.equal(*gone)


def test_patches_drop_by_their_own_attention_while_grey_ones_are_seen():
    """A mirrored picture too: its patches stand elsewhere than they lie."""
    teacher = make_teacher("colour")
    config = SparseConfig(keep=0.7, steps=4, drop_at=[0.5], shift=0, flip=True)
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        pictures = SparsePictures(AutogradOracle(teacher), torch.arange(5), config, generator)
        pictures.step(0.1, 1)
        kept, eye = pictures.kept, pictures.eye
        whole = pictures.images()
        mirrored = _mirrors(generator)
        shown = whole.flip(-1) if mirrored else whole
        everywhere = torch.arange(eye.count).expand(5, -1)
        received = plain_attention(teacher.net, plain_tokens(teacher.net, teacher.prepare(shown), everywhere))
        pictures.step(0.1, 1, whole=True)
        places = eye.mirrored(kept) if mirrored else kept
        for row in range(5):
            best = received[row][places[row]].argsort(descending=True)[: pictures.kept.shape[1]]
            assert set(pictures.kept[row].tolist()) == set(kept[row][best].tolist())


def _mirrors(generator):
    """Whether the next step mirrors; draws nothing of the generator itself."""
    ahead = torch.Generator()
    ahead.set_state(generator.get_state())
    return terms.draw_jitter(3, 0, True, ahead).mirrored
