"""``zoo``: list, show, check, pre-train, import, pollute, merge, serve; and ``data``, from which zoos are trained."""

from pathlib import Path
from typing import Annotated

import typer

from dfml.cli import completing
from dfml.cli.check_zoo import check
from dfml.cli.importing import import_models
from dfml.cli.output import Bar, answer, fine_percent, say, table
from dfml.cli.parameters import Cluster, Json, Threads, made_from, option
from dfml.cli.similarity import ZooName, prepare, similarity
from dfml.cluster.connecting import asked_for
from dfml.core.errors import BadInput
from dfml.zoo import open_zoo
from dfml.zoo.build.zoo_config import PollutionConfig, PretrainConfig, claim_zoo, judged_classes, name_and_width
from dfml.zoo.kept_checks import at_a_glance, kept_check
from dfml.zoo.listing import mean_accuracy, zoo_names

AnyZoo = Annotated[
    str, typer.Argument(help="An embedded name, a folder or a server's address.", autocompletion=completing.zoos)
]
More = Annotated[list[str] | None, typer.Option("--set", help="Another option of zoo pretrain, key=value; repeatable.")]
app = typer.Typer(help="Zoos of teachers.", no_args_is_help=True, rich_markup_mode=None)
data_app = typer.Typer(help="Public data sets in class folders.", no_args_is_help=True, rich_markup_mode=None)
app.command("check")(check)
app.command("prepare")(prepare)
app.command("similarity")(similarity)
app.command("import")(import_models)


@data_app.command()
def get(
    name: Annotated[str, typer.Argument(help="cifar-fs or omniglot.")],
    out: Annotated[Path, typer.Option(help="Folder to write DIR/{train,val,test}/<class>/* to.")],
    json: Json = False,
) -> None:
    """Download a data set through torchvision and write it in its official few-shot split."""
    from dfml.data import sources

    answer(sources.get(name, out, report=Bar(name)), json, f"{name} written to {out}")


@data_app.command()
def sample(
    source: Annotated[Path, typer.Argument(help="A class-folder data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the sample to write.")],
    name: Annotated[str, typer.Option(help="cifar-fs or omniglot: decides which classes are left out.")],
    json: Json = False,
) -> None:
    """Build an embedded evaluation sample from a data set."""
    from dfml.data import sources

    answer(sources.build_sample(name, source, out), json, f"sample written to {out}")


@app.command("list")
def list_zoos(json: Json = False) -> None:
    """List the embedded zoos."""
    zoos = []
    for name in zoo_names():
        zoo = open_zoo(name)
        accuracy = mean_accuracy(zoo.cards)
        zoos.append({"name": name, "teachers": len(zoo), "way": zoo.way, "domain": zoo.domain, "accuracy": accuracy})
    rows = [[z["name"], str(z["teachers"]), str(z["way"]), str(z["domain"]), fine_percent(z["accuracy"])] for z in zoos]
    answer({"zoos": zoos}, json, table(rows, ["zoo", "teachers", "way", "domain", "mean accuracy"]))


@app.command()
def show(zoo: AnyZoo, json: Json = False) -> None:
    """Show a zoo's teachers."""
    opened = open_zoo(zoo)
    opened.look()
    cards = [{**card.model_dump(), "judge": opened.has_judge(card.id)} for card in opened.cards]
    value = {
        "name": opened.name, "domain": opened.domain, "shared_class_names": opened.shared_class_names,
        "accuracy": mean_accuracy(opened.cards), "teachers": cards, "problems": opened.problems,
    }  # fmt: skip
    rows = [
        [c.id, c.family, "x".join(map(str, c.input_size)), fine_percent(c.accuracy), ", ".join(c.classes or [])]
        for c in opened.cards
    ]
    text = table(rows, ["id", "architecture", "input", "accuracy", "classes"])
    for model, reason in opened.problems.items():
        text += f"\nunusable: {model}: {reason}"
    checked = None if opened.address else kept_check(opened.folder)
    glance = at_a_glance(opened.cards)
    text += "".join(f"\n{line}" for line in glance)
    text += f"\nchecked {checked.when[:10]}: {checked.sentence}" if checked else ""
    answer({**value, "glance": glance, "checked": checked and checked.model_dump()}, json, text)


@app.command()
@made_from(PretrainConfig, "models way epochs seed")
def pretrain(
    *,
    data: Annotated[Path, typer.Option(help="A class-folder data set with a split train.")],
    out: Annotated[Path, typer.Option(help="The zoo's folder; a stopped call goes on where it was.")],
    models: int,
    way: int,
    arch: Annotated[str, typer.Option(help="Architectures in turn (timm's too): NAME[:WIDTH],...")] = "fewshot_conv4",
    epochs: int,
    seed: int,
    set_: More = None,
    jobs: Annotated[int, typer.Option(min=1, help="Teachers trained side by side, one thread each.")] = 1,
    cluster: Cluster = "",
    licence: Annotated[str, typer.Option(help="Terms of the weights, for the cards.")] = "",
    json: Json = False,
) -> None:
    """Train a zoo: each teacher on a random subset of the training classes."""
    given = {"models": models, "way": way, "epochs": epochs, "seed": seed}
    config = PretrainConfig().override(given).override(set_ or [])
    architectures = [name.strip() for name in arch.split(",")]
    where = asked_for(cluster) or jobs
    claim_zoo(data, out, architectures, config)

    from dfml.nets.device import use_threads
    from dfml.zoo.build.pretrain import pretrain_zoo

    use_threads()
    bar = Bar("teachers")
    accuracies = pretrain_zoo(
        data, out, architectures, config, jobs=where, licence=licence,
        report=lambda done, total, _, accuracy: bar(done, total, f"last {accuracy:.1%}"),
    )  # fmt: skip
    mean = sum(accuracies) / len(accuracies)
    value = {"zoo": str(out), "teachers": len(accuracies), "accuracy": mean, "lowest": min(accuracies)}
    value["config"] = config.model_dump()
    answer(value, json, f"{len(accuracies)} teachers in {out}, mean held-out accuracy {mean:.1%}")


