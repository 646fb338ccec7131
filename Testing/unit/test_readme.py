"""What the README promises: its links, commands, examples, messages and names of buttons are those there are."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from xml.etree import ElementTree

import pytest
from cmake_lists import REPOSITORY, modules

from LandmarkDetectionLib.cli import _parser
from LandmarkDetectionLib.models.registry import is_shipped, list_models, sample_image
from LandmarkDetectionLib.training.pin_training import PIN
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.registry import METHODS

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
TUTORIALS = README.partition("## Tutorials")[2].partition("## Models")[0]
TROUBLES = README.partition("## Troubleshooting")[2].partition("\n## ")[0]
ANYTHING = "…"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language; "" for commands."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands(program: str) -> list[str]:
    """The lines of the fenced blocks that call a program, without what follows a comment sign."""
    lines = [line.partition("  #")[0].strip() for block in blocks("") for line in block.splitlines()]
    return [line for line in lines if line.startswith(f"{program} ")]


@cache
def constant_texts() -> tuple[str, ...]:
    """Every text in the code of the modules, with `…` for what is filled in."""
    files = [path for module in modules() for path in module.rglob("*.py")]
    return tuple(text for path in files for text in _texts_of(ast.parse(path.read_text(encoding="utf-8"))))


def _texts_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield re.sub(r"\{[^{}]*\}", ANYTHING, node.value)
    for child in ast.iter_child_nodes(node):
        yield from _texts_of(child)


def is_a_message(quoted: str) -> bool:
    """Whether the code can say this: a text whose fixed parts are all in it, and a good part of it."""
    for text in constant_texts():
        fixed = text.replace(ANYTHING, "")
        pattern = ".*".join(map(re.escape, text.split(ANYTHING)))
        if 3 * len(fixed) > len(quoted) and re.fullmatch(pattern, quoted):
            return True
    return False


def names_on_the_screen() -> set[str]:
    """Every text of the panels' forms and code."""
    forms = [path for module in modules() for path in module.rglob("*.ui")]
    return {element.text for form in forms for element in ElementTree.parse(form).iter("string")} | set(
        constant_texts()
    )


def headings() -> set[str]:
    """The addresses of the README's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_every_link_leads_somewhere(link):
    if link.startswith("#"):
        assert link[1:] in headings()
    else:
        assert link.startswith("https://") or (REPOSITORY / link).is_file()


@pytest.mark.parametrize("line", commands("landmark-detection"))
def test_every_command_line_is_understood(line):
    assert _parser().parse_args(shlex.split(line)[1:]).run


@pytest.mark.parametrize("line", commands("Slicer"))
def test_what_slicer_is_to_run_is_there_and_understood(line):
    words = shlex.split(line)
    assert (REPOSITORY / words[words.index("--python-script") + 1]).is_file()
    assert _parser().parse_args(words[words.index("--") + 1 :]).run


@pytest.mark.parametrize("line", commands("make"))
def test_every_target_of_make_is_there(line):
    targets = {word for word in shlex.split(line)[1:] if "=" not in word}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())


def test_the_program_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    shutil.copy(sample_image("brain-t1"), tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("python")
    exec(compile(program, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 20


def test_the_settings_are_those_a_training_takes(tmp_path):
    (settings,) = [block for block in blocks("json") if "optimisation" in block]
    (tmp_path / "settings.json").write_text(settings)
    recipe = load_recipe(PIN, "standard", tmp_path / "settings.json")
    assert recipe.optimisation.minutes == json.loads(settings)["optimisation"]["minutes"]


def test_every_method_that_can_be_trained_is_named():
    assert all(f"`{method}`" in README for method in METHODS)


@pytest.mark.parametrize("name", [card.name for card in list_models() if is_shipped(card.name)])
def test_every_bundled_model_is_in_the_table_with_its_page_and_licence(name):
    (card,) = [card for card in list_models() if card.name == name]
    (row,) = re.findall(rf"^\| \[`{name}`\]\(Resources/Models/{name}\.md\) .*$", README, re.MULTILINE)
    assert card.licence in row


@pytest.mark.parametrize("quoted", re.findall(r"^\| `([^`]+)` \|", TROUBLES, re.MULTILINE))
def test_every_message_in_the_troubleshooting_can_still_be_read_somewhere(quoted):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert is_a_message(quoted) or quoted in makefile


def test_a_message_nobody_says_is_noticed():
    assert not is_a_message("… is perfectly fine: carry on.")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\*\*([^*]+)\*\*", TUTORIALS))))
def test_the_tutorials_name_what_is_on_the_screen(name):
    assert name in names_on_the_screen()


def test_it_says_that_this_is_no_medical_device():
    assert "**It is not a medical device**" in README
