"""What the house rules say about the source tree, as far as a program can tell. CONTRIBUTING.md has the rules."""

import os
import pathlib
import re
import subprocess

import harness
from harness import ROOT, check, command

SRC = ROOT / "src"

# A module may include and link what stands on a line above its own.
ORDER = [
    ["base"],
    ["json", "wire", "codec", "signal"],
    ["chat"],
    ["token"],
    ["rt"],
    ["obs", "config", "net", "store", "spool", "artifact"],
    ["mqtt", "price", "quota"],
    ["broker", "device"],
    ["http"],
    ["mock", "flow"],
    ["llm", "infer", "ingest"],
]
LEVEL = {module: level for level, modules in enumerate(ORDER) for module in modules}
EXT_LEVEL = len(ORDER)
LINES_MAX = 700
CODE = {".cc", ".h", ".py", ".cmake", ".sh", ".mjs", ".ts", ".js", ".lua"}


def files():
    """Every file of the tree that belongs to it, without what builds and runs leave behind."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                capture_output=True, check=True).stdout
        names = [pathlib.Path(name) for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, leaves in os.walk(ROOT):
            if pathlib.Path(folder) == ROOT:
                folders[:] = [f for f in folders if not f.startswith((".", "build")) and f != "var"]
            names += [pathlib.Path(folder, leaf).relative_to(ROOT) for leaf in leaves]
    return sorted(name for name in names if (ROOT / name).is_file())


FILES = files()


def text(name):
    return (ROOT / name).read_text(errors="replace")


def unit_of(path):
    """The module or extension a file under src/ belongs to: 'http', 'ext/steps/alarm', or None."""
    parts = path.parts
    if parts[0] != "src" or len(parts) < 3:
        return None
    if parts[1] == "ext":
        return "/".join(parts[1:4]) if len(parts) > 4 else None
    return parts[1]


def level_of(unit):
    return EXT_LEVEL if unit.startswith("ext/") else EXT_LEVEL + 1 if unit == "app" else LEVEL[unit]


def units():
    return sorted({unit for path in FILES if path.name == "CMakeLists.txt" and (unit := unit_of(path))})


def complain(mistakes):
    check(not mistakes, "\n  " + "\n  ".join(mistakes))


def declared(unit):
    """The modules a unit's CMakeLists.txt links."""
    found = text(f"src/{unit}/CMakeLists.txt")
    match = re.search(r"penstock_(?:module|extension)\(\s*DEPS((?:\s+[a-z_]+)+)", found)
    return set(match[1].split()) if match else set(re.findall(r"\bpenstock_(\w+)", found)) & set(LEVEL)


def reachable(unit):
    found, waiting = set(), [unit]
    while waiting:
        for dep in declared(waiting.pop()):
            if dep not in found:
                found.add(dep)
                waiting.append(dep)
    return found


def test_every_module_has_its_place():
    complain([f"src/{unit}: not in tests/house_test.py ORDER; say below which modules it stands"
              for unit in units() if not unit.startswith("ext/") and unit != "app" and unit not in LEVEL])


def test_includes_point_down():
    mistakes = []
    for path in FILES:
        unit = unit_of(path) if path.suffix in (".cc", ".h") else None
        if unit is None:
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            where = f"{path}:{number}: "
            target = unit_of(pathlib.Path("src", match[1]))
            if target is None or not (SRC / match[1]).exists():
                mistakes.append(f"{where}\"{match[1]}\" is no file below src/")
            elif target != unit and level_of(target) >= level_of(unit):
                mistakes.append(f"{where}{unit} may not include {target}")
            elif target != unit and unit == "app" and target.startswith("ext/"):
                mistakes.append(f"{where}extensions are reached through the registration table only")
    complain(mistakes)


def test_cmake_links_what_is_included_and_nothing_above():
    mistakes = []
    for unit in units():
        linked = reachable(unit)
        mistakes += [f"src/{unit}/CMakeLists.txt: {unit} may not link {dep}"
                     for dep in declared(unit) if level_of(dep) >= level_of(unit)]
        for path in FILES:
            if unit_of(path) != unit or path.suffix not in (".cc", ".h"):
                continue
            for included in set(re.findall(r'#include "([a-z0-9_]+)/', text(path))):
                if included != unit and included in LEVEL and included not in linked:
                    mistakes.append(f"src/{unit}/CMakeLists.txt: {path.name} includes {included}, which is not among its DEPS")
    complain(mistakes)


