"""docs/reliability.md promises nothing that no test holds it to."""

import re

import harness
from harness import ROOT, check, equal

COLUMNS = ["fault", "what the client sees", "what metrics and log say", "what recovers, and when", "test"]


def rows():
    lines = [line for line in (ROOT / "docs" / "reliability.md").read_text().splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    equal(table[0], COLUMNS)
    return table[2:]


def unit_tests():
    found = set()
    for path in (ROOT / "src").rglob("test/*_test.cc"):
        found |= {f"{suite}.{name}" for suite, name in re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text())}
    return found


def test_every_row_names_a_test_that_exists():
    units = unit_tests()
    check(len(units) > 300, "unit tests found:", len(units))
    for row in rows():
        equal(len(row), len(COLUMNS), "columns of", row)
        check(all(row), "an empty cell in", row)
        names = re.findall(r"`([\w.]+)`", row[-1])
        check(names and re.sub(r"`[\w.]+`|[,\s]", "", row[-1]) == "", "the last column is names of tests:", row[-1])
        for name in names:
            group, _, test = name.partition(".")
            if group.endswith("_test"):
                path = ROOT / "tests" / f"{group}.py"
                check(path.exists() and re.search(rf"^def {test}\(", path.read_text(), re.M), "there is no test", name)
            else:
                check(name in units, "there is no test", name)


def test_every_test_of_faults_has_a_row():
    named = {name for row in rows() for name in re.findall(r"`([\w.]+)`", row[-1])}
    for path in sorted((ROOT / "tests").glob("faults_*_test.py")):
        for test in re.findall(r"^def (test_\w+)\(", path.read_text(), re.M):
            check(f"{path.stem}.{test}" in named, "docs/reliability.md has no row for", f"{path.stem}.{test}")


if __name__ == "__main__":
    harness.run(globals())
