#!/usr/bin/python3
"""Writes the small tokenizer.json files the tests load: one of each kind that is published, trained on a few sentences.

Needs the tokenizers package (and sentencepiece for the table of replacements) from PyPI; the results are committed.
"""
import base64
import json
import os
import sys
import tempfile

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import AddedToken

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers")

SENTENCES = [
    "The pump in hall three runs hotter than it did last winter, and nobody has looked at its bearing since May.",
    "A gateway at the edge answers in milliseconds, because the model it asks lives in the same process.",
    "She doesn't believe what the sensor's saying; they've measured it twice, and it's still 42.7 degrees.",
    "Please restart the compressor, then check whether the pressure settles at 6 bar within ten minutes.",
    "for (int i = 0; i < count; ++i) { total += values[i] * 2; }  // adds them up",
    "Die Pumpe in Halle drei läuft heißer als im letzten Winter, und seit Mai hat niemand nach dem Lager gesehen.",
    "Größere Änderungen müssen über Nacht geprüft werden; die Straße bleibt gesperrt.",
    "La pompe du hall trois chauffe plus que l'hiver dernier, et personne n'a regardé le palier depuis mai.",
    "El compresor se detuvo a las 7:45 de la mañana; la presión bajó a 3,2 bares. ¿Quién lo reinició?",
    "Насос в третьем зале греется сильнее, чем прошлой зимой, и с мая никто не смотрел подшипник.",
    "三号厂房的水泵比去年冬天更热,从五月起没有人检查过轴承。",
    "第三ホールのポンプは去年の冬より熱くなっています。軸受けは五月から点検されていません。",
    "3번 홀의 펌프는 지난겨울보다 더 뜨겁고 5월 이후로 베어링을 점검한 사람이 없습니다.",
    "المضخة في القاعة الثالثة أسخن مما كانت عليه في الشتاء الماضي",
    "ห้องสามปั๊มร้อนกว่าฤดูหนาวที่แล้ว", "पंप पिछली सर्दियों से अधिक गर्म चलता है",
    "Temperature 71.5 °C, vibration 4.2 mm/s, speed 1480 rpm: alarm! 🔥👍", "naïve café Ångström ½ ﬁne № ①",
]
LLAMA_3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")


def save(name, tokenizer):
    text = tokenizer if isinstance(tokenizer, str) else tokenizer.to_str()
    with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")) + "\n")


def bert():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(SENTENCES, trainers.WordPieceTrainer(
        vocab_size=700, special_tokens=specials, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.decoder = decoders.WordPiece()
    save("bert", tokenizer)


def roberta():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    save("roberta", tokenizer)


def llama_3():
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA_3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<|begin|>", "<|end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])])
    save("llama_3", tokenizer)


def llama_2():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=800, special_tokens=specials, show_progress=False, limit_alphabet=60))
    made = json.loads(tokenizer.to_str())
    made["added_tokens"] = [token for token in made["added_tokens"] if token["id"] < 3]
    made["post_processor"] = {"type": "TemplateProcessing", "single": [
        {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    # As older files have them.
    made["model"]["merges"] = [merge if isinstance(merge, str) else " ".join(merge) for merge in made["model"]["merges"]]
    save("llama_2", json.dumps(made))


def clip():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.train_from_iterator(SENTENCES, trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>", "<end>"], end_of_word_suffix="</w>", show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("<end>", 1), ("<unk>", 0))
    save("clip", tokenizer)


def xlm():
    import sentencepiece
    rules = {"\ufb01": "fi", "\u2460": "1", "\u00bd": "1/2", "\u2116": "No", "\u3000": " ", "e\u0301": "\u00e9",
             "\u2103": "\u00b0C", "\u200b": "", "\uff21": "A"}
    with tempfile.TemporaryDirectory() as folder:
        table, corpus = os.path.join(folder, "rules.tsv"), os.path.join(folder, "corpus.txt")
        with open(table, "w", encoding="utf-8") as file:
            for what, by in rules.items():
                file.write(" ".join(f"{ord(c):X}" for c in what) + "\t" + " ".join(f"{ord(c):X}" for c in by) + "\n")
        with open(corpus, "w", encoding="utf-8") as file:
            file.write("\n".join(SENTENCES * 4))
        sentencepiece.SentencePieceTrainer.train(
            input=corpus, model_prefix=os.path.join(folder, "m"), vocab_size=600, model_type="unigram",
            normalization_rule_tsv=table, hard_vocab_limit=False, minloglevel=2)
        from sentencepiece import sentencepiece_model_pb2
        proto = sentencepiece_model_pb2.ModelProto()
        with open(os.path.join(folder, "m.model"), "rb") as file:
            proto.ParseFromString(file.read())
    pieces = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    pieces += [[piece.piece, piece.score] for piece in proto.pieces[3:]] + [["<mask>", 0.0]]
    mask = len(pieces) - 1
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    save("xlm", json.dumps({
        "version": "1.0", "truncation": None,
        "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1,
                    "pad_type_id": 0, "pad_token": "<pad>"},
        "added_tokens": [{"id": i, "content": pieces[i][0], **special} for i in range(4)]
        + [{"id": mask, "content": "<mask>", **special, "lstrip": True}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled",
             "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}}], "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                               "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}},
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": False}}))


def cases():
    """What the library makes of some texts, for the unit tests."""
    texts = ["", "Hello, world!", "The pump's bearing runs hot: 71.5 °C [MASK] <mask> now", "naïve Ångström café ﬁne ①",
             "  two  blanks\t\n\nand\r\nlines  ", "三号厂房的水泵 läuft heißer", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 4,
             "🔥👍🏽 e\u0301\u0323 \u200b\u00a0x", "İstanbul ΑΣ ẞ 12345678"]
    out = []
    for name in sorted(os.listdir(HERE)):
        if name == "cases.json":
            continue
        tokenizer = Tokenizer.from_file(os.path.join(HERE, name))
        tokenizer.no_padding()
        out += [{"file": name, "text": text, "ids": tokenizer.encode(text).ids} for text in texts]
    with open(os.path.join(HERE, "cases.json"), "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in out) + "\n]\n")


if __name__ == "__main__":
    os.makedirs(HERE, exist_ok=True)
    for make in [bert, roberta, llama_3, llama_2, clip, xlm] if len(sys.argv) < 2 else []:
        make()
    cases()
