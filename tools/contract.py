"""The promise of docs/architecture.md: what old graphs name stays. `python run.py contract` takes additions in.

`tests/contract/` holds one file per node, as /object_info of a server described it. Anything but an addition breaks
graphs that artists have saved: widget values are stored by position, links by type, API graphs by name.
"""

import json
from pathlib import Path
from typing import Any

from ..dreamoving_core.batch.client import Client
from ..dreamoving_core.errors import SetupError
from .console import say
from .demo import temporary_server
from .node_schema import ObjectInfo
from .place import Place

FOLDER = "tests/contract"
COMMAND = "python run.py contract"
OURS = "DreaMoving"

# Their choices are names of the ComfyUI that runs, or files of the computer, and so is a default among files.
HOSTS_NAMES = {"DreaMovingSampler.sampler_name", "DreaMovingSampler.scheduler"}
FILES = {
    "DreaMovingLoadMotionModel.motion_model", "DreaMovingLoadMotionLora.motion_lora", "DreaMovingLoadFaceRecogniser.pack",
    "DreaMovingLoadVideoControlNet.control_net", "DreaMovingLoadContentGuider.content_guider",
    "DreaMovingPoseExtract.detector", "DreaMovingPoseExtract.pose_model", "DreaMovingDepthExtract.model",
}  # fmt: skip
KEPT = ("default", "min", "max", "multiselect", "control_after_generate", "forceInput", "widgetType")

Snapshot = dict[str, Any]


def describe(info: dict[str, Any]) -> Snapshot:
    """One node of /object_info as far as saved graphs depend on it; inputs in the order of their widgets."""
    inputs = [
        {
            "name": name,
            "type": type_,
            **({} if kind == "required" else {"optional": True}),
            **kept(f"{info['name']}.{name}", *rest),
        }
        for kind in ("required", "optional")
        for name, (type_, *rest) in info["input"].get(kind, {}).items()
    ]
    outputs = [
        {"name": name, "type": type_, **({"list": True} if is_list else {})}
        for name, type_, is_list in zip(
            info["output_name"], info["output"], info["output_is_list"], strict=True
        )
    ]
    flags = {flag: True for flag in ("output_node", "is_input_list") if info.get(flag)}
    return {"id": info["name"], **flags, "inputs": inputs, "outputs": outputs}


