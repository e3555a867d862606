"""Makes the tokenizers and the cases in this folder. See README.md.

Usage: python make.py  (rewrites the folders beside it)
"""

import contextlib
import json
import random
import shutil
import tempfile
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer, T5Tokenizer, T5TokenizerFast

HERE = Path(__file__).resolve().parent

ENGLISH = """a red seven moving left on black background the quick brown fox jumps over lazy dog video
of two children playing in rain at night cinematic lighting high quality camera slowly pans across
mountain lake sunset""".split()
OTHER = """一只 红色 的 狐狸 跳过 了 懒狗 视频 夜晚 城市 こんにちは 世界 カメラ がゆっくり 動く привет мир красная
лиса прыгает über straße größe café naïve résumé 안녕하세요 세계 مرحبا بالعالم नमस्ते दुनिया สวัสดี""".split()

# Rules of the table `rules`: growth, deletion, several characters, a chain that is not followed.
RULES = {
    "41": "61",
    "42": "62 62",
    "FF21": "41",
    "200B": "",
    "66 69": "46 49",
    "00E9": "65",
    "65 0301": "65",
    "61 0300": "E0",
    "09": "20",
    "0A": "20",
    "AC00": "AC00 AC00 AC00",
    "1F600": "3A 29",
    "FDFA": "635 644 649",
}

HARD_TEXTS = [
    "", "   ", " ", "\t\n", "a", "a red seven moving left on a black background",
    "a  b   c    d", "  lead", "trail  ", "trail \t\n ", "a\tb\nc\r\nd\re",
    "a\u00a0b\u00a0\u00a0c", "a\u200bb\u200b", "\ufeffbom", "zero\u200d\u200cwidth\u2060joiner",
    "\u3000full\u3000width\u3000", "ＡＢＣ１２３！？", "ｶﾞｷﾞｸﾞ ﾊﾟ",
    "ガ カ\u3099 e\u0301 é E\u0301 Å A\u030a", "ﬁ ﬂ ﬀ ﬃ", "ｆｕｌｌ ｗｉｄｔｈ\u0301", "①②③ ㈱ ㍿ ℃ № ™ ½",
    "\ufdfa \ufdfb", "ⅧⅨ ℌ 𝓐𝔅ℂ", "👩‍👩‍👧‍👦 😀 👍🏽 🇨🇳🇩🇪🇫", "☃️ ☃ ❤️", "日本語の動画、走る狐。", "一只红色的狐狸跳过懒狗",
    "안녕하세요 세계", "한글 (NFD)", "привет, мир", "مرحبا بالعالم", "नमस्ते क्षि", "สวัสดี",
    "\u0000nul\u0000", "\u0001\u0002\u007f\u0080\u009f", "\u00ad soft\u00adhyphen",
    "\u202emirror\u202c", "\u2028line\u2029para\u0085nel\u000bvt\u000cff", "</s>", "a </s> b",
    "a</s>b", "  </s>  </s>", "<pad>", "<pad><pad> x <unk> y", "<unk>", "<s> <ctrl> <sep>★★★",
    "<S></S>", "< /s>", "<extra_id_0>", "a <extra_id_0> b <extra_id_1>",
    "<extra_id_0><extra_id_99>.", "x   <extra_id_5>   y", "▁<extra_id_0> ▁ ▁▁ a▁b", "▁", "▁ ▁",
    "<extra_id_9> ▁<extra_id_9>", "<extra_id_100>", "<0x41><0x00>", "<0xE4><0xB8>",
    "<L> a <L>b<R> c <R>  d  <LR>  e<LR><LR>f", "ab norm AB norm aB NORM", "x ABBA abba",
    "<hi> x  <lo>  y<lo>", "brown FOX brown fox", "<begin>hello", "Ａ\u0301Ａ",
    "a\u0300\u0301\u0302\u0303", "e\u0301\u0301", "fi fi ﬁ", "AAABBB abBA",
    "\U0010ffff \ue000 \ud7ff", "ｈｔｔｐ：／／ｅｘ．ｃｏｍ", "http://example.com/a?b=c&d=%20",
    "\"quotes\" ‘single’ “double” — dash – en … …", "1234567890 3.14 -5 1,000,000",
    "MiXeD CaSe TeXt", "supercalifragilisticexpialidocious", "zzzzzzzzzzqqqqqqqq", "x"*300,
    "é"*200, " "*300, "a "*200, "ab"*150+"</s>"+"▁"*40, "\u0301"*50, "a"+"\u0301"*50,
    "\r\n\r\n a", "a\r\n", "क\u094d\u200d\u0937", "\u1100\u1161\u11a8",
    "🏴\U000e0067\U000e0062\U000e007f", "cine   </s>   lighting", " ‌‍ x", "۱۲۳ ௧௨ ౧", "ﷺ﷽",
    "ĳ Ǆ ŉ ſ ẛ̣", "Ω Ω K K Å", "x² y₃ ⁿ", "½¼¾ ⅓", "ﾞﾟ ゛゜", "ヿ ㍻ ㌔", "¨ ´ ¸ ˘ ͺ ΄ ῾", "‥ … ‼ ⁇",
]

