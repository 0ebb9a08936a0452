"""Adding a folder is enough: a step nobody knew is put into a copy of the tree, and the program built from it has it.

The copy is configured from scratch and its own link command makes the program. Only what the folder changes is compiled:
the step and the generated table. Every other archive is the running build's, made from the same sources, which keeps
this at seconds instead of a whole build.
"""

import os
import pathlib
import re
import shutil
import subprocess

import harness
from harness import ROOT, check, equal

BUILD = pathlib.Path(os.environ.get("PENSTOCK_BUILD_DIR", ROOT / "build"))
FORWARDED = ["CMAKE_BUILD_TYPE", "CMAKE_CXX_COMPILER", "CMAKE_CXX_FLAGS", "CMAKE_EXE_LINKER_FLAGS", "PENSTOCK_SANITIZE",
             "PENSTOCK_BATCH", "PENSTOCK_ORT_INCLUDE", "PENSTOCK_ORT_LIBRARY_DIR"]

CMAKE = "penstock_extension(DEPS ingest)\n"

REGISTER = """#include "base/registry.h"
#include "ingest/contracts.h"

namespace penstock::ext {
namespace {

class Twice : public ingest::Step {
 public:
  void push(ingest::Sample sample, ingest::Output& out) override {
    const ingest::Field* field = sample.find("temp");
    const double* value = field == nullptr ? nullptr : std::get_if<double>(&field->value);
    if (value != nullptr) sample.set("twice", *value * 2);
    out.emit(std::move(sample));
  }
};

}  // namespace

void register_steps_throwaway(base::Registry& registry) {
  registry.add("throwaway", ingest::StepFactory{[](const config::Node&, const ingest::StepContext&) { return std::make_unique<Twice>(); }});
}

}  // namespace penstock::ext
"""

CONFIG = """
sources: { line: { http: {} } }
pipelines:
  watch:
    from: line
    steps:
      - throwaway: {}
      - alarm: { name: hot, raise: "twice > 100", clear: "twice < 50" }
    to: [ { log: {} } ]
    tests: [ { feed: feed.csv, expect: { alarms: [hot] }, within: 10s } ]
"""
FEED = "time,device,temp\n" + "".join(f"2026-01-31T12:00:0{i}Z,oven,{40 + 5 * i}.5\n" for i in range(6))


def cached():
    """The variables of the running build."""
    path = BUILD / "CMakeCache.txt"
    if not path.exists():
        harness.skip(f"no {path}: set PENSTOCK_BUILD_DIR to the build folder")
    return dict(re.findall(r"^(\w+):\w+=(.*)$", path.read_text(), re.MULTILINE))


def run(*arguments, cwd):
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False)
    check(done.returncode == 0, " ".join(map(str, arguments)), "\n", done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def copy_of_the_tree(folder):
    def ignored(path, names):
        if pathlib.Path(path) != ROOT:
            return []
        return [name for name in names if name.startswith((".", "build")) or name in ("var", "docs", "configs")]
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=ignored)
    step = tree / "src" / "ext" / "steps" / "throwaway"
    step.mkdir()
    (step / "CMakeLists.txt").write_text(CMAKE)
    (step / "register.cc").write_text(REGISTER)
    return tree


def build_program(tree, variables):
    """Configures the copy, compiles what is new, and links the program as its build file says."""
    ninja = variables["CMAKE_MAKE_PROGRAM"]
    build = tree / "build"
    run("cmake", "-G", "Ninja", "-S", tree, "-B", build, f"-DCMAKE_MAKE_PROGRAM={ninja}",
        *(f"-D{name}={variables[name]}" for name in FORWARDED if name in variables), cwd=tree)
    table = (build / "generated" / "extension_table.cc").read_text()
    check("register_steps_throwaway(registry);" in table, "the folder is not in the generated table\n", table)

    targets = run(ninja, "-t", "targets", "all", cwd=build).splitlines()
    objects = [name.split(":")[0] for name in targets if re.search(r"(steps_throwaway\.dir/.*|extension_table\.cc)\.o:", name)]
    equal(len(objects), 2, "objects of the step and the table:", objects)
    run(ninja, "-j1", *objects, cwd=build)

    commands = run(ninja, "-t", "commands", "penstock", cwd=build).splitlines()
    archives = [line for line in commands if re.search(r"libpenstock_(ext_steps_throwaway|extensions)\.a\b", line) and " -o penstock " not in line]
    link = [line for line in commands if re.search(r" -o penstock\b", line)]
    equal((len(archives), len(link)), (2, 1), "commands that make the two archives and the program")
    check("libpenstock_ext_steps_throwaway.a" in link[0], "the program is not linked with the new folder")
    for command in archives:
        run("sh", "-c", command, cwd=build)
    for name in re.findall(r"(?<=\s)[^\s/][^\s]*\.[ao](?=\s|$)", link[0]):
        if not (build / name).exists():
            check((BUILD / name).exists(), f"the running build has no {name}: build all of it first")
            (build / name).parent.mkdir(parents=True, exist_ok=True)
            (build / name).symlink_to((BUILD / name).resolve())
    run("sh", "-c", link[0], cwd=build)
    return build / "penstock"


def test_a_new_folder_is_in_the_program():
    variables = cached()
    if variables.get("CMAKE_GENERATOR") != "Ninja" or variables.get("PENSTOCK_FUZZ") == "ON":
        harness.skip("the build is not an ordinary one made with Ninja")
    folder = harness.folder()
    config = folder / "edge.yaml"
    config.write_text(CONFIG)
    (folder / "feed.csv").write_text(FEED)

    status, _, errors = harness.command("check", str(config))
    equal(status, 2, "the program without the folder")
    check("throwaway" in errors and f"{config}:" in errors, "it should say where the step it does not know stands:", errors)

    program = build_program(copy_of_the_tree(folder), variables)
    checked = subprocess.run([program, "check", config], cwd=folder, capture_output=True, text=True, check=False)
    equal(checked.returncode, 0, checked.stdout, checked.stderr)
    check("throwaway" in checked.stdout, "the plan should name the step:", checked.stdout)
    tested = subprocess.run([program, "test", config], cwd=folder, capture_output=True, text=True, check=False)
    equal(tested.returncode, 0, tested.stdout, tested.stderr)
    check("1 passed, 0 failed" in tested.stdout, tested.stdout)


if __name__ == "__main__":
    harness.run(globals())
