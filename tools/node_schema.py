"""A node's inputs as a server's /object_info describes them: which are widgets, in which order, with which defaults."""

from dataclasses import dataclass
from typing import Any

ObjectInfo = dict[str, dict[str, Any]]

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


class GraphError(ValueError):
    """A description of a graph does not fit the nodes; says which node and which input."""


@dataclass(frozen=True)
class InputSpec:
    """One input as /object_info describes it."""

    name: str
    type: str
    options: dict[str, Any]
    required: bool

    @property
    def is_widget(self) -> bool:
        return self.options.get("widgetType", self.type) in WIDGETS and not self.options.get("forceInput")

    @property
    def has_control(self) -> bool:
        """Whether the browser puts a "control after generate" widget behind this one."""
        return bool(self.options.get("control_after_generate", self.name in ("seed", "noise_seed")))

    @property
    def takes_uploads(self) -> bool:
        """Whether its choices are the files of the input folder, to which the browser can add one."""
        return any(self.options.get(f"{kind}_upload") for kind in ("image", "video"))

    @property
    def follower(self) -> list[Any]:
        """What the browser keeps behind this widget's value, for a widget that it adds by itself."""
        return ["fixed"] if self.has_control else ["image"] if self.takes_uploads else []

    @property
    def default(self) -> Any:
        choices = self.options.get("options") or [None]
        empty = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False, "COMBO": choices[0]}
        return self.options.get("default", empty[self.options.get("widgetType", self.type)])


def input_specs(info: dict[str, Any]) -> list[InputSpec]:
    """A node's inputs in the order in which the browser makes its widgets: required ones, then optional ones."""
    specs = []
    for kind in ("required", "optional"):
        for name, (type_, *rest) in info["input"].get(kind, {}).items():
            options = dict(rest[0]) if rest else {}
            if type_ == "COMFY_AUTOGROW_V3":
                specs += grown(name, options["template"])
                continue
            if isinstance(type_, list):  # the older way to write a combo
                type_, options["options"] = "COMBO", type_
            specs.append(InputSpec(name, type_, options, required=kind == "required"))
    return specs


def grown(name: str, template: dict[str, Any]) -> list[InputSpec]:
    """The sockets of an input that grows as it is used: the first ones by name, of which `min` must be linked."""
    ((type_, *_),) = template["input"]["required"].values()
    few = range(template["min"] + 1)
    names = template.get("names") or [f"{template['prefix']}{i}" for i in few]
    return [InputSpec(f"{name}.{names[i]}", type_, {}, required=i < template["min"]) for i in few]
