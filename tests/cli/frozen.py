"""The command line as it is promised: scripts depend on it, so change it on purpose only."""

COMMANDS = {
    "adapt": "--model --support --query --bn --adapt --steps --calibrate --set --seed --out --overwrite --device "
    "--json",
    "app": "--port --browser --json",
    "bench ablations": "--data --zoo --source --methods --arms --preset --share --shots --seeds --episodes --split "
    "--device --set --estimate --jobs --cluster --work --out --json",
    "bench accuracy": "--data --scenario --zoo --methods --preset --shots --seeds --episodes --choice-episodes --split "
    "--device --set --calibrate --jobs --cluster --add-zoo --rates --attack --clean --source --own-recoveries "
    "--protocol --models --epochs --same-start --work --out --update --json",
    "bench curve": "--zoo --judge --teachers --steps --methods --set --per-class --preset --device --work --out --json",
    "bench heterogeneity": "--data --zoo --method --preset --teachers --sets --seeds --shots --episodes --split "
    "--device --set --cluster --work --out --json",
    "bench inversion": "--zoo --methods --transformers --together --teachers --seeds --per-class --preset --device "
    "--out --json",
    "bench lessons": "--only --data --zoo --seed --work --out --json",
    "bench membership": "--data --zoo --teachers --model --shadows --model-shadows --seed --jobs --out --json",
    "bench paired": "RESULT --against --other --json",
    "bench pollution": "--data --zoo --rates --attack --clean --source --variants --seeds --preset --shot --episodes "
    "--split --device --set --jobs --cluster --work --out --json",
    "bench reproduce": "RESULT ROW --seed --data --zoo --device --cluster --work --json",
    "bench scale": "--zoo --sizes --only --work --out --json",
    "bench scenarios": "--data --settings --add-zoo --methods --preset --share --shots --seeds --episodes --split "
    "--device --set --jobs --cluster --work --out --json",
    "bench sinusoid": "--tasks --seed --choose --out --json",
    "bench speed": "--only --repeats --quick --threads --peers --out --json",
    "bench waiting": "--zoo --rounds --work --out --json",
    "bench weighing": "--data --zoo --rates --attack --clean --source --seeds --work --out --json",
    "cluster certificates": "FOLDER --days --json",
    "cluster scheduler": "--host --port --certificates --insecure --dashboard",
    "cluster worker": "ADDRESS --processes --gpu --host --certificates --insecure",
    "data arrange": "SOURCE --out --shares --seed --json",
    "data get": "NAME --out --json",
    "data sample": "SOURCE --out --name --json",
    "data textures": "OUT --classes --per-class --size --seed --json",
    "docs": "--json",
    "evaluate": "--model --data --split --shots --way --query --episodes --bn --adapt --steps --lr "
    "--calibrate --set --seed --against --device --threads --json",
    "export": "--model --out --format --licence --result --push --support --serve --port --overwrite --json",
    "invert": "--zoo --out --teacher --method --preset --per-class --set --oracle --oracle-set --against "
    "--against-weight --data --shadows --seed --device --threads --cluster --label --resume --json",
    "runs cite": "RUN --json",
    "runs compare": "RUNS --csv --overwrite --json",
    "runs export": "RUN --out --format --overwrite --json",
    "runs list": "--json",
    "runs record": "RUN --out --overwrite --json",
    "runs record-demos": "--work --out --only --data --json",
    "runs report": "RUNS --out --overwrite --json",
    "runs resume": "RUN --json",
    "runs show": "RUN --json",
    "runs stop": "RUN --json",
    "runs sweep": "--zoo --methods --seeds --preset --data --set --device --threads --cluster --label --json",
    "train": "--zoo --method --out --preset --data --set --classes-per-teacher --images-size --seed --device --threads "
    "--cluster --label --from --dry-run --resume --json",
    "zoo check": "ZOO --data --json",
    "zoo import": "SOURCES --out --manifest --arch --num-classes --size --mean --std --crop --key --classes --accuracy "
    "--domain --licence --shared-class-names --trust-code --json",
    "zoo judge": "ZOO --data --teacher --arch --width --set --cluster --json",
    "zoo list": "--json",
    "zoo merge": "ZOOS --out --name --json",
    "zoo prepare": "ZOO --method --preset --set --jobs --cluster --device --json",
    "zoo pollute": "ZOO --out --rate --attack --source --keep --seed --json",
    "zoo pretrain": "--data --out --models --way --arch --epochs --seed --set --jobs --cluster --licence --json",
    "zoo serve": "ZOO --port --host --python --threads --json",
    "zoo similarity": "ZOO --groups --by --out --set --jobs --device --overwrite --json",
    "zoo show": "ZOO --json",
}
