"""The house rules: who may import whom, what an import pulls in, sizes, names, and what is never called."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE_FOLDERS = (REPOSITORY / "LandmarkDetection", REPOSITORY / "LandmarkTraining")
PACKAGE = "LandmarkDetectionLib"

SLICER_APPLICATION = {"slicer", "qt", "ctk"}
IN_SLICER_ALREADY = {"numpy", "vtk", "SimpleITK"}
HEAVY = {"torch", "safetensors", "sklearn", "lightning", "monai", "matplotlib", "jinja2", "scipy", "tqdm"}

LONGEST_FILE = 400
LONGEST_FUNCTION = 40


@dataclass(frozen=True)
class Import:
    """One imported module, by its full dotted name, and whether importing the file runs the import."""

    module: str
    at_file_scope: bool

    @property
    def root(self) -> str:
        return self.module.partition(".")[0]


def source_files() -> list[Path]:
    """Every Python file of the two modules, their package and their scripts."""
    return sorted(path for folder in MODULE_FOLDERS for path in folder.rglob("*.py"))


def tracked_texts() -> list[Path]:
    """Every text file of the repository that a person wrote."""
    folders = [*MODULE_FOLDERS, REPOSITORY / "Testing", REPOSITORY / "Resources"]
    suffixes = {".py", ".md", ".toml", ".txt", ".json", ".ui", ".cmake", ".svg"}
    nested = [path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes]
    top = [path for path in REPOSITORY.iterdir() if path.suffix in suffixes or path.name in {"Makefile", "NOTICE"}]
    return sorted([*nested, *top, REPOSITORY / ".ci" / "run"])


def name_of(path: Path) -> str:
    """How a message names a file."""
    return path.relative_to(REPOSITORY).as_posix()


@cache
def syntax_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def dotted_name(path: Path) -> str:
    """The name a file is imported by: the folders of the two modules are on the path."""
    folder = next(folder for folder in MODULE_FOLDERS if path.is_relative_to(folder))
    return ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")


@cache
def files_by_name() -> dict[str, Path]:
    return {dotted_name(path): path for path in source_files()}


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    return tuple(_imports_below(syntax_of(path), path, at_file_scope=True))


def _imports_below(node: ast.AST, path: Path, at_file_scope: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from (Import(name, at_file_scope) for name in _imported_modules(child, path))
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports_below(child, path, at_file_scope=False)
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports_below(child, path, at_file_scope and not is_function)


def _imported_modules(node: ast.Import | ast.ImportFrom, path: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        package = dotted_name(path).split(".")
        package = package if path.name == "__init__.py" else package[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *base.split(".")]).rstrip(".")
    submodules = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in files_by_name() else base for name in submodules]


def room_of(module: str) -> str:
    """The part of the package a module belongs to: a file or a folder directly in it."""
    return module.split(".")[1] if module.startswith(f"{PACKAGE}.") else ""


def rooms_entered(path: Path) -> set[str]:
    """The other rooms of the package that a file imports."""
    return {room_of(found.module) for found in imports_of(path)} - {"", room_of(dotted_name(path))}


def files_of_room(room: str) -> list[Path]:
    return [path for path in source_files() if room_of(dotted_name(path)) == room]


class TestArrows:
    @pytest.mark.parametrize(
        ("room", "allowed"),
        [
            ("errors", set()),
            ("geometry", set()),
            ("volume", {"errors", "geometry"}),
            ("landmarks", {"errors", "geometry"}),
            ("networks", set()),
        ],
    )
    def test_the_lower_rooms_know_nothing_above_them(self, room, allowed):
        assert files_of_room(room)
        for path in files_of_room(room):
            assert rooms_entered(path) <= allowed, name_of(path)

    def test_networks_know_torch_alone(self):
        assert files_of_room("networks")
        for path in files_of_room("networks"):
            outside = {found.root for found in imports_of(path)} - sys.stdlib_module_names - {PACKAGE}
            assert outside <= {"torch"}, name_of(path)

    @pytest.mark.parametrize(
        ("room", "forbidden"),
        [
            ("files", {"detectors", "training", "evaluation", "models", "networks"}),
            ("models", {"detectors", "training", "evaluation", "networks"}),
            ("detectors", {"training", "evaluation", "phantom"}),
            ("training", set()),
            ("evaluation", {"networks"}),
            ("phantom", {"detectors", "training", "evaluation", "models", "networks"}),
        ],
    )
    def test_no_room_reaches_up(self, room, forbidden):
        front_doors = {"cli", "commands", "worker", "worker_client", "mrml"}
        assert files_of_room(room)
        for path in files_of_room(room):
            assert not rooms_entered(path) & (forbidden | front_doors), name_of(path)

    def test_rooms_do_not_need_each_other_in_a_circle(self):
        needs = {}
        for path in source_files():
            if room := room_of(dotted_name(path)):
                needs.setdefault(room, set()).update(rooms_entered(path))
        while leaves := {room for room in needs if not needs[room] & set(needs)}:
            needs = {room: needed for room, needed in needs.items() if room not in leaves}
        assert not needs, f"these import each other: {needs}"

    def test_only_the_modules_their_widgets_and_mrml_know_slicer(self):
        shells = ("LandmarkDetection", "LandmarkTraining", f"{PACKAGE}.mrml")
        for path in source_files():
            name = dotted_name(path)
            if name in shells or name.split(".")[0].endswith("Widgets"):
                continue
            entered = {found.root for found in imports_of(path)} & SLICER_APPLICATION
            assert not entered, f"{name_of(path)} imports {entered}"

    def test_mrml_does_not_know_qt(self):
        for path in files_of_room("mrml"):
            assert not {found.root for found in imports_of(path)} & {"qt", "ctk"}


class TestWhatAnImportPullsIn:
    @staticmethod
    def loaded_with(path: Path) -> dict[str, str]:
        """Everything outside the package that importing a file imports in turn, and which file does."""
        loaded, seen, pending = {}, set(), [path]
        while pending:
            current = pending.pop()
            seen.add(current)
            for found in imports_of(current):
                if not found.at_file_scope:
                    continue
                ours = {files_by_name().get(name) for name in _with_parents(found.module)} - {None}
                pending.extend(ours - seen)
                if not ours:
                    loaded.setdefault(found.root, name_of(current))
        return loaded

    @staticmethod
    def slicer_files() -> list[Path]:
        return [path for path in source_files() if room_of(dotted_name(path)) in ("", "mrml", "worker_client")]

    def test_a_slicer_module_loads_with_what_slicer_has(self):
        """A missing package must give an offer to install it, not a module that fails to load."""
        expected = sys.stdlib_module_names | SLICER_APPLICATION | IN_SLICER_ALREADY
        for path in self.slicer_files():
            extra = {root: file for root, file in self.loaded_with(path).items() if root not in expected}
            assert not extra, f"{name_of(path)} needs at import: {extra}"

    def test_detection_asks_slicer_for_torch_and_safetensors_alone(self):
        expected = sys.stdlib_module_names | IN_SLICER_ALREADY | {"slicer", "torch", "safetensors"}
        for path in chain.from_iterable(
            map(files_of_room, ("worker", "detectors", "models", "planes", "measurements"))
        ):
            extra = {root: file for root, file in self.loaded_with(path).items() if root not in expected}
            assert not extra, f"{name_of(path)} needs at import: {extra}"

    def test_the_command_line_and_the_files_load_without_heavy_libraries(self):
        for path in [*files_of_room("cli"), *files_of_room("files"), *REPOSITORY.rglob(f"{PACKAGE}/**/__init__.py")]:
            heavy = {root: file for root, file in self.loaded_with(path).items() if root in HEAVY}
            assert not heavy, f"{name_of(path)} needs at import: {heavy}"

    def test_python_agrees(self):
        modules = [PACKAGE, f"{PACKAGE}.cli", *[dotted_name(path) for path in files_of_room("files")]]
        program = f"import sys, {', '.join(modules)}; print(*sorted({HEAVY} & set(sys.modules)))"
        finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert finished.stdout.split() == []


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


class TestReadability:
    def test_no_file_holds_two_ideas(self):
        lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in source_files()}
        assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}

    def test_no_function_is_too_long_to_see_at_once(self):
        """Lines of code: the signature and the body, without the docstring."""
        lengths = {
            f"{name_of(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1 - _docstring_lines(node)
            for path in source_files()
            for node in ast.walk(syntax_of(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}

    def test_every_file_says_in_one_line_what_it_is(self):
        for path in [*source_files(), *REPOSITORY.rglob("Testing/**/*.py")]:
            assert ast.get_docstring(syntax_of(path)), name_of(path)

    def test_no_file_is_named_for_nothing(self):
        vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
        names = {name_of(path): set(dotted_name(path).lower().split(".")) for path in source_files()}
        assert not [name for name, words in names.items() if words & vague]

    def test_no_two_test_files_share_a_name(self):
        names = [path.name for path in REPOSITORY.rglob("Testing/**/test_*.py")]
        assert len(names) == len(set(names))


class TestSafety:
    FORBIDDEN_IMPORTS = frozenset({"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"})
    FORBIDDEN_CALLS = frozenset({"eval", "exec", "os.system", "yaml.load", "yaml.unsafe_load"})

    @staticmethod
    def calls() -> Iterator[tuple[str, ast.Call, str]]:
        """Every call: the function's name as written, the call, and where it is."""
        for path in source_files():
            for node in ast.walk(syntax_of(path)):
                if isinstance(node, ast.Call):
                    yield ast.unparse(node.func), node, f"{name_of(path)}:{node.lineno}"

    def test_no_file_imports_what_unpickles(self):
        for path in source_files():
            assert not {found.root for found in imports_of(path)} & self.FORBIDDEN_IMPORTS, name_of(path)

    def test_no_text_is_run_as_a_program(self):
        assert not [place for function, _, place in self.calls() if function in self.FORBIDDEN_CALLS]

    def test_no_loader_is_allowed_to_unpickle(self):
        for function, call, place in self.calls():
            keywords = {(keyword.arg, ast.unparse(keyword.value)) for keyword in call.keywords}
            assert not keywords & {("allow_pickle", "True"), ("weights_only", "False")}, place
            assert function != "torch.load" or ("weights_only", "True") in keywords, place

    def test_torch_loads_only_what_training_wrote_to_resume(self):
        places = [place for function, _, place in self.calls() if function == "torch.load"]
        assert all(f"/{PACKAGE}/training/" in place for place in places)

    def test_no_file_names_a_place_on_one_machine(self):
        """Neither a home folder nor a drive: what the repository says holds on every computer."""
        personal = re.compile(r"(?<![\w.~/-])/(?:home|root|work|Users|mnt|opt|srv)/\w|[A-Z]:\\\\?Users")
        for path in tracked_texts():
            found = personal.search(path.read_text(encoding="utf-8"))
            assert path == Path(__file__) or not found, f"{name_of(path)}: {found}"


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return node.body[0].end_lineno - node.body[0].lineno + 1
