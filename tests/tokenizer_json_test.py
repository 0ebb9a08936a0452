"""Our tokens by tokenizer.json files against those of the tokenizers library (PyPI), over random and multilingual text.

build/tokenizer_json_lines speaks for ours; tests/models/tokenizers holds the files. From each, others are made here: all
normalizers, pre-tokenizers and kinds of added tokens over the same small vocabularies. The library is in .cache/venv
(./dev setup test).
"""

import itertools
import json
import os
import pathlib
import random
import subprocess

import harness
from harness import ROOT, check, equal

LINES = pathlib.Path(os.environ.get("PENSTOCK_BUILD_DIR", ROOT / "build")) / "tokenizer_json_lines"
PYTHON = os.environ.get("PENSTOCK_TEST_PYTHON", str(ROOT / ".cache" / "venv" / "bin" / "python"))
FILES = ROOT / "tests" / "models" / "tokenizers"
SEED = 20260722

CROSSROADS = list("aAbBzZsStTmMdDlLrReEvV''''  \t\n\r/.,!?-_=+$^`~0123456789#<>|[]") + [
    "'s", "'LL", "[MASK]", "<mask>", "</s>", "<s>", "<|end|>", "##", "▁", "\u00a0", "\u3000", "\u2028", "\u0085", "\u001c",
    "é", "É", "e\u0301", "ß", "ẞ", "İ", "中", "あ", "한", "ǅ", "ʰ", "٣", "½", "Ⅷ", "①", "ﬁ", "\u0301", "\u0323", "\u093f",
    "\u200d", "\u200b", "👍", "🇪🇸", "\U0001f3fd", "\U00020000", "\U0002b8ff", "µ", "°C", "Σ", "ς", "  ", "   "]
WORDS = ("the pump runs hotter Die Pumpe läuft heißer насос греется горячее 三号厂房的水泵 ポンプは熱く 펌프는 뜨겁고 "
         "المضخة أسخن मंप पिछली ปั๊มร้อน doesn't they've 42.7 1480 rpm (i++) values[i] café Ångström").split()

PEER = """
import json, sys
from tokenizers import Tokenizer
for line in sys.stdin:
    asked = json.loads(line)
    if "file" in asked:
        tokenizer = Tokenizer.from_file(asked["file"])
        tokenizer.no_padding()
        tokenizer.no_truncation()
        print(0)
    else:
        print(tokenizer.encode(asked["text"]).ids)
"""


def answers(command, asked):
    text = "".join(json.dumps(one) + "\n" for one in asked)
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=280)
    check(said.returncode == 0, command[0], said.stderr[-800:])
    lines = said.stdout.splitlines()
    equal(len(lines), len(asked), "answers")
    return lines


def need_peer():
    if not LINES.exists():
        harness.skip(f"{LINES} is not built")
    if subprocess.run([PYTHON, "-c", "import tokenizers"], capture_output=True, check=False).returncode != 0:
        harness.skip("the package tokenizers is not there; ./dev setup test installs it")


def any_character(random_):
    point = random_.choice([random_.randrange(0x3000), random_.randrange(0x3000), random_.randrange(0x110000 - 0x800)])
    return chr(point if point < 0xD800 else point + 0x800)


def assigned(text):
    """Without characters that are newer than the library's tables, or than ours."""
    import unicodedata
    return "".join(c for c in text if unicodedata.ucd_3_2_0.category(c) != "Cn" or c in CROSSROADS)


def texts(count, random_):
    for index in range(count):
        kind = index % 4
        if kind == 0:
            text = "".join(random_.choice(CROSSROADS) for _ in range(random_.randrange(1, 40)))
        elif kind == 1:
            text = " ".join(random_.choice(WORDS) for _ in range(random_.randrange(1, 20)))
        elif kind == 2:
            text = "".join(random_.choice([random_.choice(CROSSROADS), random_.choice(WORDS), any_character(random_)])
                           for _ in range(random_.randrange(1, 30)))
        else:
            text = random_.choice(WORDS + CROSSROADS) * random_.randrange(1, 80)
        yield assigned(text)


