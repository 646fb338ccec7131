"""The testbed is at least as strict as Slicer: code that is wrong there must not pass here."""

from __future__ import annotations

import enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest
import slicer
from testbed.parameter_node import parameterNodeWrapper
from testbed.slicer_source import slicer_source
from testbed.ui_loader import UiLoader

UI = """<ui version="4.0"><class>W</class><widget class="qMRMLWidget" name="W"><layout class="QVBoxLayout" name="l">
<item><widget class="{widget}" name="child"><property name="{property}"><string>x</string></property></widget></item>
</layout></widget><connections>{connections}</connections></ui>"""

CONNECTION = """<connection><sender>W</sender><signal>{signal}(vtkMRMLScene*)</signal>
<receiver>child</receiver><slot>{slot}(vtkMRMLScene*)</slot></connection>"""


def load(testbed, tmp_path, **parts):
    file = tmp_path / "w.ui"
    file.write_text(UI.format(**{"widget": "QLabel", "property": "text", "connections": ""} | parts))
    return slicer.util.loadUI(str(file))


def test_properties_are_attributes_as_in_pythonqt(testbed):
    import qt

    button = qt.QPushButton("Go")
    assert button.text == "Go"
    button.text = "Stop"
    button.setEnabled(False)
    assert (button.text, button.enabled) == ("Stop", False)


def test_a_property_is_not_a_method_as_in_pythonqt(testbed):
    import qt

    with pytest.raises(TypeError, match="not callable"):
        qt.QPushButton("Go").text()


@pytest.mark.parametrize("wrong", ["txet", "setText", "clicked"])
def test_a_misspelt_property_is_an_error(testbed, wrong):
    import qt

    with pytest.raises(AttributeError, match=wrong):
        setattr(qt.QPushButton("Go"), wrong, "Stop")


def test_a_misspelt_property_of_a_slicer_widget_is_an_error(testbed):
    with pytest.raises(AttributeError, match="nodeType"):
        slicer.qMRMLNodeComboBox().nodeType = ["vtkMRMLScalarVolumeNode"]


def test_an_unknown_signal_is_an_error(testbed):
    import qt

    with pytest.raises(AttributeError, match="cilcked"):
        qt.QPushButton("Go").cilcked.connect(print)
    with pytest.raises(KeyError, match="started"):
        slicer.app.connect("started()", print)


def test_a_ui_file_may_use_only_what_exists(testbed, tmp_path):
    assert load(testbed, tmp_path).findChild(object, "child") is not None
    with pytest.raises(ValueError, match="no widget qMRMLTeapot"):
        load(testbed, tmp_path, widget="qMRMLTeapot")
    with pytest.raises(ValueError, match="no property 'txet'"):
        load(testbed, tmp_path, property="txet")
    with pytest.raises(ValueError, match="no signal or slot 'setScene'"):
        load(testbed, tmp_path, connections=CONNECTION.format(signal="mrmlSceneChanged", slot="setScene"))


class Colour(enum.Enum):
    RED = "red"


def parameters_of(wrapper, scene):
    @wrapper
    class Parameters:
        count: int = 3
        colour: Colour = Colour.RED
        volume: slicer.vtkMRMLScalarVolumeNode

    return Parameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_values_live_on_the_parameter_node(testbed, scene):
    parameters = parameters_of(slicer.parameterNodeWrapper.parameterNodeWrapper, scene)
    parameters.count = 5
    assert parameters.parameterNode.GetParameter("count") == "5"
    assert type(parameters)(parameters.parameterNode).count == 5
    assert parameters.colour is Colour.RED
    assert parameters.volume is None
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    parameters.volume = volume
    assert parameters.parameterNode.GetNodeReference("volume") is volume
    scene.RemoveNode(volume)
    assert parameters.volume is None


