"""penstock artifact: keys, signatures and encrypted files, each checked with somebody else's implementation where that is
installed (openssl, Python's cryptography, OpenSSF's model_signing)."""

import base64
import importlib.util
import os
import pathlib
import shutil
import stat
import subprocess
import sys

import harness
from harness import BINARY, ROOT, check, equal, folder, skip

SIGNED = ROOT / "src" / "artifact" / "test" / "signed"


def penstock(*arguments, status=0, environment=None):
    done = subprocess.run([BINARY, "artifact", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(environment or {})})
    equal(done.returncode, status, arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def version():
    made = folder() / "4"
    (made / "sub").mkdir(parents=True)
    (made / "model.onnx").write_bytes((ROOT / "tests/models/scale/1/model.onnx").read_bytes())
    (made / "sub" / "labels.txt").write_text("cold\nwarm\n")
    return made


def keys():
    key = folder() / "plant"
    penstock("keygen", "--out", key)
    return key, pathlib.Path(f"{key}.pub")


def test_a_signed_folder_is_good_until_something_in_it_changes():
    made, (key, public) = version(), keys()
    equal(stat.S_IMODE(key.stat().st_mode), 0o600)
    check("signed 2 files" in penstock("sign", "--key", key, "--model", "scale", "--version", 4, made))
    said = penstock("verify", "--key", public, made)
    check("good: 2 files" in said and "'scale', version 4" in said, said)
    model = made / "model.onnx"
    whole = model.read_bytes()
    for name, change in {
        "changed": lambda: model.write_bytes(whole[:-1] + b"\0"),
        "longer": lambda: model.write_bytes(whole + b"\0"),
        "another file": lambda: (made / "sub" / "more").write_text(""),
        "missing": lambda: (made / "sub" / "labels.txt").unlink(),
        "a link": lambda: (made / "link").symlink_to("/etc/hostname"),
    }.items():
        before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
        change()
        penstock("verify", "--key", public, made, status=1)
        for path in [path for path in made.rglob("*") if path.is_symlink() or (path.is_file() and path not in before)]:
            path.unlink()
        for path, data in before.items():
            path.write_bytes(data)
        check("good" in penstock("verify", "--key", public, made), name)
    check("another key" in penstock("verify", "--key", keys()[1], made, status=1))


def test_openssl_takes_our_signature():
    harness.need("openssl")
    made, (key, public) = version(), keys()
    penstock("sign", "--key", key, made)
    done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in",
                           made / "manifest.json", "-sigfile", made / "manifest.sig"], capture_output=True, text=True)
    equal(done.returncode, 0, done.stdout, done.stderr)


def test_keys_are_not_overwritten_and_never_shown():
    key, public = keys()
    text = key.read_text()
    check("--force" in penstock("keygen", "--out", key, status=2))
    equal(key.read_text(), text)
    said = penstock("verify", "--key", key, version(), status=2)
    check("private key" in said and text.splitlines()[1] not in said, said)


def test_what_is_encrypted_comes_back_and_does_not_when_changed():
    key = folder() / "secret"
    penstock("keygen", "--encryption", "--out", key)
    equal(stat.S_IMODE(key.stat().st_mode), 0o600)
    for size in (0, 1, 65536, 200_000):
        plain, sealed, back = (folder() / name for name in ("plain", "sealed", "back"))
        plain.write_bytes(os.urandom(size))
        penstock("encrypt", "--key", key, plain, "--out", sealed)
        penstock("decrypt", sealed, "--out", back, environment={"PENSTOCK_ENCRYPTION_KEY": key.read_text()})
        equal(back.read_bytes(), plain.read_bytes())
        bytes_of = bytearray(sealed.read_bytes())
        bytes_of[-1] ^= 1
        sealed.write_bytes(bytes_of)
        said = penstock("decrypt", "--key", key, sealed, "--out", folder() / "never", status=1)
        check(key.read_text().strip() not in said, said)


def test_pythons_cryptography_reads_and_writes_our_files():
    if importlib.util.find_spec("cryptography") is None:
        skip("Python's cryptography is not installed")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    def file_key(raw, header):
        return HKDF(hashes.SHA256(), 32, header[12:44], b"penstock model file 1").derive(raw)

    def nonce(header, number, last):
        return header[44:51] + number.to_bytes(4, "big") + bytes([last])

    key = folder() / "secret"
    penstock("keygen", "--encryption", "--out", key)
    raw = bytes.fromhex(key.read_text().strip())
    text = os.urandom(150_000)
    plain, sealed = folder() / "plain", folder() / "sealed"
    plain.write_bytes(text)
    penstock("encrypt", "--key", key, plain, "--out", sealed)
    header, body = sealed.read_bytes()[:51], sealed.read_bytes()[51:]
    parts = [body[at:at + 65552] for at in range(0, len(body), 65552)]
    opened = b"".join(AESGCM(file_key(raw, header)).decrypt(nonce(header, i, i + 1 == len(parts)), part, header)
                      for i, part in enumerate(parts))
    equal(opened, text)
    header = b"PNSTKENC\x01\0\0\0" + os.urandom(39)
    pieces = [text[at:at + 65536] for at in range(0, len(text), 65536)]
    sealed.write_bytes(header + b"".join(
        AESGCM(file_key(raw, header)).encrypt(nonce(header, i, i + 1 == len(pieces)), piece, header)
        for i, piece in enumerate(pieces)))
    back = folder() / "back"
    key.write_text(base64.b64encode(raw).decode() + "\n")
    penstock("decrypt", "--key", key, sealed, "--out", back)
    equal(back.read_bytes(), text)


def test_signatures_of_model_signing_are_taken():
    for name in ("files_p256", "files_p384", "shards", "blake2", "single"):
        made = folder() / name
        shutil.copytree(SIGNED / name, made)
        check("good" in penstock("verify", "--key", SIGNED / f"{name}.pub", made), name)
        (made / "model.onnx").write_bytes(b"something else")
        check("not those that were signed" in penstock("verify", "--key", SIGNED / f"{name}.pub", made, status=1), name)


def test_model_signing_itself_agrees():
    python = os.environ.get("PENSTOCK_MODEL_SIGNING_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import model_signing.signing"], capture_output=True).returncode != 0:
        skip("OpenSSF's model_signing is not installed (pip install model-signing pyopenssl)")
    harness.need("openssl")
    made, keyed = version(), folder()
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", keyed / "key"], check=True)
    subprocess.run(["openssl", "ec", "-in", keyed / "key", "-pubout", "-out", keyed / "pub"], check=True, capture_output=True)
    subprocess.run([python, "-m", "model_signing", "sign", "key", made, "--private_key", keyed / "key", "--signature",
                    made / "model.sig", "--ignore-paths", made / "model.sig"], check=True, capture_output=True)
    check("good: 2 files" in penstock("verify", "--key", keyed / "pub", made))
    (made / "sub" / "labels.txt").write_text("cold\nhot\n")
    theirs = subprocess.run([python, "-m", "model_signing", "verify", "key", made, "--public_key", keyed / "pub",
                             "--signature", made / "model.sig"], capture_output=True)
    check(theirs.returncode != 0)
    check("labels.txt" in penstock("verify", "--key", keyed / "pub", made, status=1))


def test_inspect_says_what_a_model_needs():
    said = penstock("inspect", ROOT / "tests/models/scale/1/model.onnx")
    check("operators ai.onnx, version 13" in said and "3 nodes" in said, said)
    broken = folder() / "model.onnx"
    broken.write_bytes(b"no model")
    check("no ONNX file" in penstock("inspect", broken, status=1))


harness.run(globals())
