"""Our tokens against those of other tokenizers: OpenAI's own tiktoken (PyPI) and gpt-tokenizer (npm), over random text.

build/token_lines speaks for ours; it checks on the way that counting agrees with encoding, whole and in parts. Ranks and
gpt-tokenizer are in .cache/tokenizer (tools/fetch_tokenizers.sh), tiktoken is in .cache/venv (./dev setup test).
"""

import json
import os
import pathlib
import random
import shutil
import subprocess

import harness
from harness import ROOT, check, equal

LINES = pathlib.Path(os.environ.get("PENSTOCK_BUILD_DIR", ROOT / "build")) / "token_lines"
TABLES = LINES.parent / "share" / "penstock"
CACHE = ROOT / ".cache"
ENCODINGS = ["o200k_base", "cl100k_base", "p50k_base", "r50k_base"]
TEXTS_EACH = 5000
SEED = 20260601

# Characters at which the patterns decide: cases, letters without case, marks, digits, blanks, contractions, symbols.
CROSSROADS = list("aAbBzZsStTmMdDlLrReEvV''''  \t\n\r/.,!?-_=0123456789") + [
    "ſ", "'s", "'LL", "'re", "\u00a0", "\u3000", "\u2028", "\u0085", "\u001c", "\ufeff", "é", "É", "ß", "中", "あ", "한", "ǅ",
    "ʰ", "٣", "½", "Ⅷ", "\u0301", "\u093f", "\u200d", "👍", "🇪", "\U0001f3fd", "\U00020000", "\U0010ffff", "\ufffd"]

# Reads lines like token_lines does; special tokens in a text are text.
NODE = """
const root = process.argv[1];
const encodings = {}, models = {};
const encoding = (name) => encodings[name] ??= require(`${root}/cjs/encoding/${name}.js`).default;
const model = (name) => models[name] ??= require(`${root}/cjs/model/${name}.js`).default;
const plain = { disallowedSpecial: new Set() };
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line);
  console.log(JSON.stringify(asked.chat ? model(asked.model).countChatCompletionTokens(asked.chat)
                                        : encoding(asked.encoding).encode(asked.text, plain)));
});
"""
PYTHON = """
import base64, json, pathlib, sys, tiktoken
from tiktoken_ext import openai_public
def ranks(url, expected_hash=None):
    path = pathlib.Path(sys.argv[1]) / url.rsplit("/", 1)[1]
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in path.read_bytes().splitlines() if line)}
openai_public.load_tiktoken_bpe = ranks
known = {}
for line in sys.stdin:
    asked = json.loads(line)
    name = asked["encoding"]
    if name not in known:
        known[name] = tiktoken.Encoding(**openai_public.ENCODING_CONSTRUCTORS[name]())
    print(known[name].encode_ordinary(asked["text"]))
"""


def answers(command, asked):
    text = "".join(json.dumps(one) + "\n" for one in asked)
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=280)
    check(said.returncode == 0, command[0], said.stderr[-500:])
    lines = said.stdout.splitlines()
    equal(len(lines), len(asked), "answers")
    return [json.loads(line) for line in lines]


def ours(asked):
    if not LINES.exists():
        harness.skip(f"{LINES} is not built")
    if not all((TABLES / f"{name}.bpe").exists() for name in ENCODINGS):
        harness.skip("the build had no ranks; run ./dev setup and build")
    return answers([str(LINES)], asked)


def any_character(random_):
    point = random_.randrange(0x110000 - 0x800)
    return chr(point if point < 0xD800 else point + 0x800)


