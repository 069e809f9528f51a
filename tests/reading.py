"""Which files one opens to read a method's steps, from its ``train`` to the last torch call.

``python tests/reading.py [METHOD ...]`` follows every name in ``train`` to its definition: imported names, functions
handed on, and methods of what a constructor, an annotation or a return annotation gives. A file counts where a
definition computes with torch. Printed after the counted ones are

- files that only lead to others: steps that need no torch, such as watching a plateau or clustering, stand there;
- files that are entered and not counted, each for the reason that ``NOT_COUNTED`` gives, and networks, whose layers
  nobody reads for a method's steps;
- files that only those lead to, and the calls in them that are not resolved. In a counted file such a call is an error.

Not followed, since no method's way goes there: functions behind another name of a module or class (``go = work``), in
a table or a comprehension, and what Python calls by itself (``__iter__``, ``__enter__``, ``__getitem__``).
"""

import ast
import re
import sys
from functools import cache
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tests import definitions
from tests.definitions import FOREIGN, ancestry, bases, definition, is_abstract, is_network, method_of, module
from tests.scopes import Scope

METHODS = ("purer", "bidf_mkd", "teapot", "free", "tgr", "dro")
NOT_COUNTED = {
    "dfml.training.ours.": "hooks of ours: the published core runs without them",
    "dfml.training.context": "first weights, curves, shown diversity, checkpoints: how every method begins and reports",
    "dfml.training.validation": "accuracy on real validation classes, shown by all and watched by TEAPOT's stop rule",
    "dfml.meta.model": "the product of every method: prepares images for its network, is read from and saved to disk",
    "dfml.zoo.teacher": "weights of teachers read from disk, images brought to a teacher's size and normalisation",
    "dfml.zoo.oracles.": "a teacher's answer to images, its gradient (exact, or estimated by queries) and their cost",
    "dfml.nets.build": "networks made by name, the same for every method",
    "dfml.nets.generator": "layers of the generator, and several such networks computed at once",
    "dfml.nets.checkpoint": "states of optimisers and parts copied for checkpoints",
}
SPOKEN_OF = {"bidf_mkd": {"dfml.zoo.oracles.choose"}}
"""Files of those that count for a method nonetheless: its box gives the formula that stands there."""
NOT_COMPUTING = {"Generator", "device", "synchronize"}
MOVES = {"to", "cpu", "tolist", "item", "numpy", "detach", "clone", "half", "float"}


class Unresolved(Exception):
    """A call whose definition is not found, though it may be one of the project's."""


def is_counted(place):
    """Whether a file that computes counts."""
    return not place.startswith(tuple(NOT_COUNTED))


@cache
def own_methods():
    """The classes that have a method of their own, by its name; networks and what is only promised left out."""
    found = {}
    for (place, _), cls in definitions.every_class().items():
        for node in [] if is_network(place, cls) else cls.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("__"):
                found.setdefault(node.name, []).append((place, cls))
    return found


@cache
def tensor_names():
    """Names of methods by which a tensor computes, and that no plain Python object has."""
    import torch

    plain = [list, dict, str, set, int, float, tuple, bytes, range, Path, re.Pattern, type(i for i in ())]
    return set(dir(torch.Tensor)) - {name for kind in plain for name in dir(kind)} - MOVES


