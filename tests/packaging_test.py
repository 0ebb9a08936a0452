"""What is shipped beside the program: the systemd units, the bill of materials, and how the program itself was linked."""

import json
import re
import shutil
import subprocess
import sys

import harness
from harness import BINARY, ROOT, check, equal

UNITS = ROOT / "packaging" / "systemd"
# Of 100: what `systemd-analyze security` thinks is exposed. A service without any hardening has 96.
EXPOSURE_MOST = 20


def settings(unit):
    """Section -> name -> values in order, for units without continued lines."""
    found, section = {}, None
    for line in (UNITS / unit).read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(match[1], {})
        elif line and line[0] not in "#;":
            name, equals, value = line.partition("=")
            check(section is not None and equals and re.fullmatch(r"[A-Z]\w+", name), unit, "has a line that says nothing:", line)
            section.setdefault(name, []).append(value)
    return found


def test_the_units_are_whole_and_shut():
    service = settings("penstock.service")
    equal(sorted(service), ["Install", "Service", "Unit"])
    for name, value in {"ProtectSystem": "strict", "NoNewPrivileges": "yes", "DynamicUser": "yes", "CapabilityBoundingSet": "", "MemoryDenyWriteExecute": "yes",
                        "StateDirectory": "penstock", "Type": "notify", "LimitCORE": "0", "Restart": "on-failure"}.items():
        equal(service["Service"].get(name), [value], name)
    socket = settings("penstock.socket")
    equal(socket["Socket"]["FileDescriptorName"], ["data"])
    equal(sorted(socket), ["Install", "Socket", "Unit"])


def test_systemd_understands_the_units_and_finds_little_exposed():
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        print("     (systemd-analyze is not installed)")
        return
    folder = harness.folder()
    for unit in UNITS.iterdir():
        (folder / unit.name).write_text(unit.read_text().replace("/usr/bin/penstock", BINARY))
    said = subprocess.run([analyze, "verify", "--man=no", "--recursive-errors=no", *map(str, folder.iterdir())], capture_output=True, text=True, check=False)
    about_ours = [line for line in said.stderr.splitlines() if "penstock" in line]
    equal((said.returncode, about_ours), (0, []))
    graded = subprocess.run([analyze, "security", "--offline=true", f"--threshold={EXPOSURE_MOST}", "--no-pager", str(folder / "penstock.service")],
                            capture_output=True, text=True, check=False)
    if "Unknown" in graded.stderr or "unrecognized" in graded.stderr:
        print("     (this systemd cannot grade a file)")
        return
    equal(graded.returncode, 0, (graded.stdout + graded.stderr)[-400:])


def test_the_program_was_linked_against_common_ways_in():
    readelf = shutil.which("readelf") or shutil.which("llvm-readelf")
    if not readelf:
        print("     (readelf is not installed)")
        return
    read = lambda *what: subprocess.run([readelf, "-W", *what, BINARY], capture_output=True, text=True, check=True).stdout
    check(re.search(r"Type:\s+DYN", read("-h")), "it is loaded at a fixed address")
    segments = read("-l")
    check("GNU_RELRO" in segments, "its tables stay writable")
    stack = re.search(r"GNU_STACK.*?(R\S*)\s", segments)
    check(stack and "E" not in stack[1], "its stack can be run")
    check(not re.search(r"LOAD.*\bRWE\b", segments), "a segment is both written and run")
    dynamic = read("-d")
    check("BIND_NOW" in dynamic or re.search(r"FLAGS.*\bNOW\b", dynamic), "it binds functions late, so its tables stay writable")
    check("TEXTREL" not in dynamic, "its code is relocated")


def test_the_bill_of_materials_names_what_the_program_is_made_of():
    path = harness.folder() / "sbom.json"
    made = subprocess.run([sys.executable, str(ROOT / "tools" / "sbom.py"), BINARY, str(path)], capture_output=True, text=True, check=False)
    equal(made.returncode, 0, made.stderr)
    bill = json.loads(path.read_text())
    # CycloneDX 1.5: required fields, and those that make a component findable in advisories.
    equal((bill["bomFormat"], bill["specVersion"], bill["version"]), ("CycloneDX", "1.5", 1))
    check(re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"]), bill["serialNumber"])
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bill["metadata"]["timestamp"]), bill["metadata"]["timestamp"])
    program = bill["metadata"]["component"]
    equal((program["type"], program["name"]), ("application", "penstock"))
    said = harness.command("--version")[1]
    check(program["version"] in said.splitlines()[0], program, said)
    check(re.fullmatch(r"[0-9a-f]{64}", program["hashes"][0]["content"]), program["hashes"])
    references = [program["bom-ref"]]
    for component in bill["components"]:
        for field in ("type", "bom-ref", "name", "version", "purl", "licenses"):
            check(component.get(field), component.get("name"), "has no", field)
        equal(component["type"], "library")
        references.append(component["bom-ref"])
    equal(len(set(references)), len(references), "references are unique")
    names = {component["name"] for component in bill["components"]}
    loaded = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    for library in ("libssl", "libsqlite3", "libmosquitto", "libyaml-cpp", "libsimdjson", "libcares", "libseccomp"):
        check(library not in loaded or any(name.startswith((library, library.replace("libcares", "libc-ares"))) for name in names), library, "is missing among", names)
    check(any("boost" in name for name in names), "Boost, which is compiled in, is missing")
    depends = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    equal(sorted(depends[program["bom-ref"]]), sorted(references[1:]))
    again = harness.folder() / "sbom.json"
    subprocess.run([sys.executable, str(ROOT / "tools" / "sbom.py"), BINARY, str(again)], check=True)
    strip = lambda b: {k: v for k, v in json.loads(b).items() if k not in ("metadata",)}
    equal(strip(path.read_text()), strip(again.read_text()), "the same program has the same bill")


def test_every_linked_library_is_described():
    page = (ROOT / "docs" / "dependencies.md").read_text()
    linked = set()
    for path in [ROOT / "cmake" / "penstock.cmake", *ROOT.glob("src/**/CMakeLists.txt")]:
        text = path.read_text()
        for match in re.finditer(r"\bLIBS((?:\s+[\w.:+-]+)+)", text):
            linked |= {name for name in match[1].split() if name[0].isalpha()}
    check(len(linked) > 5, linked)
    missing = sorted(name for name in linked if not re.search(rf"`(lib)?{re.escape(name)}`", page))
    equal(missing, [], "docs/dependencies.md says nothing of these")


if __name__ == "__main__":
    harness.run(globals())