def draw(random_, sources):
    size = random_.choice([1, 2, 3, 5, 8, 13, 30, 60, 150, 400])
    kind = random_.randrange(7)
    if kind <= 1:
        return "".join(random_.choice(CROSSROADS) for _ in range(size))
    if kind == 2:
        return "".join(random_.choice(CROSSROADS) * random_.randrange(1, 9) for _ in range(size // 3 + 1))
    if kind == 3:
        return random_.choice(CROSSROADS) * size * random_.choice([1, 1, 10])
    if kind == 4:
        source = random_.choice(sources)
        at = random_.randrange(len(source))
        return source[at:at + size * 4]
    if kind == 5:
        return json.dumps({random_.choice(CROSSROADS): [random_.random() for _ in range(size // 8)]}, indent=random_.choice([None, 1, 2, 4]))
    return "".join(any_character(random_) if random_.randrange(3) else random_.choice("abcdefgh ") for _ in range(size))


def texts():
    random_ = random.Random(SEED)
    sources = [path.read_text(errors="replace") for path in sorted((ROOT / "src" / "json").glob("*.cc")) + sorted((ROOT / "docs").glob("*.md"))]
    return [{"encoding": name, "text": draw(random_, sources)} for _ in range(TEXTS_EACH) for name in ENCODINGS]


def differing(asked, mine, theirs):
    return [(one["encoding"], one["text"][:80], got[:20], wanted[:20]) for one, got, wanted in zip(asked, mine, theirs) if got != wanted]


def test_our_tokens_are_those_of_tiktoken():
    python = CACHE / "venv" / "bin" / "python"
    if not python.exists() or subprocess.run([python, "-c", "import tiktoken"], capture_output=True, check=False).returncode:
        harness.skip("tiktoken is not here; ./dev setup test fetches it")
    asked = texts()
    equal(differing(asked, ours(asked), answers([str(python), "-c", PYTHON, str(CACHE / "tokenizer")], asked))[:3], [])
    print(f"     ({len(asked)} texts)")


def node():
    package = CACHE / "tokenizer" / "package"
    if not shutil.which("node") or not (package / "cjs").exists():
        harness.skip("node or gpt-tokenizer is not here; ./dev setup test fetches both")
    return ["node", "-e", NODE, str(package)]


def test_our_tokens_are_those_of_gpt_tokenizer():
    # JavaScript's \\s has U+FEFF and lacks U+0085, and its Unicode is a year newer: plain text does not tell.
    known = set("".join(CROSSROADS)) - {"\ufeff", "\u0085"} | {chr(point) for point in range(0x250) if point != 0x85}
    asked = [one for one in texts() if set(one["text"]) <= known]
    check(len(asked) > TEXTS_EACH, "too few texts are plain")
    equal(differing(asked, ours(asked), answers(node(), asked))[:3], [])
    print(f"     ({len(asked)} texts)")


def schema(random_, depth=0):
    kind = random_.choice(["string", "number", "integer", "boolean", "null", "array", "object", "enum", "any"][:9 if depth < 3 else 5])
    made = {"type": kind}
    if kind == "enum":
        made = {"type": "string", "enum": random_.sample(["a", "b c", "d\"e", "é"], 2)} if random_.randrange(2) else {"type": "integer", "enum": [1, 22]}
    if kind == "any":
        made = {}
    if kind == "array" and random_.randrange(4):
        made["items"] = schema(random_, depth + 1)
    if kind == "object" and random_.randrange(4):
        names = random_.sample(["name", "unit_of_measure", "x y", "längen", "zero"], random_.randrange(4))
        made["properties"] = {name: schema(random_, depth + 1) for name in names}
        made["required"] = names[:1]
    if random_.randrange(2):
        made["description"] = random_.choice(["A number", "Steps to prepare the recipe (no numbering).", "Größe\nin Metern"])
    return made


def draw_chat(random_):
    word = lambda: random_.choice(["hello", "Let's go\n", "", "{\"a\": 1}", "naïve 東京", "12345 == x"])
    messages = []
    for _ in range(random_.randrange(1, 6)):
        role = random_.choice(["system", "user", "assistant", "function"])
        message = {"role": role, "content": word()}
        if role == "function" or random_.randrange(4) == 0:
            message["name"] = "do_stuff"
        if role == "assistant" and random_.randrange(3) == 0:
            message["function_call"] = {"name": "do_stuff", "arguments": word()}
        messages.append(message)
    chat = {"messages": messages}
    if random_.randrange(2):
        chat["functions"] = [{"name": f"tool_{i}", **({"description": word()} if random_.randrange(2) else {}),
                              **({"parameters": {**schema(random_), "type": "object"}} if random_.randrange(3) else {})} for i in range(random_.randrange(3))]
    if random_.randrange(4) == 0:
        chat["function_call"] = random_.choice(["none", "auto", {"name": "do_stuff"}])
    return chat


def test_our_chats_count_as_those_of_gpt_tokenizer():
    random_ = random.Random(SEED)
    asked = [{"model": "gpt-4o", "chat": draw_chat(random_)} for _ in range(3000)]
    theirs, mine = answers(node(), asked), ours(asked)
    equal([(got, wanted, json.dumps(one)) for one, got, wanted in zip(asked, mine, theirs) if got != wanted][:3], [])
    print(f"     ({len(asked)} chats)")


if __name__ == "__main__":
    harness.run(globals())
