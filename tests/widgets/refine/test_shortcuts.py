"""Every action has a key of its own that napari does not use, and gives it back."""

from __future__ import annotations

import gc

import napari.layers
import numpy as np
from app_model.types import KeyBinding
from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts

from napari_what_where.widgets.refine.shortcuts import LEAVE, SHORTCUTS

LAYERS = [
    getattr(napari.layers, name) for name in ("Labels", "Image", "Points", "Shapes", "Surface", "Tracks", "Vectors")
]


def napari_keys() -> set[str]:
    """All that napari binds by default, to the viewer or any kind of layer."""
    keys = {str(KeyBinding.validate(key)) for every in default_shortcuts.values() for key in every}
    for owner in (ViewerModel, *LAYERS):
        for each in owner.__mro__:
            keys |= {str(key) for key in getattr(each, "class_keymap", {})}
    return keys


def test_no_key_is_napari_s():
    ours = [str(coerce_keybinding(each.key)) for each in SHORTCUTS]
    assert len(set(ours)) == len(ours)
    assert not set(ours) & napari_keys()


def test_every_button_has_a_key_that_its_tooltip_names(driver):
    keys = {each.name: each.key.replace("-", "+") for each in SHORTCUTS}
    assert set(driver.panel.buttons) == set(keys)
    for name, button in driver.panel.buttons.items():
        assert button.toolTip().endswith(f"[{keys[name]}]"), name


def test_keys_do_what_buttons_do_whichever_layer_is_active(driver, picture, wrong):
    image = driver.viewer.add_image(picture)
    driver.viewer.add_labels(wrong.copy())
    driver.viewer.layers.selection.active = image
    assert driver.key("K")
    assert driver.dock.active == "split"
    driver.click((16, 16))
    assert driver.labels.max() == 10
    driver.viewer.layers.selection.active = image
    assert driver.key("Shift-Z")
    np.testing.assert_array_equal(driver.labels, wrong)
    assert driver.key("Shift-Y")
    assert driver.labels.max() == 10


def test_keys_are_given_back(driver, wrong):
    layer = driver.viewer.add_labels(wrong.copy())
    before = set(type(driver.viewer).class_keymap)
    driver.press("merge")
    assert any(str(key) == "Escape" for key in layer.keymap)
    driver.key(LEAVE)
    assert not layer.keymap
    driver.press("merge")
    driver.viewer.window.remove_dock_widget(driver.dock)
    assert not layer.keymap
    assert not driver.viewer.keymap
    assert set(type(driver.viewer).class_keymap) == before


def test_a_key_that_the_user_has_bound_stays_theirs(make_napari_viewer, qtbot, wrong):
    from tests.widgets.refine.conftest import RefineDriver

    viewer, pressed = make_napari_viewer(), []
    viewer.bind_key("K", lambda viewer: pressed.append("K"))
    driver = RefineDriver(viewer, qtbot)
    viewer.add_labels(wrong.copy())
    driver.key("K")
    assert pressed == ["K"]
    assert driver.dock.active is None
    assert driver.panel.buttons["split"].toolTip().endswith("[K is bound to something else]")
    assert driver.panel.buttons["merge"].toolTip().endswith("[J]")
    assert "Split: " not in driver.panel.shortcuts.text()
    assert "Merge: " in driver.panel.shortcuts.text()
    viewer.window.remove_dock_widget(driver.dock)
    driver.dock = None
    gc.collect()
    assert len(viewer.keymap) == 1