def test_the_range_of_a_spin_box_is_that_of_its_parameter_and_not_of_the_ui_file(testbed, scene):
    import qt
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    described = {"limited": Annotated[int, WithinRange(1, 20)], "free": int}
    wrapped = parameterNodeWrapper(type("Parameters", (), {"__annotations__": described, "limited": 1, "free": 1}))
    parameters = wrapped(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    boxes = {}
    for name in ("limited", "free"):
        boxes[name] = qt.QSpinBox()
        boxes[name].setRange(0, 99)
        boxes[name].setProperty("SlicerParameterName", name)
    parameters.connectGui(SimpleNamespace(**boxes))
    assert (boxes["limited"].minimum, boxes["limited"].maximum) == (1, 20)
    assert (boxes["free"].minimum, boxes["free"].maximum) == (-(2**31), 2**31 - 1)
    with pytest.raises(ValueError, match="within range"):
        parameters.limited = 21


class TestStandInOfTheParameterNode:
    @pytest.fixture
    def parameters(self, scene):
        return parameters_of(parameterNodeWrapper, scene)

    def test_an_unknown_parameter_or_a_wrong_type_is_an_error(self, parameters):
        with pytest.raises(AttributeError, match="cuont"):
            parameters.cuont = 5
        with pytest.raises(TypeError, match="count must be a int"):
            parameters.count = "5"

    def test_a_widget_bound_to_no_parameter_is_an_error(self, parameters):
        import qt

        spin_box = qt.QSpinBox()
        spin_box.setProperty("SlicerParameterName", "cuont")
        with pytest.raises(ValueError, match="cuont"):
            parameters.connectGui(SimpleNamespace(spinBox=spin_box))


def test_what_is_shown_or_hidden_in_a_folded_section_is_so_when_it_is_unfolded(testbed):
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(section)
    always, first, later = qt.QLabel("always"), qt.QLabel("first"), qt.QLabel("later")
    for label in (always, first, later):
        layout.addWidget(label)
    later.setVisible(False)
    section.show()
    section.collapsed = True
    first.setVisible(False)
    later.setVisible(True)
    assert [label.visible for label in (always, first, later)] == [False, False, False]
    section.collapsed = False
    assert [label.visible for label in (always, first, later)] == [True, False, True]


def test_the_loader_is_the_one_slicer_uses(testbed):
    import qt

    assert qt.QUiLoader is UiLoader


def test_its_python_classes_are_slicer_s_own_where_there_is_a_checkout(testbed):
    source = slicer_source()
    for name in ("util", "i18n", "packaging", "parameterNodeWrapper", "ScriptedLoadableModule"):
        file = Path(getattr(slicer, name).__file__)
        assert source is None or file.is_relative_to(source / "Base" / "Python" / "slicer")


def test_the_layout_manager_has_slice_views_and_nothing_else(testbed):
    manager = slicer.app.layoutManager()
    assert manager.sliceViewNames() == ("Red", "Green", "Yellow")
    assert manager.mrmlSliceLogics().GetNumberOfItems() == 3
    assert manager.sliceWidget("Red").mrmlSliceNode().GetName() == "Red"
    assert manager.sliceWidget("Blue") is None
    with pytest.raises(AttributeError, match="threeDWidget"):
        manager.threeDWidget(0)


def test_a_volume_is_shown_in_every_slice_view(testbed, scene):
    volume = slicer.util.addVolumeFromArray(np.zeros((60, 40, 20), dtype=np.int16))
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    for name in slicer.app.layoutManager().sliceViewNames():
        logic = slicer.app.layoutManager().sliceWidget(name).sliceLogic()
        assert logic.GetBackgroundLayer().GetVolumeNode() is volume
        assert max(logic.GetSliceNode().GetFieldOfView()[:2]) < 100.0


def test_packages_are_asked_for_and_never_installed(testbed):
    testbed.messages.clear()
    slicer.packaging.pip_ensure("safetensors>=0.1", requester="Test")
    assert testbed.messages == []
    testbed.answers.append("Cancel")
    with pytest.raises(RuntimeError, match="User declined package installation"):
        slicer.packaging.pip_ensure("safetensors>=999", requester="Test")
    testbed.answers.append("Ok")
    with pytest.raises(NotImplementedError, match="safetensors>=999"):
        slicer.packaging.pip_ensure("safetensors>=999", requester="Test")
    assert len(testbed.messages) == 2


def test_a_self_test_is_started_as_by_slicer_and_its_failure_is_an_error(testbed, tmp_path):
    lines = (
        "from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest",
        "class Broken(ScriptedLoadableModule): pass",
        "class BrokenTest(ScriptedLoadableModuleTest):",
        "    def test_it(self): self.assertEqual(1, 2)",
    )
    (tmp_path / "Broken.py").write_text("\n".join(lines))
    testbed.load_module(tmp_path / "Broken.py")
    with pytest.raises(AssertionError, match="1 != 2"):
        slicer.selfTests["Broken"](msec=0)
