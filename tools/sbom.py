#!/usr/bin/env python3
"""The bill of materials of a built penstock, as CycloneDX 1.5 JSON: what it links, what is compiled in, what it loads.

    tools/sbom.py PROGRAM OUTPUT

Names and versions are those of the machine's packages, so that advisories can be looked up by them. The same program on
the same machine gives the same file.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

# SPDX licence by the beginning of a package's name; the longest match counts.
LICENCES = {
    "libboost": "BSL-1.0", "libbrotli": "MIT", "libc-ares": "MIT", "libc6": "LGPL-2.1-or-later", "libcares": "MIT", "libcli11": "BSD-3-Clause", "libfmt": "MIT",
    "libhiredis": "BSD-3-Clause", "libmodbus": "LGPL-2.1-or-later", "libutf8proc": "MIT", "libgcc": "GPL-3.0-or-later WITH GCC-exception-3.1", "libmosquitto": "EPL-2.0 OR BSD-3-Clause", "libnghttp2": "MIT", "libseccomp": "LGPL-2.1-only",
    "libsimdjson": "Apache-2.0", "libsqlite3": "blessing", "libssl": "Apache-2.0", "libstdc++": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "liburing": "LGPL-2.1-or-later OR MIT", "libwslay": "MIT", "libyaml-cpp": "MIT", "libzstd": "BSD-3-Clause", "onnxruntime": "MIT", "zlib1g": "Zlib",
}
# Only headers: no file of theirs is loaded.
COMPILED_IN = ["libboost1.81-dev", "libboost1.83-dev", "libboost1.88-dev", "libboost1.90-dev", "libcli11-dev"]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def distribution():
    path = pathlib.Path("/etc/os-release")
    match = re.search(r"^ID=\"?(\w+)", path.read_text(), re.M) if path.exists() else None
    return match[1] if match else "linux"


def package_of(file):
    """The package a file came with: (name, version, architecture), or nothing."""
    real = os.path.realpath(file)
    for path in dict.fromkeys([file, real, real.removeprefix("/usr"), "/usr" + file]):
        if owner := run("dpkg-query", "-S", path):
            return package(owner.split(":")[0].split(",")[0])
    return None


def package(name):
    found = run("dpkg-query", "-W", "-f", "${Status}\t${Package}\t${Version}\t${Architecture}\n", name)
    for line in found.splitlines():
        status, *rest = line.split("\t")
        if status.endswith(" installed"):
            return tuple(rest)
    return None


def component(name, version, purl, how):
    known = max((k for k in LICENCES if name.startswith(k)), key=len, default=None)
    said = {"expression": LICENCES[known]} if known and " " in LICENCES[known] else {"license": {"id": LICENCES[known]}} if known else \
        {"license": {"name": f"see /usr/share/doc/{name}/copyright"}}
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "licenses": [said],
            "properties": [{"name": "penstock:linked", "value": how}]}


def of_package(found, how):
    name, version, architecture = found
    return component(name, version, f"pkg:deb/{distribution()}/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}", how)


def linked(program):
    for line in run("ldd", program).splitlines():
        match = re.search(r"(\S+) => (/\S+)", line) or re.search(r"^\s*()(/\S+ld-linux\S*)", line)
        if not match:
            continue
        found = package_of(match[2])
        if found:
            yield of_package(found, "dynamically")
        else:
            name = match[1] or os.path.basename(match[2])
            yield component(name, "unknown", f"pkg:generic/{name}", "dynamically")


def components(program, said):
    yield from linked(program)
    for name in COMPILED_IN:
        if found := package(name):
            yield of_package(found, "compiled in")
    if match := re.search(r"ONNX Runtime (\d[\w.]*)", said):
        yield component("onnxruntime", match[1], f"pkg:github/microsoft/onnxruntime@v{match[1]}", "loaded when a model needs it")


def bill(program):
    content = pathlib.Path(program).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    said = run(program, "--version")
    version = re.search(r"penstock (\S+)", said)
    parts = sorted({part["bom-ref"]: part for part in components(program, said)}.values(), key=lambda part: part["bom-ref"])
    made = int(os.environ.get("SOURCE_DATE_EPOCH", os.stat(program).st_mtime))
    reference = f"pkg:generic/penstock@{version[1] if version else 'unknown'}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_URL, digest + json.dumps(parts))),
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(made, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "tools/sbom.py"}]},
            "component": {"type": "application", "bom-ref": reference, "name": "penstock", "version": version[1] if version else "unknown", "purl": reference,
                          "hashes": [{"alg": "SHA-256", "content": digest}]},
        },
        "components": parts,
        "dependencies": [{"ref": reference, "dependsOn": [part["bom-ref"] for part in parts]}] + [{"ref": part["bom-ref"], "dependsOn": []} for part in parts],
    }


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if not os.access(sys.argv[1], os.X_OK):
        sys.exit(f"{sys.argv[1]} is no program; ./dev build makes one")
    pathlib.Path(sys.argv[2]).write_text(json.dumps(bill(os.path.realpath(sys.argv[1])), indent=1) + "\n")


main()
