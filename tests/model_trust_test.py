"""Signed and encrypted models against the real gateway: what holds is served, what does not says why, and what was served
before goes on."""

import base64
import os
import pathlib
import shutil
import subprocess

import harness
from harness import BINARY, ROOT, Gateway, check, equal, folder

SCALE = ROOT / "tests" / "models" / "scale"


def penstock(*arguments):
    done = subprocess.run([BINARY, "artifact", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    equal(done.returncode, 0, arguments, done.stdout, done.stderr)


def keys():
    key = folder() / "plant"
    penstock("keygen", "--out", key)
    return key, pathlib.Path(f"{key}.pub")


def repository(versions=(1,)):
    path = folder() / "scale"
    for version in versions:
        shutil.copytree(SCALE / str(version), path / str(version))
    return path


def infer(gateway, version=None):
    place = f"/versions/{version}" if version else ""
    return gateway.post(f"/v2/models/scale{place}/infer", {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]})


def first(gateway, version=None):
    answer = infer(gateway, version)
    equal(answer.status, 200, answer)
    return answer.json()["outputs"][0]["data"][0]


def reason(gateway):
    index = gateway.post("/v2/repository/index", {}).json()
    return " ".join(f"{entry.get('state')} {entry.get('reason', '')}" for entry in index if entry["name"] == "scale")


def load(gateway, **parameters):
    return gateway.post("/v2/repository/models/scale/load", {"parameters": parameters} if parameters else {})


def test_a_signed_model_is_served_and_a_changed_one_is_not():
    path, (key, public) = repository(), keys()
    penstock("sign", "--key", key, "--model", "scale", "--version", 1, path / "1")
    with Gateway(f"models:\n  scale: {{ path: {path}, signed_by: '${{file:{public}}}' }}\n") as gateway:
        equal(first(gateway), 3.0)
        shutil.copyfile(SCALE / "2" / "model.onnx", path / "1" / "model.onnx")
        load(gateway)
        equal(first(gateway), 3.0, "what was loaded before goes on")
        check("not those that were signed" in reason(gateway), reason(gateway))
        penstock("sign", "--key", key, "--model", "scale", "--version", 1, path / "1")
        equal(load(gateway).status, 200)
        equal(first(gateway), 4.0)


def test_an_old_version_cannot_pose_as_a_new_one():
    path, (key, public) = repository(), keys()
    penstock("sign", "--key", key, "--version", 1, path / "1")
    shutil.copytree(path / "1", path / "7")
    with Gateway(f"models:\n  scale: {{ path: {path}, signed_by: '${{file:{public}}}' }}\n") as gateway:
        equal(first(gateway), 3.0)
        equal(infer(gateway, 7).status >= 400, True)
        check("signed as version 1, not 7" in reason(gateway), reason(gateway))


def test_policy_refuses_what_is_not_signed():
    path, (key, public) = repository(), keys()
    models = f"inference: {{ require_signature: true }}\nmodels:\n  scale: {{ path: {path}"
    with Gateway(models + " }\n") as gateway:
        check(infer(gateway).status >= 400)
        check("signed_by" in reason(gateway), reason(gateway))
    with Gateway(models + f", signed_by: '${{file:{public}}}' }}\n") as gateway:
        check("penstock artifact sign" in reason(gateway), reason(gateway))
        penstock("sign", "--key", keys()[0], path / "1")
        load(gateway)
        check("another key" in reason(gateway), reason(gateway))
        penstock("sign", "--key", key, path / "1")
        equal(load(gateway).status, 200)
        equal(first(gateway), 3.0)


def test_what_comes_with_a_request_must_be_signed_too():
    path, (key, public) = repository((1, 2)), keys()
    for version in (1, 2):
        penstock("sign", "--key", key, path / str(version))
    files = {f"file:2/{name}": base64.b64encode((path / "2" / name).read_bytes()).decode()
             for name in ("model.onnx", "manifest.json", "manifest.sig")}
    shutil.rmtree(path / "2")
    with Gateway(f"models:\n  scale: {{ path: {path}, signed_by: '${{file:{public}}}' }}\n") as gateway:
        equal(first(gateway), 3.0)
        answer = load(gateway, config="{}", **{"file:2/model.onnx": files["file:2/model.onnx"]})
        check(answer.status == 403 and "has to be signed" in answer.text(), answer)
        equal(first(gateway), 3.0)
        equal(load(gateway, config="{}", **files).status, 200, reason(gateway))
        equal(first(gateway), 4.0)


def test_signatures_of_model_signing_are_taken():
    signed = ROOT / "src" / "artifact" / "test" / "signed"
    path = folder() / "m"
    shutil.copytree(signed / "files_p256", path / "1")
    with Gateway(f"models:\n  scale: {{ path: {path}, signed_by: '${{file:{signed / 'files_p256.pub'}}}' }}\n") as gateway:
        # The signature holds; the forty bytes are no model.
        check("no ONNX file" in reason(gateway), reason(gateway))
        (path / "1" / "sub" / "labels.txt").write_text("cold\n")
        load(gateway)
        check("no ONNX file" in reason(gateway) or "not those that were signed" in reason(gateway), reason(gateway))


def test_an_encrypted_model_is_served_and_its_key_is_shown_nowhere():
    path, key = repository(), folder() / "key"
    penstock("keygen", "--encryption", "--out", key)
    model = path / "1" / "model.onnx"
    penstock("encrypt", "--key", key, model)
    check(model.read_bytes().startswith(b"PNSTKENC"))
    secret = key.read_text().strip()
    with Gateway(f"models:\n  scale: {{ path: {path}, encryption_key: '${{MODEL_KEY}}' }}\n",
                 environment={"MODEL_KEY": secret}) as gateway:
        equal(first(gateway), 3.0)
        shown = gateway.log() + harness.request(gateway.admin_port, "GET", "/admin/v1/models").text() + reason(gateway)
        check(secret not in shown)
        equal([path for path in gateway.data_dir.rglob("*.onnx")], [], "nothing plain on disk")
        data = bytearray(model.read_bytes())
        data[100] ^= 1
        model.write_bytes(data)
        load(gateway)
        equal(first(gateway), 3.0)
        check("encryption_key" in reason(gateway), reason(gateway))
    with Gateway(f"models:\n  scale: {{ path: {path} }}\n") as gateway:
        check("it is encrypted" in reason(gateway), reason(gateway))


def test_mistakes_in_keys_are_told_at_their_place():
    for text, words in {"signed_by: nobody": "PEM", "encryption_key: tooshort": "32 bytes",
                        "pull: { url: 'https://m.example/a' }": "sha256"}.items():
        file = folder() / "penstock.yaml"
        file.write_text(f"models:\n  scale: {{ path: {SCALE}, {text} }}\n".replace(
            f"path: {SCALE}, pull", "pull"))
        done = subprocess.run([BINARY, "check", str(file)], capture_output=True, text=True, timeout=60)
        equal(done.returncode, 2, text, done.stdout, done.stderr)
        check(words in done.stdout + done.stderr, text, done.stdout, done.stderr)
        check("tooshort" not in done.stdout + done.stderr)


harness.run(globals())
