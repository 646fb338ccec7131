"""Packages that Slicer lacks: one clear question a session, installing from the internet or from a folder of wheels."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import slicer
from panel_actions import choose_model, detect, is_idle
from wheels import write_wheel

from LandmarkDetectionLib.errors import LandmarkDetectionError


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Where pip installs in these tests: a folder of their own, from which Python imports too."""
    folder = tmp_path / "site"
    folder.mkdir()

    def pip_install(requirements, constraints=None, **_options):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *requirements]
        subprocess.run([*command, "-c", str(constraints)], check=True, capture_output=True)

    monkeypatch.setattr("slicer.packaging.pip_install", pip_install)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def own_requirements(module, tmp_path, monkeypatch):
    """The module needs a package that is not installed: spare-part."""
    (tmp_path / "requirements.txt").write_text("# What is needed\nspare-part>=1\n")
    resource_path = module.LandmarkDetectionWidget.resourcePath

    def own_path(widget, name):
        return str(tmp_path / name) if name == "requirements.txt" else resource_path(widget, name)

    monkeypatch.setattr(module.LandmarkDetectionWidget, "resourcePath", own_path)


@pytest.fixture
def lacking(testbed, module, panel, head, own_requirements):
    """A panel that has just been opened, and lacks that package."""
    opened = testbed.open_panel(module)
    choose_model(opened, "tiny")
    yield opened
    testbed.close_panel(opened)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """The folder of wheels that the user chooses, still empty."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setattr("qt.QFileDialog.getExistingDirectory", lambda *_arguments: str(folder))
    return folder


def click_and_fail(testbed, button):
    """The message of the click."""
    testbed.messages.clear()
    button.click()
    assert isinstance(testbed.uncaught.pop(), LandmarkDetectionError)
    return testbed.messages[-1]


def test_with_everything_there_nothing_is_asked_and_nothing_to_install(testbed, panel, head):
    assert panel.ui.packagesStateLabel.text == "all installed"
    for button in (panel.ui.installPackagesButton, panel.ui.installFromFolderButton):
        assert not button.enabled
        assert button.toolTip == "All packages are installed."
    detect(testbed, panel)
    assert testbed.messages == []


def test_the_question_names_what_is_missing_and_after_no_is_not_repeated(testbed, lacking):
    assert lacking.ui.packagesStateLabel.text == "missing: spare-part>=1"
    testbed.answers.append("Cancel")
    message = click_and_fail(testbed, lacking.ui.detectButton)
    assert testbed.messages[0] == (
        "Landmark Detection needs Python packages that Slicer lacks: spare-part>=1. "
        "Install them into Slicer now, from the internet?"
    )
    assert message.endswith('(spare-part>=1): press "Install" beside Packages to install them after all.')
    assert is_idle(lacking)
    message = click_and_fail(testbed, lacking.ui.detectButton)
    assert testbed.messages == [message], "the second click asks nothing"
    assert "chose not to install" in message


def test_after_yes_it_is_installed_and_detects_and_never_asks_again(testbed, lacking, wheels, site, monkeypatch):
    write_wheel(wheels, "spare_part", "1.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    testbed.answers.append("Ok")
    detect(testbed, lacking)
    detect(testbed, lacking)
    assert len(testbed.messages) == 1
    assert lacking.ui.landmarksTable.rowCount == 4
    assert version("spare-part") == "1.0"
    assert lacking.ui.packagesStateLabel.text == "all installed"


def test_a_failed_installation_says_so_and_the_next_click_tries_again_without_a_question(
    testbed, lacking, wheels, site, monkeypatch
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    testbed.answers.append("Ok")
    message = click_and_fail(testbed, lacking.ui.detectButton)
    assert "check the connection to the internet, or install from a folder of wheels." in message
    write_wheel(wheels, "spare_part", "1.0")
    testbed.messages.clear()
    detect(testbed, lacking)
    assert testbed.messages == []


def test_without_network_it_comes_from_a_folder_of_wheels(testbed, lacking, wheels, site):
    write_wheel(wheels, "spare_part", "1.0")
    lacking.ui.installFromFolderButton.click()
    assert testbed.messages == []
    assert lacking.ui.packagesStateLabel.text == "all installed"
    detect(testbed, lacking)
    assert testbed.messages == []


def test_a_folder_without_wheels_says_how_to_fill_it(testbed, lacking, wheels, site):
    message = click_and_fail(testbed, lacking.ui.installFromFolderButton)
    assert "holds no wheels (*.whl)" in message
    assert message.endswith('pip download -d FOLDER "spare-part>=1"')
    assert lacking.ui.packagesStateLabel.text == "missing: spare-part>=1"


def test_slicer_s_own_numpy_is_never_replaced(testbed, lacking, wheels, site):
    """A package that wants another one, which the folder has, is refused rather than installed."""
    write_wheel(wheels, "spare_part", "1.0", "numpy<1")
    write_wheel(wheels, "numpy", "0.1")
    message = click_and_fail(testbed, lacking.ui.installFromFolderButton)
    assert "could not be installed" in message
    assert list(site.iterdir()) == []


@pytest.fixture
def no_torch(monkeypatch):
    """PyTorch seems not to be installed."""
    check = slicer.packaging.pip_check

    def check_but_for_torch(requirement, *seen):
        return not str(requirement).startswith("torch") and check(requirement, *seen)

    monkeypatch.setattr("slicer.packaging.pip_check", check_but_for_torch)


@pytest.mark.usefixtures("no_torch", "head")
def test_without_pytorch_and_its_extension_it_says_what_to_install(testbed, panel):
    message = click_and_fail(testbed, panel.ui.detectButton)
    assert testbed.messages == [message], "there is nothing to agree to"
    assert "install the PyTorch extension in the Extensions Manager" in message


@pytest.mark.usefixtures("no_torch", "head")
def test_pytorch_comes_through_its_extension_with_one_question_for_all(testbed, lacking, wheels, site, monkeypatch):
    calls = []

    class PyTorchUtilsLogic:
        def installTorch(self, **options):
            calls.append(options)
            monkeypatch.setattr("slicer.packaging.pip_check", lambda *_arguments: True)
            return SimpleNamespace(__version__="2.9")

    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic))
    testbed.answers.append("Ok")
    lacking.ui.detectButton.click()
    testbed.wait_until(lambda: is_idle(lacking))
    assert calls == [{"askConfirmation": False, "torchVersionRequirement": ">=2.2"}]
    (question,) = testbed.messages
    assert "torch>=2.2, spare-part>=1" in question
    assert question.endswith("PyTorch takes up to 3 GB of disk space.")