def compare(files, each):
    """Asks both about `each` texts for every file; the files that differ fail with their first difference."""
    random_ = random.Random(SEED)
    asked = []
    for file in files:
        asked += [{"file": str(file)}] + [{"text": text} for text in texts(each, random_)]
    ours = answers([str(LINES)], asked)
    theirs = answers([PYTHON, "-c", PEER], asked)
    wrong, compared, file = {}, 0, ""
    for one, mine, other in zip(asked, ours, theirs):
        if "file" in one:
            file = one["file"]
            check(mine.isdigit(), file, mine)
            continue
        compared += 1
        if json.loads(mine) != json.loads(other):
            wrong.setdefault(file, []).append((one["text"], mine, other))
    if wrong:
        lines = [f"{pathlib.Path(file).name}: {len(found)} differ, first {min(found, key=lambda f: len(f[0]))!r}"
                 for file, found in wrong.items()]
        raise harness.Failure(f"{sum(map(len, wrong.values()))} of {compared} texts:\n" + "\n".join(lines))
    print(f"     {compared} texts with {len(files)} files")


def written(name, document):
    path = harness.folder() / f"{name}.json"
    path.write_text(json.dumps(document))
    return path


def test_published_kinds_give_the_librarys_tokens():
    need_peer()
    compare([FILES / f"{name}.json" for name in ("bert", "roberta", "llama_3", "llama_2", "clip", "xlm")], 2000)


