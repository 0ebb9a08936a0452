"""How fast text is counted in tokens: ours against OpenAI's tiktoken (Rust below Python) and gpt-tokenizer (JavaScript)."""

import json
import pathlib
import shutil
import subprocess
import tempfile

import programs
import report

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = pathlib.Path(programs.BINARY).parent / "tokenize"
CACHE = ROOT / ".cache"
TEXTS = [("prose", "this repository's pages"), ("code", "its sources"), ("chinese", "made-up Chinese"), ("one_word", "a megabyte of random letters"),
         ("a", "a megabyte of one letter"), ("blanks", "a megabyte of blanks"), ("emoji", "a megabyte of one emoji")]
ENCODINGS = ["o200k_base", "cl100k_base"]
# What takes longer than this for a megabyte is not waited for.
SLOW_SECONDS = 20

NODE = """
const [, root, encoding, file] = process.argv, fs = require("fs");
const { countTokens } = require(`${root}/cjs/encoding/${encoding}.js`);
const text = fs.readFileSync(file, "utf8");
let best = Infinity;
for (let i = 0; i < 3; ++i) {
  const start = process.cpuUsage();
  countTokens(text);
  const took = process.cpuUsage(start);
  best = Math.min(best, took.user + took.system);
}
console.log(Buffer.byteLength(text) / best);
"""
PYTHON = """
import base64, pathlib, sys, time, tiktoken
from tiktoken_ext import openai_public
folder, encoding, file = sys.argv[1:]
def ranks(url, expected_hash=None):
    lines = (pathlib.Path(folder) / url.rsplit("/", 1)[1]).read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
openai_public.load_tiktoken_bpe = ranks
made = tiktoken.Encoding(**openai_public.ENCODING_CONSTRUCTORS[encoding]())
text = pathlib.Path(file).read_text()
best = float("inf")
for _ in range(3):
    start = time.process_time()
    made.encode_ordinary(text)
    best = min(best, time.process_time() - start)
print(len(text.encode()) / best / 1e6)
"""


def others():
    """Name -> the command that prints megabytes a second, but for the encoding and the file."""
    found = {}
    python, package = CACHE / "venv" / "bin" / "python", CACHE / "tokenizer" / "package"
    if python.exists() and not subprocess.run([python, "-c", "import tiktoken"], capture_output=True, check=False).returncode:
        found["tiktoken"] = [str(python), "-c", PYTHON, str(CACHE / "tokenizer")]
    if shutil.which("node") and (package / "cjs").exists():
        found["gpt-tokenizer"] = ["node", "-e", NODE, str(package)]
    return found


def our_speeds():
    said = subprocess.run([OURS], capture_output=True, text=True, check=True).stdout
    speeds, encoding = {}, ""
    for line in said.splitlines():
        words = line.split()
        if words[0] in ENCODINGS:
            encoding = words[0]
        else:
            speeds[f"{encoding} {words[0]}"] = float(words[3])
    return speeds


def their_speeds(command, folder, slow):
    speeds = {}
    for encoding in ENCODINGS:
        for text, _ in TEXTS:
            metric = f"{encoding} {text}"
            if (command[0], metric) in slow:
                continue
            try:
                said = subprocess.run([*command, encoding, str(folder / text)], capture_output=True, text=True, check=False, timeout=SLOW_SECONDS)
            except subprocess.TimeoutExpired:
                slow.add((command[0], metric))
                continue
            if said.returncode == 0:
                speeds[metric] = float(said.stdout)
    return speeds


def tokenize(options):
    if not OURS.exists():
        raise programs.Missing(f"{OURS} is not built")
    host = report.machine()
    rivals, slow, rounds = others(), set(), []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([OURS, "--write", folder], check=True)
        for _ in range(options.rounds):
            rounds.append({"penstock": our_speeds(), **{who: their_speeds(command, folder, slow) for who, command in rivals.items()}})
    metrics = [(f"{encoding} {text}", 1, f"{encoding}, {label}: MB/s") for encoding in ENCODINGS for text, label in TEXTS]
    metrics += [(f"{encoding} chat", 0, f"{encoding}, a chat of 240 bytes: ns") for encoding in ENCODINGS]
    notes = ["Megabytes a second of one core's time, best of five in ours and of three in the others, which start with the text in memory.",
             "Ours and gpt-tokenizer count; tiktoken makes the list of tokens, as it has no count.",
             f"–: took over {SLOW_SECONDS} s by the clock, also because others used the machine, or failed."]
    report.write("tokenize", "Counting tokens", notes, rounds, report.table(rounds, ["penstock", *rivals], metrics, "penstock"), host)
