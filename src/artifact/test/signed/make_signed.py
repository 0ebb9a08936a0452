"""Writes the folders beside this file, signed by OpenSSF's own tool: pip install model-signing pyopenssl. The results are
committed; the private keys are thrown away."""

import pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

HERE = pathlib.Path(__file__).resolve().parent
CASES = {
    "files_p256": (ec.SECP256R1(), hashing.Config()),
    "files_p384": (ec.SECP384R1(), hashing.Config()),
    "shards": (ec.SECP256R1(), hashing.Config().use_shard_serialization(shard_size=16)),
    "blake2": (ec.SECP521R1(), hashing.Config().use_file_serialization(hashing_algorithm="blake2")),
}


def sign(name, curve, config, single=False):
    folder = HERE / name
    (folder / "sub").mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"not a model, but forty bytes of something")
    if not single:
        (folder / "sub" / "labels.txt").write_text("cold\nwarm\nhot\n")
        (folder / "notes.txt").write_text("nobody signs these\n")
    else:
        (folder / "sub").rmdir()
    key = ec.generate_private_key(curve)
    private = folder / "private.pem"
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (HERE / f"{name}.pub").write_bytes(public)
    signature = folder / "model.sig"
    signature.unlink(missing_ok=True)
    target = folder / "model.onnx" if single else folder
    if not single:
        config.set_ignored_paths(paths=["model.sig", "private.pem", "notes.txt"])
    signing.Config().use_elliptic_key_signer(private_key=private).set_hashing_config(config).sign(target, signature)
    private.unlink()


for name, (curve, config) in CASES.items():
    sign(name, curve, config)
sign("single", ec.SECP256R1(), hashing.Config(), single=True)