NORMALIZERS = [
    None, {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
    {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False, "strip_accents": None, "lowercase": False},
    {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": True, "strip_accents": True, "lowercase": False},
    {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": True},
    {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"},
    {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Strip", "strip_left": False, "strip_right": True},
    {"type": "Strip", "strip_left": True, "strip_right": False},
    {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Prepend", "prepend": "x "}]},
    {"type": "Replace", "pattern": {"String": "a"}, "content": " bb"},
    {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "_"},
]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
PRE_TOKENIZERS = [
    None, {"type": "BertPreTokenizer"}, {"type": "Whitespace"}, {"type": "WhitespaceSplit"},
    {"type": "CharDelimiterSplit", "delimiter": "e"},
    {"type": "Digits", "individual_digits": True}, {"type": "Digits", "individual_digits": False},
    *[{"type": "Punctuation", "behavior": behavior} for behavior in BEHAVIORS],
    *[{"type": "Split", "pattern": {"String": " "}, "behavior": behavior, "invert": invert}
      for behavior in BEHAVIORS for invert in (False, True)],
    *[{"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}
      for pattern in ("\\s+", "\\s", "\\p{N}", "\\p{N}{1,3}", "\\d+") for behavior in ("Isolated", "Removed")],
    *[{"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
      for scheme in ("always", "first", "never") for split in (True, False)],
    *[{"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": regex}
      for space in (True, False) for regex in (True, False)],
    {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Isolated"},
                                           {"type": "Digits", "individual_digits": True}]},
]
GPT_PATTERNS = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]


def load(name):
    return json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))


def test_every_normalizer_gives_the_librarys_tokens():
    need_peer()
    files = []
    for index, normalizer in enumerate(NORMALIZERS):
        for base in ("bert", "llama_2"):
            files.append(written(f"{base}_{index}", {**load(base), "normalizer": normalizer}))
    compare(files, 300)


def test_every_pre_tokenizer_gives_the_librarys_tokens():
    need_peer()
    files = []
    for index, pre_tokenizer in enumerate(PRE_TOKENIZERS):
        base = ("bert", "llama_2", "xlm")[index % 3]
        files.append(written(f"{base}_{index}_{(pre_tokenizer or {}).get('type')}",
                             {**load(base), "normalizer": None, "pre_tokenizer": pre_tokenizer}))
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    for index, pattern in enumerate(GPT_PATTERNS):
        split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        removed = {**split, "behavior": "Removed", "invert": True}
        for form in (split, removed):
            files.append(written(f"gpt_{index}", {**load("roberta"), "pre_tokenizer": {
                "type": "Sequence", "pretokenizers": [form, byte_level]}}))
    compare(files, 200)


def test_every_kind_of_added_token_gives_the_librarys_tokens():
    need_peer()
    files = []
    for flags in itertools.product((False, True), repeat=4):
        single_word, lstrip, rstrip, normalized = flags
        document = load("bert")
        for place, content in enumerate(["<mask>", "Pump", "runs hot", "▁x", "é"]):
            document["added_tokens"].append({
                "id": len(document["model"]["vocab"]) + place, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
                "normalized": normalized, "special": False})
        files.append(written("added_" + "".join(str(int(flag)) for flag in flags), document))
    compare(files, 300)


def test_models_options_give_the_librarys_tokens():
    need_peer()
    files = []
    for name, changes in {
        "llama_2": [{"byte_fallback": False}, {"byte_fallback": False, "fuse_unk": False}, {"ignore_merges": True},
                    {"unk_token": None, "byte_fallback": False}],
        "roberta": [{"ignore_merges": True}], "bert": [{"max_input_chars_per_word": 5}], "xlm": [{"byte_fallback": True}],
    }.items():
        for index, change in enumerate(changes):
            document = load(name)
            document["model"].update(change)
            files.append(written(f"{name}_{index}", document))
    compare(files, 800)


def test_long_words_take_linear_time():
    if not LINES.exists():
        harness.skip(f"{LINES} is not built")
    asked, names = [], []
    for name in ("bert", "roberta", "llama_2", "xlm"):
        for text in ("a" * 250_000, "\u0301\u0323" * 60_000, "<" * 250_000, "the pump runs " * 18_000):
            asked += [{"file": str(FILES / f"{name}.json")}, {"bytes": text, "times": 1}]
            names.append(f"{name} {text[:4]!r}")
    for name, line in zip(names, answers([str(LINES)], asked)[1::2]):
        check(int(line) < 20e9, name, "took", line, "ns")  # quadratic would be hours


def test_speed_is_reported():
    if not LINES.exists():
        harness.skip(f"{LINES} is not built")
    text = " ".join(word for word in WORDS if word.isascii()) + " " + "The pump in hall three runs hotter than last winter. " * 20
    for name in ("bert", "roberta", "llama_3", "llama_2", "clip", "xlm"):
        line = answers([str(LINES)], [{"file": str(FILES / f"{name}.json")}, {"bytes": text, "times": 200}])[1]
        print(f"     {name}: {len(text.encode()) * 200 / int(line) * 1000:.1f} MB/s")


def test_what_is_not_supported_is_refused_by_name():
    if not LINES.exists():
        harness.skip(f"{LINES} is not built")
    changes = [
        ({"normalizer": {"type": "Nmt"}}, "normalizer 'Nmt' is not supported"),
        ({"pre_tokenizer": {"type": "UnicodeScripts"}}, "pre-tokenizer 'UnicodeScripts' is not supported"),
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "x*"}, "behavior": "Isolated"}}, "'x*' is not supported"),
        ({"post_processor": {"type": "Odd"}}, "post-processor 'Odd' is not supported"),
        ({"model": {"type": "WordLevel", "vocab": {"a": 0}}}, "model 'WordLevel' is not supported"),
        ({"model": {"type": "WordPiece", "vocab": {"a": 0}}}, "'[UNK]' is not in the vocabulary"),
        ({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}, "merges[0]"),
        ({"model": None}, "no tokenizer.json"),
    ]
    for change, wanted in changes:
        path = written("refused", {**load("bert"), **change})
        said = answers([str(LINES)], [{"file": str(path)}])[0]
        check(wanted in said, said, "instead of", wanted)


if __name__ == "__main__":
    harness.run(globals())
