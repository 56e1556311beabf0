"""A layout that records what a panel draws, and refuses what Blender would only complain about in its terminal."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bpy

FUNCTIONS = bpy.types.UILayout.bl_rna.functions
ICONS = frozenset(FUNCTIONS["label"].parameters["icon"].enum_items.keys())


class Layout:
    """Stands for a `UILayout`, and for all that are made in it.

    Attributes
    ----------
    labels, operators, properties : list of str
        What was drawn, in order: texts, idnames, names.
    set : list
        The properties that were given to the operators.
    """

    def __init__(self, parent: Layout | None = None) -> None:
        root = parent or self
        self.labels: list[str] = root.labels if parent else []
        self.operators: list[str] = root.operators if parent else []
        self.properties: list[str] = root.properties if parent else []
        self.set: list[SimpleNamespace] = root.set if parent else []
        self.factors: list[float] = root.factors if parent else []
        self.alerts: list[str] = root.alerts if parent else []
        self.alert: bool = parent.alert if parent else False
        self.use_property_split = self.use_property_decorate = self.enabled = True
        self.scale_y = 1.0

    def row(self, **options: Any) -> Layout:
        """As `UILayout.row`."""
        return self._inside("row", options)

    def column(self, **options: Any) -> Layout:
        """As `UILayout.column`."""
        return self._inside("column", options)

    def box(self, **options: Any) -> Layout:
        """As `UILayout.box`."""
        return self._inside("box", options)

    def split(self, **options: Any) -> Layout:
        """As `UILayout.split`."""
        return self._inside("split", options)

    def label(self, **options: Any) -> None:
        """As `UILayout.label`."""
        _check("label", options)
        self.labels.append(options.get("text", ""))
        if self.alert:
            self.alerts.append(options.get("text", ""))

    def operator(self, name: str, **options: Any) -> SimpleNamespace:
        """As `UILayout.operator`; gives what can be set of it."""
        _check("operator", options)
        module, function = name.split(".")
        kind = getattr(getattr(bpy.ops, module), function).get_rna_type()  # KeyError if there is none
        self.operators.append(name)
        properties = _Checked(name, set(kind.properties.keys()))
        self.set.append(properties)
        return properties

    def prop(self, data: Any, name: str, **options: Any) -> None:
        """As `UILayout.prop`."""
        _check("prop", options)
        assert name in data.bl_rna.properties, f"{data} has no property {name}"
        self.properties.append(name)

    def prop_search(self, data: Any, name: str, within: Any, items: str, **options: Any) -> None:
        """As `UILayout.prop_search`."""
        _check("prop_search", options)
        assert items in within.bl_rna.properties, f"{within} has no property {items}"
        self.prop(data, name)

    def progress(self, *, factor: float = 0.0, text: str = "", **options: Any) -> None:
        """As `UILayout.progress`."""
        _check("progress", options)
        assert 0 <= factor <= 1
        self.factors.append(factor)
        self.labels.append(text)

    def template_list(self, kind: str, identity: str, data: Any, name: str, active: Any, index: str,
                      **options: Any) -> None:
        """As `UILayout.template_list`: draws all lines."""
        _check("template_list", options)
        assert index in active.bl_rna.properties
        drawn = getattr(bpy.types, kind)
        for i, item in enumerate(getattr(data, name)):
            drawn.draw_item(None, bpy.context, self, data, item, 0, active, index, i)

    def separator(self, **options: Any) -> None:
        """As `UILayout.separator`."""
        _check("separator", options)

    def _inside(self, function: str, options: dict[str, Any]) -> Layout:
        _check(function, options)
        return Layout(self)


class _Checked(SimpleNamespace):
    """Properties of an operator; only those that it has can be set."""

    def __init__(self, name: str, known: set[str]) -> None:
        super().__init__()
        self.__dict__.update(_name=name, _known=known)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self._known, f"{self._name} has no property {name}"
        super().__setattr__(name, value)


def _check(function: str, options: dict[str, Any]) -> None:
    known = FUNCTIONS[function].parameters.keys()
    for option in options:
        assert option in known, f"UILayout.{function} has no {option}"
    assert options.get("icon", "NONE") in ICONS, options["icon"]
    assert isinstance(options.get("text", ""), str)


def drawn(panel: type[bpy.types.Panel], context: bpy.types.Context | None = None) -> Layout | None:
    """What a panel draws; None if it is not shown."""
    context = context or bpy.context
    if hasattr(panel, "poll") and not panel.poll(context):
        return None
    layout = Layout()
    panel.draw(SimpleNamespace(layout=layout), context)
    return layout
