"""docs/architecture.md, enforced on the source text: who may import whom, where things are, how long they get."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("nodes", "dreamoving_core", "tools", "benchmarks")
FOLDERS_WITHOUT_HOST = (
    "models", "preprocess", "alignment", "video", "weights", "procdance", "metrics", "batch", "tiny", "catalogue",
    "doctor",
)  # fmt: skip
HOST = {
    "comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution", "comfy_extras", "app", "api_server",
    "cuda_malloc", "execution", "folder_paths", "hook_breaker_ac10a0", "latent_preview", "main", "middleware",
    "node_helpers", "nodes", "protocol", "server", "utils",
}  # fmt: skip
COME_WITH_COMFYUI = {"av", "einops", "numpy", "PIL", "safetensors", "torch", "typing_extensions"}
VAGUE = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
EFFECTS = {
    "add_model_folder_path", "basicConfig", "exit", "getenv", "input", "makedirs", "manual_seed", "mkdir", "open", "print",
    "putenv", "run", "set_num_threads", "setattr", "touch", "unlink", "write", "write_bytes", "write_text",
}  # fmt: skip
MAX_LINES = 300


@dataclass(frozen=True, kw_only=True)
class Import:
    """`target` is a path inside the pack ("dreamoving_core/models/motion") or the name of a module outside it."""

    target: str
    inside: bool
    at_top: bool  # runs when the module is imported
    line: int


@dataclass(frozen=True, kw_only=True)
class Module:
    """One Python file; `path` is relative to the pack."""

    path: PurePosixPath
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    def place(self) -> str:
        """`nodes`, `tools`, `benchmarks`, the folder below `dreamoving_core`, or the file's own name."""
        parts = self.path.parts
        return parts[min(1, len(parts) - 1)] if parts[0] == "dreamoving_core" else parts[0]

    def imports(self) -> Iterator[Import]:
        tree = self.tree
        at_once = {id(node) for node in run_at_import(tree.body)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets, inside = [name.name for name in node.names], False
            elif isinstance(node, ast.ImportFrom):
                targets, inside = self._targets(node), node.level > 0
            else:
                continue
            for target in targets:
                yield Import(target=target, inside=inside, at_top=id(node) in at_once, line=node.lineno)

    def _targets(self, node: ast.ImportFrom) -> list[str]:
        if node.level == 0:
            return [node.module or ""]
        above = self.path.parts[: -node.level] if node.level <= len(self.path.parts) else ("..",)
        base = [*above, *(node.module.split(".") if node.module else [])]
        return ["/".join([*base, name.name]) for name in node.names]


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Everything that runs when a module is imported: not the bodies of functions, not what only type checkers see."""
    for statement in body:
        yield from _run_now(statement)


def _run_now(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
        return
    yield node
    for name, value in ast.iter_fields(node):
        inner = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and name == "body"
        for child in [] if inner else value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _run_now(child)


def below(target: str, folder: str) -> bool:
    """Whether an import reaches into `folder` ("nodes", "dreamoving_core/bridge")."""
    return target == folder or target.startswith(folder + "/")


# ---- the rules: each yields what is wrong with one module, in words


def only_bridge_imports_comfyui(module: Module) -> Iterator[str]:
    place = module.place()
    for found in module.imports():
        name = found.target.split(".")[0]
        if found.inside or name not in HOST or place in ("bridge", "benchmarks"):
            continue
        if place == "nodes" and name == "comfy_api":
            continue
        if module.path == PurePosixPath("tools/inside.py") and not found.at_top:
            continue
        yield f"line {found.line} imports {found.target}: only dreamoving_core/bridge may (nodes: comfy_api alone)"


def the_core_knows_neither_bridge_nor_nodes(module: Module) -> Iterator[str]:
    place = module.place()
    for found in module.imports():
        if not found.inside:
            continue
        if place in (*FOLDERS_WITHOUT_HOST, "errors.py", "file_digest.py") and any(
            below(found.target, folder) for folder in ("dreamoving_core/bridge", "nodes")
        ):
            yield f"line {found.line} imports {found.target}: {place} never imports bridge or nodes"
        own = ("dreamoving_core/models", "dreamoving_core/errors")
        if place == "models" and not any(below(found.target, folder) for folder in own):
            yield f"line {found.line} imports {found.target}: models import nothing but models and errors"
        if module.path.parts[0] == "dreamoving_core" and below(found.target, "nodes"):
            yield f"line {found.line} imports {found.target}: nodes stand on the core, not the core on nodes"


def inference_never_loads_training(module: Module) -> Iterator[str]:
    if module.place() in ("training", "benchmarks", "tools"):
        return
    for found in module.imports():
        if not found.inside:
            continue
        if below(found.target, "dreamoving_core/training"):
            if module.path != PurePosixPath("nodes/training.py"):
                yield f"line {found.line} imports {found.target}: only nodes/training.py, run.py and benchmarks may"
            elif found.at_top:
                yield f"line {found.line} imports {found.target}: import it inside execute, when it runs"


def the_pack_needs_none_of_its_tools(module: Module) -> Iterator[str]:
    if module.path.parts[0] in ("tools", "benchmarks", "run.py"):
        return
    for found in module.imports():
        if found.inside and any(below(found.target, folder) for folder in ("tools", "benchmarks", "tests")):
            yield f"line {found.line} imports {found.target}: the pack must run without tools, benchmarks and tests"


def node_modules_do_not_import_each_other(module: Module) -> Iterator[str]:
    if module.place() != "nodes" or module.path.name == "__init__.py":
        return
    for found in module.imports():
        if found.inside and below(found.target, "nodes"):
            yield f"line {found.line} imports {found.target}: node modules don't import each other"


def the_name_says_what_is_inside(module: Module) -> Iterator[str]:
    if module.path.name in VAGUE:
        yield f"is called {module.path.name}: name it after what it holds"


def inside_the_pack_imports_are_relative(module: Module) -> Iterator[str]:
    for found in module.imports():
        if not found.inside and found.target.split(".")[0] in ("dreamoving", *CODE[1:]):
            yield f"line {found.line} imports {found.target} absolutely: ComfyUI gives the pack another name"
        if found.inside and found.target.startswith(".."):
            yield f"line {found.line} imports something above the pack"


def importing_has_no_effect(module: Module) -> Iterator[str]:
    plain = (
        ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If,
    )  # fmt: skip
    for statement in module.tree.body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not docstring and not isinstance(statement, plain):
            yield f"line {statement.lineno} does something when the module is imported: {ast.unparse(statement)[:60]}"
    for node in run_at_import(module.tree.body):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in EFFECTS:
                yield f"line {node.lineno} calls {name} when the module is imported"
        if isinstance(node, ast.Attribute) and node.attr == "environ":
            yield f"line {node.lineno} reads the environment when the module is imported"


def optional_packages_wait_until_they_are_needed(module: Module) -> Iterator[str]:
    if module.path.parts[0] not in ("nodes", "dreamoving_core", "__init__.py"):
        return
    for found in module.imports():
        name = found.target.split(".")[0]
        known = name in sys.stdlib_module_names or name in HOST or name in COME_WITH_COMFYUI
        if not found.inside and found.at_top and not known:
            yield f"line {found.line} imports {name} with the module: import it in the function that needs it"


def what_prepares_the_environment_needs_none(module: Module) -> Iterator[str]:
    alone = module.place() in (
        "tools",
        "batch",
        "catalogue",
        "doctor",
        "errors.py",
        "file_digest.py",
        "run.py",
        "install.py",
        "__init__.py",
    )
    if not alone or module.path == PurePosixPath("tools/inside.py"):
        return
    for found in module.imports():
        core = ("batch", "catalogue", "doctor", "errors", "file_digest")
        own = any(below(found.target, f) for f in ("tools", *(f"dreamoving_core/{name}" for name in core)))
        if found.inside and not own and module.path.name != "__init__.py":
            yield f"line {found.line} imports {found.target}: it runs before torch is installed"
        if not found.inside and found.target.split(".")[0] not in sys.stdlib_module_names:
            yield f"line {found.line} imports {found.target}: standard library only, it runs before torch is installed"


def it_is_at_most_300_lines_long(module: Module) -> Iterator[str]:
    if (lines := module.source.count("\n")) > MAX_LINES:
        yield f"has {lines} lines: split it at a concept (limit {MAX_LINES})"


RULES = (
    only_bridge_imports_comfyui,
    the_core_knows_neither_bridge_nor_nodes,
    inference_never_loads_training,
    the_pack_needs_none_of_its_tools,
    node_modules_do_not_import_each_other,
    the_name_says_what_is_inside,
    inside_the_pack_imports_are_relative,
    importing_has_no_effect,
    optional_packages_wait_until_they_are_needed,
    what_prepares_the_environment_needs_none,
    it_is_at_most_300_lines_long,
)


@cache
def every_module() -> list[Module]:
    files = [*ROOT.glob("*.py"), *(file for folder in CODE for file in (ROOT / folder).rglob("*.py"))]
    return [
        Module(path=PurePosixPath(file.relative_to(ROOT).as_posix()), source=file.read_text(encoding="utf-8"))
        for file in sorted(files)
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule):
    modules = every_module()
    wrong = [f"{module.path}: {text}" for module in modules for text in rule(module)]

    assert wrong == []


BROKEN = [
    (only_bridge_imports_comfyui, "dreamoving_core/models/motion.py", "import comfy.ops"),
    (only_bridge_imports_comfyui, "dreamoving_core/training/loop.py", "def f():\n    from comfy import ops"),
    (only_bridge_imports_comfyui, "dreamoving_core/weights/io.py", "import folder_paths"),
    (only_bridge_imports_comfyui, "nodes/motion.py", "import comfy.utils"),
    (only_bridge_imports_comfyui, "nodes/motion.py", "import nodes"),
    (the_core_knows_neither_bridge_nor_nodes, "dreamoving_core/video/encode.py", "from ..bridge import output"),
    (the_core_knows_neither_bridge_nor_nodes, "dreamoving_core/video/encode.py", "from .. import bridge"),
    (the_core_knows_neither_bridge_nor_nodes, "dreamoving_core/procdance/clip.py", "from ...nodes import video"),
    (the_core_knows_neither_bridge_nor_nodes, "dreamoving_core/bridge/motion.py", "from ...nodes import motion"),
    (the_core_knows_neither_bridge_nor_nodes, "dreamoving_core/models/motion.py", "from ..weights.io import read"),
    (inference_never_loads_training, "dreamoving_core/bridge/motion.py", "from ..training.loop import Trainer"),
    (inference_never_loads_training, "nodes/tiny.py", "def f():\n    from ..dreamoving_core.training import cli"),
    (inference_never_loads_training, "nodes/training.py", "from ..dreamoving_core.training import cli"),
    (the_pack_needs_none_of_its_tools, "dreamoving_core/batch/client.py", "from ...tools.console import say"),
    (the_pack_needs_none_of_its_tools, "nodes/video.py", "from ..benchmarks import scores"),
    (node_modules_do_not_import_each_other, "nodes/video.py", "from .motion import NODES"),
    (node_modules_do_not_import_each_other, "nodes/video.py", "from . import motion"),
    (the_name_says_what_is_inside, "dreamoving_core/video/utils.py", ""),
    (inside_the_pack_imports_are_relative, "nodes/video.py", "from dreamoving_core.video import rates"),
    (inside_the_pack_imports_are_relative, "nodes/video.py", "import dreamoving.nodes"),
    (inside_the_pack_imports_are_relative, "nodes/video.py", "from ...other_pack import thing"),
    (importing_has_no_effect, "nodes/video.py", "register_model_folders()"),
    (importing_has_no_effect, "nodes/video.py", "for x in y:\n    pass"),
    (importing_has_no_effect, "nodes/video.py", "LOG = open('log')"),
    (importing_has_no_effect, "nodes/video.py", "class A:\n    home = os.environ['HOME']"),
    (optional_packages_wait_until_they_are_needed, "dreamoving_core/preprocess/face.py", "import cv2"),
    (what_prepares_the_environment_needs_none, "tools/place.py", "import torch"),
    (what_prepares_the_environment_needs_none, "dreamoving_core/batch/client.py", "from ..weights import io"),
    (what_prepares_the_environment_needs_none, "dreamoving_core/catalogue/check.py", "import safetensors"),
    (what_prepares_the_environment_needs_none, "dreamoving_core/doctor/surroundings.py", "import torch"),
    (what_prepares_the_environment_needs_none, "install.py", "import packaging"),
    (it_is_at_most_300_lines_long, "nodes/video.py", "x = 1\n" * 301),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "path", "source"), BROKEN)
def test_a_broken_rule_is_noticed(rule, path, source):
    assert list(rule(Module(path=PurePosixPath(path), source=source)))


ALLOWED = [
    ("nodes/__init__.py", "from . import motion, video"),
    ("nodes/motion.py", "from comfy_api.latest import io\nfrom ..dreamoving_core.bridge.motion import apply_motion"),
    ("nodes/training.py", "def execute():\n    from ..dreamoving_core.training import cli"),
    ("dreamoving_core/bridge/loading.py", "import folder_paths\nfrom ..weights.io import read_weights"),
    ("dreamoving_core/models/motion.py", "import torch\nfrom ..errors import InputError\nfrom .backend import Backend"),
    ("dreamoving_core/training/tiny.py", "from ..bridge.trainable import new_base"),
    ("dreamoving_core/preprocess/face.py", "def detect():\n    import cv2"),
    ("tools/inside.py", "def prepare():\n    import comfy.cli_args"),
    ("run.py", "if __name__ == '__main__':\n    print(main())"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_the_rules_allow_passes(path, source):
    module = Module(path=PurePosixPath(path), source=source)

    assert [text for rule in RULES for text in rule(module)] == []


# ---- the documents


def document(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def tree_entries(text: str) -> list[str]:
    """Paths in the tree that docs/architecture.md prints; a level is four columns, folders end in a slash."""
    drawing = re.search(r"## The tree\n.*?```\n(.*?)```", text, re.DOTALL).group(1)
    parents, found = [], []
    for line in drawing.splitlines()[1:]:
        match = re.match(r"((?:[│ ] {3})*)[├└]── (.*?)(?: {2,}|$)", line)
        assert match, f"not a line of a tree: {line!r}"
        depth = len(match.group(1)) // 4
        for name in match.group(2).split(" "):
            found.append("/".join((*parents[:depth], name.rstrip("/"))) + "/" * name.endswith("/"))
            parents[depth:] = [name.rstrip("/")]
    return found


def test_the_tree_in_the_documents_names_what_exists():
    entries = tree_entries(document("architecture.md"))

    missing = [
        entry for entry in entries
        if not ((ROOT / entry).is_dir() if entry.endswith("/") else (ROOT / entry).is_file())
    ]  # fmt: skip
    assert missing == []


def test_the_tree_in_the_documents_names_every_folder_of_code():
    entries = set(tree_entries(document("architecture.md")))

    folders = {
        f"{file.parent.relative_to(ROOT).as_posix()}/"
        for name in CODE
        for file in (ROOT / name).rglob("*.py")
    }
    assert folders - entries == set()


@cache
def named_symbols(path: Path) -> set[str]:
    """Functions, classes, methods, fields and constants of a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def references(text: str) -> Iterator[tuple[Path, str]]:
    """(file, symbol) of `folder/file.py` and `folder/file.py:Symbol` in backquotes; below the pack or dreamoving_core."""
    for name, symbol in re.findall(r"`([\w./]+\.(?:py|toml|txt))(?::([\w.]+))?`", text):
        inside = ROOT / "dreamoving_core" / name
        yield (inside if inside.is_file() else ROOT / name), symbol


@pytest.mark.parametrize("name", ["architecture.md", "papers.md"])
def test_every_file_and_symbol_in_the_documents_exists(name):
    found = list(references(document(name)))
    assert len(found) > 20

    wrong = [str(path) for path, _ in found if not path.is_file()]
    wrong += [
        f"{path.name}:{symbol}" for path, symbol in found
        if symbol and path.is_file() and not set(symbol.split(".")) <= named_symbols(path)
    ]  # fmt: skip
    assert wrong == []


def test_every_choice_of_ours_is_told():
    """A number marked [ours] in the code stands in docs/papers.md, with its reason."""
    choices = document("papers.md").partition("## What is ours")[2]
    told = {path.resolve() for path, _ in references(choices)}

    marked = [ROOT / module.path for module in every_module() if "[ours" in module.source]
    assert [str(path.relative_to(ROOT)) for path in marked if path.resolve() not in told] == []