def kept(path: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """What of an input's options a saved graph depends on; `path` is node.input."""
    options = options or {}
    found = {
        key: options[key]
        for key in KEPT
        if key in options and (key == "default" or options[key] is not False)
    }
    if "options" in options:
        found["options"] = "from outside" if path in FILES | HOSTS_NAMES else options["options"]
    if path in FILES:
        found.pop("default", None)
    return found


def breaks(old: Snapshot, new: Snapshot | None) -> list[str]:
    """What of `new` is no addition to `old`, in words; None stands for a node that is gone."""
    if new is None:
        return [f"{old['id']}: the node is gone. Keep it, and mark it deprecated if it has a successor."]
    found = [
        f"{flag} was {bool(old.get(flag))}, is {bool(new.get(flag))}"
        for flag in ("output_node", "is_input_list")
        if old.get(flag, False) != new.get(flag, False)
    ]
    found += broken_order("input", old["inputs"], new["inputs"])
    found += broken_order("output", old["outputs"], new["outputs"])
    after = {slot["name"]: slot for slot in new["inputs"]}
    for slot in old["inputs"]:
        if slot["name"] in after:
            found += [f"input {slot['name']}: {what}" for what in broken_input(slot, after[slot["name"]])]
    before = {slot["name"] for slot in old["inputs"]}
    for slot in new["inputs"]:
        if slot["name"] not in before and not slot.get("optional"):
            found.append(
                f"input {slot['name']} is new and required: graphs in API format lack it. Make it optional"
            )
    for was, now in zip(old["outputs"], new["outputs"], strict=False):
        for key in ("type", "list"):
            if was.get(key) != now.get(key):
                found.append(f"output {was['name']}: its {key} was {was.get(key)}, is {now.get(key)}")
    return [f"{old['id']}: {what}." for what in found]


def broken_order(kind: str, old: list[dict], new: list[dict]) -> list[str]:
    """The old names must stand first, in their order: widget values and links are stored by position."""
    was, now = ([slot["name"] for slot in slots] for slots in (old, new))
    if now[: len(was)] == was:
        return []
    gone = [name for name in was if name not in now]
    if gone:
        return [f"{kind} {', '.join(gone)} is gone or has another name"]
    return [f"{kind}s changed their places: were {', '.join(was)}; are {', '.join(now)}. Append what is new"]


def broken_input(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One input against its snapshot."""
    found = []
    narrower = set(old["type"].split(",")) - set(new["type"].split(","))
    if narrower and new["type"] != "*":
        found.append(f"it no longer takes {', '.join(sorted(narrower))}")
    if old.get("optional") and not new.get("optional"):
        found.append("it was optional and is required now")
    for key in ("default", "multiselect", "control_after_generate", "forceInput", "widgetType"):
        if old.get(key) != new.get(key):
            found.append(f"its {key} was {old.get(key)!r}, is {new.get(key)!r}")
    if "min" in new and ("min" not in old or new["min"] > old["min"]):
        found.append(f"its smallest value was {old.get('min')}, is {new['min']}")
    if "max" in new and ("max" not in old or new["max"] < old["max"]):
        found.append(f"its largest value was {old.get('max')}, is {new['max']}")
    return found + broken_options(old.get("options"), new.get("options"))


def broken_options(old: list | str | None, new: list | str | None) -> list[str]:
    """Choices keep their names and their order; graphs store the name, so new ones may come anywhere."""
    if old is None or old == new:
        return []
    if not isinstance(new, list) or not isinstance(old, list):
        return [f"its choices were {old}, are {new}"]
    gone = [option for option in old if option not in new]
    if gone:
        return [f"its choices {', '.join(map(str, gone))} are gone"]
    kept_order = [option for option in new if option in old]
    return [] if kept_order == old else ["its choices changed their order"]


def read_contract(folder: Path) -> dict[str, Snapshot]:
    """Every snapshot by its node's id."""
    files = sorted(folder.glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def take_in(folder: Path, current: dict[str, Snapshot]) -> list[str]:
    """Write additions and new nodes; return the ids that changed. Raises SetupError, writing nothing, for a break."""
    known = read_contract(folder)
    broken = [what for node, old in known.items() for what in breaks(old, current.get(node))]
    if broken:
        raise SetupError(
            "The contract takes in additions alone, and this is none:\n  "
            + "\n  ".join(broken)
            + "\nUndo it. "
            "If the promise must be broken, delete the node's file in tests/contract by hand and say so in CHANGELOG.md."
        )
    changed = [node for node, snapshot in current.items() if known.get(node) != snapshot]
    folder.mkdir(parents=True, exist_ok=True)
    for node in changed:
        (folder / f"{node}.json").write_text(to_text(current[node]), encoding="utf-8", newline="\n")
    return changed


def to_text(snapshot: Snapshot) -> str:
    """One line per input and output, so that a difference reads well."""
    head = {key: value for key, value in snapshot.items() if key not in ("inputs", "outputs")}
    lines = [f' "{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in head.items()]
    for key in ("inputs", "outputs"):
        slots = [f"  {json.dumps(slot, ensure_ascii=False)}" for slot in snapshot[key]]
        lines.append(f' "{key}": [\n' + ",\n".join(slots) + "\n ]" if slots else f' "{key}": []')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def ours(object_info: ObjectInfo) -> dict[str, Snapshot]:
    """The snapshot of every node of the pack, from a server's /object_info."""
    return {node: describe(info) for node, info in object_info.items() if node.startswith(OURS)}


def write_contract(place: Place) -> None:
    """Boot a server, ask it for its nodes, and take their additions in."""
    with temporary_server(place) as settings:
        current = ours(Client(settings.url).get("/object_info"))
    changed = take_in(place.root / FOLDER, current)
    say(f"Taken in: {', '.join(changed)}." if changed else "Nothing new.")
