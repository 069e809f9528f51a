"""DRO: distributionally robust model fusion (Wang et al., UAI 2022).

f_phi: affine hyper-network; e_i: learned embedding of teacher i; theta_i: weights of teacher i;
log P(theta | f_phi(e)) = -||theta - f_phi(e)||^2 / sigma^2.
Offline (Algorithm 1), EN epochs of N steps, the N teachers split into S and Q:
1. Sample teacher i from S; phi* <- phi after K ascent steps on log P(theta_i | f_phi(e_i)).
2. Sample teacher j from Q; e* <- e_j after descent steps on
   log P(theta_j | f_phi*(e)) + gamma * ||e_j - e||^2.
3. phi <- one ascent step on log P(theta_j | f_phi*(e*)), gradient at phi* and e* (first order).
Online (Algorithm 2), teacher t = 1 .. N arrives, is used once and is gone:
   Steps 2 and 3 with j = t at the phi* of teacher t - 1, then step 1 with i = t.
Meta-test (Algorithm 3):
4. theta_init = f_phi(mean of all e_i), adapted to a new task by gradient steps.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dfml.core.errors import BadInput
from dfml.core.events import Done, Event
from dfml.training.fusing import fused, in_one_order, said_of_inputs
from dfml.training.method import METHODS, Method
from dfml.training.options import WatchedConfig
from dfml.training.refusals import need_two
from dfml.training.taking_part import UNUSABLE, Missed, read_teacher, read_teachers, rejected, with_weights
from dfml.zoo.zoo import Zoo

if TYPE_CHECKING:
    import torch

    from dfml.meta.fusion import WeightSpace
    from dfml.meta.robust_fusion import RobustFusion
    from dfml.training.context import Training


class DroConfig(WatchedConfig):
    """Options of DRO model fusion."""

    mode: Literal["offline", "online"] = Field(
        "offline", description="All teachers at hand for many epochs, or each seen once, in the zoo's order."
    )
    head: Literal["fresh", "average"] = Field(
        "fresh", description="Last layer: fresh weights, or fused too, though heads' slots mean different classes."
    )
    align: Literal["none", "ota"] = Field(
        "none", description="Put all teachers' units into the order of the first one's, as ota does (ours, offline)."
    )
    start: Literal["random", "zero"] = Field(
        "random", description="What the hyper-network writes at first: a fresh network, or each tensor's mean."
    )
    embedding: int = Field(50, ge=1, le=1000, description="Numbers in the embedding of a task.")
    epochs: int = Field(10, ge=1, le=10_000, description="Epochs of as many steps as there are teachers (offline).")
    held_out: float = Field(0.2, gt=0, lt=1, description="Share of the teachers that validate, Q (offline).")
    resplit: bool = Field(False, description="Draw the shares S and Q anew in each epoch (offline).")
    ascent_steps: int = Field(1, ge=1, le=100, description="K: steps of the hyper-network towards a teacher of S.")
    descent_steps: int = Field(1, ge=0, le=100, description="Steps of an embedding towards its worst case.")
    gamma: float = Field(2.0, ge=0, le=1000, description="Price of moving an embedding: keeps the worst case near.")
    lr: float = Field(0.03, gt=0, le=0.5, description="Learning rate of the hyper-network, in units of sigma^2.")
    fit: float | None = Field(
        None, gt=0, lt=1, description="Share of the way from the first network to the teachers' mean; replaces lr."
    )
    embedding_lr: float = Field(0.03, gt=0, le=100, description="Learning rate of the embeddings.")


def draw_shares(count: int, config: DroConfig, generator: torch.Generator) -> list[tuple[list[int], list[int]]]:
    """S and Q of each epoch: positions of the teachers to learn from and of those that validate."""
    import torch

    cut = min(max(1, round(config.held_out * count)), count - 1)
    orders = [torch.randperm(count, generator=generator).tolist() for _ in range(config.epochs)]
    return [(order[cut:], order[:cut]) for order in (orders if config.resplit else orders[:1] * config.epochs)]


def algorithm_1(
    fusion: RobustFusion,
    networks: Sequence[torch.Tensor] | torch.Tensor,
    shares: list[tuple[list[int], list[int]]],
    generator: torch.Generator,
    done: int = 0,
) -> Iterator[tuple[int, dict[str, float]]]:
    """The offline loop; yields each step's number and what it saw.

    ``fusion`` has met all teachers, whose standardised weights [D] are ``networks``; ``generator`` draws from each
    epoch's ``shares``, S and Q; ``done`` steps were taken before.
    """
    import torch

    def pick(positions: list[int]) -> int:
        return positions[int(torch.randint(len(positions), (), generator=generator))]

    for step in range(done + 1, len(shares) * len(networks) + 1):
        s, q = shares[(step - 1) // len(networks)]
        i, j = pick(s), pick(q)
        # 1. phi* <- phi after K steps towards teacher i of S.
        fusion.ascend(i, networks[i])
        # 2. e* <- the worst case near e_j.
        worst = fusion.worst_case(j, networks[j])
        # 3. phi <- one step towards teacher j of Q, at phi* and e*.
        yield step, fusion.update(worst, j, networks[j])


@METHODS.register("dro")
class Dro(Method):
    """Distributionally robust fusion of teachers of one architecture, offline (Alg. 1) or online (Alg. 2)."""

    title = "DRO model fusion"
    summary = "A hyper-network learns to write the teachers' weights, robust to shifted tasks; no images."
    reference = "Wang et al., Meta-learning without data via Wasserstein distributionally-robust model fusion, UAI 2022"
    space = "parameter"
    one_architecture = True
    long = True
    papers = ("wang2022dro",)
    variants: ClassVar = {"online": ["mode=online"]}
    Config = DroConfig

    @classmethod
    def demo(cls) -> DroConfig:
        """Fitted half-way; every teacher validates at some time; gamma acts (it cannot in one descent step)."""
        return DroConfig(epochs=3, fit=0.6, resplit=True, descent_steps=5, validate_every=60)

    @classmethod
    def published(cls) -> DroConfig:
        """The published learning rates, steps, gamma and split, all layers fused; the epochs of its toy regression."""
        return DroConfig(epochs=3, head="average")

    paper = published  # it takes seconds as it is

    @classmethod
    def check_zoo(cls, zoo: Zoo, config: DroConfig) -> None:
        """Two teachers or more of the architecture; see ``Method.check_zoo``."""
        if config.mode == "online" and config.align != "none":
            raise BadInput("dro: align=ota wants an earlier teacher to align to, and online none stays: mode=offline.")
        fused(zoo, config, cls.name, head=config.head == "average", least=2)

    def train(self, training: Training) -> Iterator[Event]:
        """Run Algorithm 1 or 2; see ``Method.train``."""
        self.check_zoo(training.zoo, self.config)
        from dfml.meta.fusion import WeightSpace
        from dfml.meta.learners import HEAD
        from dfml.nets.hyper import AffineHyperNetwork

        cfg, head = self.config, self.config.head == "average"
        training, own = training.fusing(self.name, cfg, head=head, least=2)
        model = training.untaught(self.name, own)
        hyper = AffineHyperNetwork({n: p for n, p in model.net.named_parameters() if head or not n.startswith(HEAD)})
        space = WeightSpace(model, hyper, head, training.device)
        fusion = yield from (self.offline if cfg.mode == "offline" else self.online)(training, space)
        # 4. The network of the mean embedding.
        space.fill(model, fusion.initialisation())
        yield Done(model.to(training.device))

    def offline(self, training: Training, space: WeightSpace) -> Generator[Event, None, RobustFusion]:
        """Algorithm 1: all teachers at hand, S to learn from and Q to validate."""
        from dfml.meta.robust_fusion import RobustFusion
        from dfml.training.fusion_record import FusionRecord

        cfg: DroConfig = self.config
        zoo, generator = training.zoo, training.generator
        teachers, taking_part = yield from read_teachers(zoo)
        yield from said_of_inputs([teacher.card for teacher in teachers])
        space.model.details |= taking_part.details()
        need_two(len(teachers), zoo, self.name)
        nets = [teacher.net for teacher in teachers]
        if cfg.align == "ota":
            nets = yield from in_one_order(teachers, 0, space.model, "dro")
        networks = space.networks(nets, [f"dro: teacher {teacher.card.id}" for teacher in teachers])
        fusion = RobustFusion(cfg, space.first_network(cfg.start), cfg.epochs * len(teachers))
        for _ in teachers:
            fusion.meet(generator)
        shares = draw_shares(len(teachers), cfg, generator)
        total = cfg.epochs * len(teachers)
        record = FusionRecord(training, cfg, space, total, fusion)
        left = record.restore(training.state)
        for step, seen in algorithm_1(fusion, networks, shares, generator, left.start - 1):
            task = f"teacher {teachers[fusion.asked[0]].card.id}", fusion.asked[1]
            yield from record.events(step, seen, "fusing", task)
        return fusion

    def online(self, training: Training, space: WeightSpace) -> Generator[Event, None, RobustFusion]:
        """Algorithm 2: teachers come, validate what the one before taught (steps 2 and 3), teach (1), and are gone."""
        from dfml.meta.robust_fusion import RobustFusion
        from dfml.training.fusion_record import FusionRecord

        space.hyper.fit_units(space.hyper.flatten(space.model.params).unsqueeze(0))  # no other network is at hand
        fusion = RobustFusion(self.config, space.first_network(self.config.start), len((zoo := training.zoo).cards) - 1)
        missed = Missed()
        record = FusionRecord(training, self.config, space, len(zoo.cards), fusion, missed=missed)
        left = record.restore(training.state)
        yield from rejected(zoo)
        expected = with_weights(zoo)
        yield expected.note()
        for step in left:
            card, seen, task = zoo.cards[step - 1], {}, None
            if teacher := (yield from read_teacher(zoo, card, step)):
                network = space.network(space.weights(teacher.net, f"dro: teacher {card.id}"))
                t = fusion.meet(training.generator)
                if fusion.taught is not None:
                    worst = fusion.worst_case(t, network)  # steps 2 and 3, at the phi* of the teacher before
                    seen, task = fusion.update(worst, t, network), (f"teacher {card.id}", worst)
                fusion.ascend(t, network)  # step 1 with i = t
            else:
                missed.ids.append(card.id)
            yield from record.events(step, seen, f"teacher {card.id}", task)
        taking_part = with_weights(zoo, dict.fromkeys(missed.ids, UNUSABLE))
        if taking_part != expected:  # some could not be read when they came
            yield taking_part.note(len(zoo.cards))
        space.model.details |= taking_part.details()
        need_two(len(fusion.embeddings), zoo, self.name)
        return fusion