def test_neighbours_compiled_together_have_no_function_of_one_name():
    """Of two such functions with other parameters a call may find the wrong one; of two alike the compiler itself tells."""
    mistakes = []
    for path in (path for path in FILES if path.name == "CMakeLists.txt" and path.parts[0] == "src"):
        alone = {name for found in re.findall(r"penstock_alone\(([^)]*)\)", text(path)) for name in found.split()}
        for folder, ending in (("", ".cc"), ("test", "_test.cc")):
            owner = {}
            for file in (f for f in FILES if f.parent == path.parent / folder and f.name.endswith(ending)):
                if file.relative_to(path.parent).as_posix() in alone or file.name == "main.cc":
                    continue
                hidden = "\n".join(re.findall(r"^namespace \{$(.*?)^\}  // namespace$", text(file), re.M | re.S))
                for name in set(re.findall(r"^(?!return|else|TEST)[A-Za-z_][\w:<>*&, \[\]]*[ *&](\w+)\(", hidden, re.M)):
                    if owner.setdefault(name, file) != file:
                        mistakes.append(f"{file}: {name}() is in {owner[name]} too: give one another name, or name the file in penstock_alone")
    complain(mistakes)


def test_every_unit_explains_itself_on_one_screen():
    mistakes = []
    for unit in units():
        path = SRC / unit / "README.md"
        if not path.exists():
            mistakes.append(f"src/{unit}: no README.md")
        elif len(path.read_text().splitlines()) > 100:
            mistakes.append(f"src/{unit}/README.md: longer than a screen or two; move the rest to docs/")
    complain(mistakes)


def test_every_extension_has_tests_and_registers_itself():
    mistakes = []
    for unit in units():
        if not unit.startswith("ext/"):
            continue
        _, kind, name = unit.split("/")
        if not list((SRC / unit / "test").glob("*_test.cc")):
            mistakes.append(f"src/{unit}: no test/*_test.cc")
        register = SRC / unit / "register.cc"
        if not register.exists() or f"void register_{kind}_{name}(" not in register.read_text():
            mistakes.append(f"src/{unit}/register.cc: no register_{kind}_{name}()")
    complain(mistakes)


def test_fuzz_targets_have_a_corpus():
    complain([f"{path}: no files in {path.parent / (path.stem + '_corpus')}" for path in FILES
              if path.name.endswith("_fuzz.cc") and not list((ROOT / path.parent / (path.stem + "_corpus")).glob("*"))])


def test_files_stay_readable():
    complain([f"{path}: {count} lines; {LINES_MAX} are enough" for path in FILES
              if path.suffix in CODE and (count := len(text(path).splitlines())) > LINES_MAX])


def test_nothing_is_left_for_later():
    words = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"])
    mistakes = []
    for path in FILES:
        if path.suffix in CODE | {".md", ".yaml", ".yml", ".txt", ".html", ".css", ""} and "corpus" not in str(path.parent):
            mistakes += [f"{path}:{number}: {line.strip()[:80]}" for number, line in enumerate(text(path).splitlines(), 1)
                         if re.search(rf"\b({words})\b", line)]
    complain(mistakes)


def test_metrics_carry_the_name_of_the_house():
    # The first argument of whatever makes or writes a metric.
    makers = re.compile(r'\b(?:counter|gauge|histogram|family|sample)\(\s*"([^"]*)"')
    names = [(path, name) for path in FILES if path.parts[0] == "src" and path.suffix == ".cc" and "test" not in path.parts
             for name in makers.findall(text(path))]
    check(len(names) >= 10, "the metrics are made in another way now: teach this test", names)
    complain([f"{path}: the metric '{name}' is not penstock_ and lower case" for path, name in names
              if not re.fullmatch(r"penstock_[a-z0-9_]+", name)])


def environment_of(config):
    """A value for each variable a configuration names without a default."""
    names = re.findall(r"\$\{([A-Z][A-Z0-9_]*)\}", config)
    return {name: f"value-of-{name.lower()}" for name in names if not name.startswith("PENSTOCK_FOUND_")}


def in_a_copy_of_the_checkout(*arguments, environment):
    """Runs the binary where configs/ stands beside it and nothing it leaves behind stays."""
    folder = harness.folder()
    (folder / "configs").symlink_to(ROOT / "configs")
    before = os.getcwd()
    os.chdir(folder)
    try:
        return command(*arguments, environment=environment)
    finally:
        os.chdir(before)


def test_every_example_configuration_is_fine():
    examples = [path for path in FILES if path.parts[0] == "configs" and path.suffix == ".yaml"]
    check(examples, "there are no examples")
    mistakes = []
    for path in examples:
        config = text(path)
        environment = environment_of(config)
        status, _, errors = in_a_copy_of_the_checkout("check", str(path), environment=environment)
        if status != 0 or errors:
            mistakes.append(f"penstock check {path}: {errors.strip()}")
        if re.search(r"^\s+tests:", config, re.MULTILINE):
            status, output, errors = in_a_copy_of_the_checkout("test", str(path), environment=environment)
            if status != 0:
                mistakes.append(f"penstock test {path}: {output.strip()} {errors.strip()}")
    complain(mistakes)


if __name__ == "__main__":
    harness.run(globals())