class Reader:
    """Follows one method's definitions; the strings in its file tell which registered classes it uses.

    Attributes:
        seen: (file, function) of the definitions that are counted, if they compute.
        aside: Definitions that are entered from them but not counted, by the same keys.
        behind: (file, function) of those and of all that only they lead to.
        networks: Files of the networks that the counted definitions make or call.
        unresolved: (file, line, call) outside the counted definitions.
    """

    def __init__(self, place):
        self.seen, self.aside, self.behind = {}, {}, None
        self.networks, self.unresolved = set(), set()
        strings = [n.value for n in ast.walk(definitions.source(place)) if isinstance(n, ast.Constant)]
        self.literals = {value for value in strings if isinstance(value, str)}

    def implementations(self, owner, name):
        """What a promised method may be, in the registered classes that are used: (class, module, function)."""
        found, named = [], []
        promised = {n.name for n in owner[1].body if isinstance(n, ast.FunctionDef)}
        for (place, _), cls in definitions.every_class().items():
            fits = owner in ancestry(place, cls)
            if "Protocol" in bases(*owner):  # whoever has all its methods
                fits = "Protocol" not in bases(place, cls) and all(method_of((place, cls), n) for n in promised)
            made = method_of((place, cls), name) if fits else None
            if made is None or is_abstract(made[1]):
                continue
            found.append(((place, cls), *made))
            registered = {ast.literal_eval(d.args[0]) for d in cls.decorator_list if ".register(" in ast.unparse(d)}
            named += [found[-1]] if registered & self.literals else []
        return named or found

    def follow_all(self, receiver, place, function):
        """Follow a definition; then, apart from it, what was entered and is not counted."""
        self.follow(receiver, place, function)
        self.behind = {}
        for entered in self.aside.values():
            self.follow(*entered)

    def follow(self, receiver, place, function):
        """Read a definition and all that it leads to; ``receiver`` is the class of ``self``, if it has one."""
        key = id(function), receiver and id(receiver[1])
        if key in self.seen:
            return
        if self.behind is not None:
            if key in self.behind:
                return
            self.behind[key] = place, function
        elif is_counted(place):
            self.seen[key] = place, function
        else:
            self.aside[key] = receiver, place, function
            return
        self.read(Scope(receiver, place, function))

    def read(self, scope):
        """Follow every call, every property, and every function or method of the project that is handed on."""
        called = {id(node.func) for node in ast.walk(scope.function) if isinstance(node, ast.Call)}
        for node in ast.walk(scope.function):
            if isinstance(node, ast.Call):
                self.read_call(scope, node)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in called:
                found = scope.callee(node)
                if found and found != FOREIGN and getattr(found[2], "name", "") == node.attr:
                    self.run(scope, *found)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in scope.names:
                found = None if node.id in scope.local else definition(scope.place, node.id)
                if found and isinstance(found[1], ast.FunctionDef):
                    self.follow(None, *found)

    def read_call(self, scope, call):
        """Follow one call."""
        found = scope.callee(call.func)
        if found is None:
            self.guess(scope, call)
        elif found != FOREIGN:
            self.run(scope, *found)

    def run(self, scope, receiver, place, node):
        """Follow what a call, or whoever is handed a function, runs."""
        if isinstance(node, ast.ClassDef):
            made = method_of((place, node), "__init__")
            if is_network(place, node):
                self.note_network(place, node)
            elif made:
                self.follow((place, node), *made)
        elif receiver and (is_abstract(node) or "Protocol" in bases(*receiver)):
            for implementation in self.implementations(receiver, node.name):
                self.follow(*implementation)
        elif receiver and is_network(*receiver):
            self.note_network(place, node)
        elif node is not scope.function and scope.local.get(node.name) is not node:
            self.follow(receiver, place, node)

    def note_network(self, place, node):
        """Remember where a network stands, without reading its layers."""
        if self.behind is None:
            self.networks.add(place)
        else:
            self.behind[id(node), None] = place, node

    def guess(self, scope, call):
        """A method that only one class of the project has is taken for that one's; another call is not resolved."""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        owners = own_methods().get(name, [])
        if isinstance(call.func, ast.Attribute) and len(owners) == 1:
            self.follow(owners[0], *method_of(owners[0], name))
        elif isinstance(call.func, ast.Name) or owners:
            told = scope.place, call.lineno, f"{ast.unparse(call.func)}()"
            if self.behind is None and (not owners or any(is_counted(place) for place, _ in owners)):
                raise Unresolved("{}:{}: {}".format(*told))
            self.unresolved.add(told)


def computes(place, function):
    """Whether a definition computes with torch, which moving and storing numbers is not."""
    imported = module(place)[1]
    if not any((source or "").split(".")[0] == "torch" for source, _ in imported.values()):
        return False
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            continue
        root = node.func
        while isinstance(root, ast.Attribute):
            root = root.value
        source, name = imported.get(root.id, ("", "")) if isinstance(root, ast.Name) else ("", "")
        called = node.func.attr if isinstance(node.func, ast.Attribute) else name
        if (source or "").split(".")[0] == "torch":
            if called not in NOT_COMPUTING:
                return True
        elif isinstance(node.func, ast.Attribute) and called in tensor_names() and called not in own_methods():
            return True
    return False


def files(name):
    """The files to open for a method, its own first, and by what they are otherwise, those that are not counted."""
    place = f"dfml.methods.{name}"
    (cls,) = (c for c in module(place)[0].values() if isinstance(c, ast.ClassDef) and method_of((place, c), "train"))
    reader = Reader(place)
    reader.follow_all((place, cls), *method_of((place, cls), "train"))
    counted = {place} | {where for where, function in reader.seen.values() if computes(where, function)}
    entered = {where for _, where, _ in reader.aside.values()}
    counted |= SPOKEN_OF.get(name, set()) & entered
    entered -= counted
    through = {where for where, _ in reader.seen.values()} - counted
    others = {
        "lead on": through,
        "entered, not counted": entered,
        "networks": reader.networks - counted,
        "behind those not counted": {where for where, _ in reader.behind.values()} - entered - counted - through,
        "calls not resolved there": {"{}:{}: {}".format(*told) for told in reader.unresolved},
    }
    return [place, *sorted(counted - {place})], {kind: sorted(found) for kind, found in others.items()}


def main():
    """Print them, a paragraph for each method."""
    for name in sys.argv[1:] or METHODS:
        found, others = files(name)
        print(f"{name}: {len(found)} files: {', '.join(found)}".replace("dfml.", ""))
        for kind, names in others.items():
            print(f"  {kind}: {', '.join(names) or 'none'}".replace("dfml.", ""))


if __name__ == "__main__":
    main()