# Letters and scraps of which random texts are put together.
SCRAPS = list("abcdefgh zNESe .,!<>/_▁▁   \t\n") + [
    "</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_3>", "<extra_id_11>", "<extra_id_99>",
    "<sep>", "★★", "★", "<L>", "<R>", "<LR>", "AB norm", "ABBA", "<hi>", "<lo>", "<zz>",
    "brown FOX", "<begin>", "<ctrl>", "▁<extra_id_2>", "  ", "<0x41>",
] + list(
    "éАяж一色的ガか\u3099\u0301\u0300\u200b\u200d\u200c\ufeff\u00a0\u3000ＡＢａ１ｶﾞ①ﬁ½가각\u1100\u1161"
    "क्षिम👍🏽👩🇨🇩😀\ufe0f\u0000\r\u0085\u2028٣\ufdfa"
)
# Ranges of code points with much to normalise or to combine.
RANGES = [
    (0, 0x250), (0x300, 0x370), (0x900, 0xE00), (0x1100, 0x1200), (0x2000, 0x2BFF),
    (0x3000, 0x3400), (0xAC00, 0xAD00), (0xF900, 0xFFFF), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF),
]


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def edit_json(path, edit):
    value = json.loads(path.read_text())
    edit(value)
    write_json(path, value)


def train(name, corpus, **options):
    """Works in the current folder, because a model file keeps the paths of its training."""
    sentencepiece.SentencePieceTrainer.train(
        input=corpus,
        model_prefix="spiece",
        minloglevel=2,
        hard_vocab_limit=False,
        num_threads=1,
        **options,
    )
    (HERE / name).mkdir()
    shutil.move("spiece.model", HERE / name)


def make_tokenizers():
    chance = random.Random(0)
    corpus = "corpus.txt"
    with open(corpus, "w") as file:
        for _ in range(4000):
            words = [
                chance.choice(ENGLISH if chance.random() < 0.7 else OTHER)
                for _ in range(chance.randint(3, 14))
            ]
            file.write(" ".join(words) + chance.choice([".", "!", "?", ""]) + "\n")

    train("plain", corpus, vocab_size=400)
    train(
        "own-sentinels",
        corpus,
        vocab_size=700,
        byte_fallback=True,
        normalization_rule_name="identity",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        user_defined_symbols=[f"▁<extra_id_{i}>" for i in range(9, -1, -1)] + ["<sep>", "★★"],
        control_symbols=["<ctrl>"],
    )
    write_json(
        HERE / "own-sentinels/tokenizer_config.json",
        {
            "tokenizer_class": "MT5Tokenizer",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "extra_ids": 0,
            "additional_special_tokens": None,
        },
    )
    table = "rules.tsv"
    Path(table).write_text("".join(f"{old}\t{new}\n" for old, new in RULES.items()))
    train(
        "rules",
        corpus,
        vocab_size=380,
        normalization_rule_tsv=table,
        pad_id=3,
        eos_id=5,
        unk_id=4,
        bos_id=-1,
    )
    spiece = HERE / "rules/spiece.model"

    T5Tokenizer(str(spiece), legacy=False, extra_ids=12).save_pretrained(HERE / "saved")
    (HERE / "saved/added_tokens.json").unlink()

    def strip(config):
        for token in config["added_tokens_decoder"].values():
            if "extra_id" in token["content"]:
                token["lstrip"] = token["rstrip"] = True

    edit_json(HERE / "saved/tokenizer_config.json", strip)

    T5TokenizerFast(str(spiece), extra_ids=12).save_pretrained(HERE / "saved-json")
    (HERE / "saved-json/spiece.model").unlink()
    edit_json(HERE / "saved-json/tokenizer_config.json", lambda c: c.pop("add_prefix_space", None))

    old = json.loads((HERE / "saved-json/tokenizer.json").read_text())
    edit_json(HERE / "saved-json/tokenizer.json", lambda _: None)
    old["normalizer"] = old["normalizer"]["normalizers"][0]
    old["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
        ],
    }
    vocab = old["model"]["vocab"]
    vocab += [[f"<0x{byte:02X}>", -9.0] for byte in range(256) if byte not in (0x7A, 0xE9)]
    old["model"]["byte_fallback"] = True
    for content, lstrip, rstrip, normalized, special in [
        ("<L>", True, False, False, True),
        ("<R>", False, True, False, False),
        ("<LR>", True, True, False, False),
        ("AB norm", False, False, True, False),
        ("ABBA", True, False, True, True),
    ]:
        old["added_tokens"].append(
            {
                "id": len(vocab),
                "content": content,
                "single_word": False,
                "lstrip": lstrip,
                "rstrip": rstrip,
                "normalized": normalized,
                "special": special,
            }
        )
    (HERE / "old-json").mkdir()
    write_json(HERE / "old-json/tokenizer.json", old)

    (HERE / "legacy").mkdir()
    shutil.copy(spiece, HERE / "legacy/spiece.model")
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    write_json(
        HERE / "legacy/special_tokens_map.json",
        {
            "eos_token": {"content": "</s>", **plain},
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "bos_token": "<begin>",
            "additional_special_tokens": [
                "<hi>",
                {"content": "<lo>", **plain, "lstrip": True, "rstrip": True},
            ],
        },
    )
    write_json(HERE / "legacy/added_tokens.json", {"<hi>": 480, "brown FOX": 481, "<zz>": 482})
    write_json(
        HERE / "legacy/tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "extra_ids": 5}
    )