@app.command()
def judge(
    zoo: ZooName,
    data: Annotated[Path, typer.Option(help="The data set that the zoo was trained on.")],
    teacher: Annotated[str, typer.Option(help="Ids or positions, for instance 0,1,2.")],
    arch: Annotated[str, typer.Option(help="An architecture that the zoo does not have.")] = "fewshot_resnet10",
    width: Annotated[int, option(PretrainConfig, "width", help="Filters of its first stage.")] = 16,
    set_: More = None,
    cluster: Cluster = "",
    json: Json = False,
) -> None:
    """Train judges: networks of another architecture on the same classes, which only measure."""
    from dfml.data.class_folders import subfolders
    from dfml.data.splits import check_source, split_folder

    for pair in set_ or []:
        if (key := pair.partition("=")[0].strip()) in ("models", "way"):
            raise BadInput(f"a judge has its teacher's classes, so {key} cannot be set.")
    config = PretrainConfig().override({"width": width}).override(set_ or [])
    opened = open_zoo(zoo)
    cards = [opened.card(which.strip()) for which in teacher.split(",")]
    name_and_width(arch)
    check_source(data, "train")
    for card in cards if data.is_dir() else ():
        judged_classes(card, subfolders(split_folder(data, "train")), data.resolve().name)

    from dfml.nets.device import use_threads
    from dfml.zoo.build.pretrain import train_judges

    use_threads()
    accuracies = {}
    for name, accuracy in train_judges(data, opened.folder, cards, arch, config, jobs=asked_for(cluster) or 1):
        accuracies[name] = accuracy
        say(f"judge of teacher {name}: held-out accuracy {accuracy:.1%}")
    answer({"zoo": opened.name, "judges": accuracies, "config": config.model_dump(exclude={"models", "way"})}, json)


@app.command()
@made_from(PollutionConfig, "rate attack keep seed")
def pollute(
    zoo: Annotated[
        str, typer.Argument(help="The clean zoo: an embedded name or a folder.", autocompletion=completing.zoos)
    ],
    out: Annotated[Path, typer.Option(help="The polluted zoo's folder; the truth stands in OUT.truth.json.")],
    *,
    rate: float,
    attack: str,
    source: Annotated[
        str | None,
        typer.Option(
            help="A zoo of another domain, for ood and both; the embedded one, if left out.",
            autocompletion=completing.zoos,
        ),
    ] = None,
    keep: int | None,
    seed: int,
    json: Json = False,
) -> None:
    """Hide deceptive teachers in a copy of a zoo; which ones is written beside it, where no method looks."""
    from dfml.zoo.build.pollute import OTHER_DOMAIN, given_away, pollute_zoo, truth_file

    config = PollutionConfig.parse({"rate": rate, "attack": attack, "keep": keep, "seed": seed})
    clean, liars = open_zoo(zoo), None if attack == "fake" else open_zoo(source or OTHER_DOMAIN)
    truth = pollute_zoo(clean, out, config, liars)
    kinds = [row["kind"] for row in truth["teachers"]]
    counts = {kind: kinds.count(kind) for kind in ("clean", "ood", "fake")}
    value = {"zoo": str(out), "truth": str(truth_file(out)), "teachers": len(kinds), **counts}
    value |= {"config": config.model_dump(), "problems": clean.problems}
    for model, reason in clean.problems.items():
        say(f"left out: {model}: {reason}")
    if note := given_away(clean, liars):
        say(note)
    text = f"{len(kinds)} teachers in {out}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    answer(value, json, text)


@app.command()
def merge(
    zoos: Annotated[
        list[str], typer.Argument(help="Two or more: embedded names or folders.", autocompletion=completing.zoos)
    ],
    out: Annotated[Path, typer.Option(help="The new zoo's folder.")],
    name: Annotated[str | None, typer.Option(help="The new zoo's name; its folder's, if left out.")] = None,
    json: Json = False,
) -> None:
    """Put the teachers of several zoos into a new one; equal class names of different data sets stay apart."""
    from dfml.zoo.build.collect import merge_zoos

    models, problems = merge_zoos([open_zoo(zoo) for zoo in zoos], out, name=name)
    for problem in problems:
        say(f"left out: {problem}")
    value = {"zoo": str(out), "teachers": len(models), "models": models, "problems": problems}
    answer(value, json, f"{len(models)} teachers in {out}")


@app.command()
def serve(
    zoo: ZooName,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 8080,
    host: Annotated[str, typer.Option(help="Which address to listen on; 0.0.0.0: all of them.")] = "127.0.0.1",
    python: Annotated[
        Path | None, typer.Option(help="Python of the server's environment; $DFML_SERVER_PYTHON, if left out.")
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Answer queries to a zoo's teachers over HTTP (Open Inference Protocol v2), until Ctrl-C."""
    from dfml.zoo.remote.serving import LOCAL, become_server, find_server_python, serve_command

    opened, found = open_zoo(zoo), find_server_python(python)
    command = serve_command(opened, host=host, port=port, python=found, threads=threads, as_json=json)
    if host not in LOCAL:
        say(f"everybody who reaches {host} port {port} can ask these teachers: there is no password.")
    become_server(command)