def random_text(chance):
    kind = chance.random()
    if kind < 0.45:
        return "".join(chance.choice(SCRAPS) for _ in range(chance.randint(1, 30)))
    if kind < 0.6:
        letters = [chr(chance.randint(*chance.choice(RANGES))) for _ in range(chance.randint(1, 20))]
        return "".join(letters)
    space = chance.choice([" ", "  ", "\t", ""])
    words = [
        chance.choice(ENGLISH + OTHER if chance.random() < 0.7 else SCRAPS)
        for _ in range(chance.randint(1, 25))
    ]
    return space.join(words)


def open_tokenizer(folder):
    if (folder / "tokenizer_config.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(folder)
    else:
        tokenizer = T5TokenizerFast.from_pretrained(folder)
    assert type(tokenizer) is T5TokenizerFast
    return tokenizer


def case(tokenizer, text, max_length):
    """Ids without padding: all ids behind them are padding."""
    tokens = tokenizer(text, max_length=max_length, padding="max_length", truncation=True)
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    real = sum(mask)
    assert mask == [1] * real + [0] * (max_length - real)
    assert ids[real:] == [tokenizer.pad_token_id] * (max_length - real)
    return {
        "text": text,
        "max_length": max_length,
        "ids": ids[:real],
        "full_length": len(tokenizer(text)["input_ids"]),
    }


def make_cases(name, folder):
    tokenizer = open_tokenizer(folder)
    chance = random.Random(name)
    texts = HARD_TEXTS if name in ("golden", "plain") else chance.sample(HARD_TEXTS, 35)
    asked = [(text, 64 if len(text) < 250 else 100) for text in texts]
    asked += [(random_text(chance), chance.choice([1, 2, 16, 64])) for _ in range(15)]
    facts = {
        "eos_id": tokenizer.eos_token_id,
        "pad_id": tokenizer.pad_token_id,
        "unk_id": tokenizer.convert_tokens_to_ids(tokenizer.unk_token),
        "vocab_size": len(tokenizer),
    }
    cases = [json.dumps(case(tokenizer, *c), separators=(",", ":")) for c in asked]
    (HERE / name).mkdir(exist_ok=True)
    with (HERE / name / "cases.json").open("w") as file:
        file.write(json.dumps(facts)[:-1] + ', "cases": [\n')
        file.write(",\n".join(cases) + "\n]}\n")
    print(name, len(cases), "cases", facts)


NAMES = ["plain", "own-sentinels", "rules", "saved", "saved-json", "old-json", "legacy"]

if __name__ == "__main__":
    for name in ["golden", *NAMES]:
        shutil.rmtree(HERE / name, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        make_tokenizers()
    make_cases("golden", HERE.parent / "t5-tokenizer")
    for name in NAMES:
        make_cases(name, HERE / name)
