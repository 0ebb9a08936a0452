"""Hostile and broken model files, made byte by byte: what nobody's exporter writes. Field numbers are those of onnx.proto."""

import random
import struct

ROOT_SHAPE = [2**31 - 1, 2**31 - 1]


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def tensor(dims, kind=1, raw=b"", name="w", external=None):
    out = b"".join(number(1, dim) for dim in dims) + number(2, kind) + data(8, name)
    if raw:
        out += data(9, raw)
    for key, value in (external or {}).items():
        out += data(13, data(1, key) + data(2, value))
    return out + (number(14, 1) if external else b"")


def node(operation, inputs, outputs, attribute=b"", domain=""):
    out = b"".join(data(1, one) for one in inputs) + b"".join(data(2, one) for one in outputs) + data(4, operation)
    if domain:
        out += data(7, domain)
    return out + (data(5, attribute) if attribute else b"")


def value(name, dims):
    shape = b"".join(data(1, number(1, dim)) for dim in dims)
    return data(1, name) + data(2, data(1, number(1, 1) + data(2, shape)))


def graph(nodes, tensors=(), inputs=(("x", [4]),), outputs=(("y", [4]),)):
    return (b"".join(data(1, one) for one in nodes) + data(2, "g") + b"".join(data(5, one) for one in tensors)
            + b"".join(data(11, value(*one)) for one in inputs) + b"".join(data(12, value(*one)) for one in outputs))


def model(of):
    return number(1, 8) + data(7, of) + data(8, number(2, 13))


GOOD = model(graph([node("Add", ["x", "w"], ["y"])], [tensor([4], raw=struct.pack("<4f", 1, 2, 3, 4))]))


def nested(depth):
    inner = graph([node("Identity", ["x"], ["y"])])
    for _ in range(depth):
        inner = graph([node("If", ["c"], ["y"], data(1, "then_branch") + data(6, inner) + number(20, 5))])
    return model(inner)


def nested_groups(depth):
    return bytes([0x0B]) * depth


def whole_numbers(dims):
    return tensor([len(dims)], kind=7, raw=b"".join(struct.pack("<q", dim) for dim in dims), name="shape")


def cases():
    """Name, bytes, and words the reason has; None for what the runtime says in its own words, or may even take."""
    rng = random.Random(7)
    yield "empty", b"", "empty"
    yield "random", rng.randbytes(4096), "ONNX"
    yield "zeros", bytes(4096), "ONNX"
    yield "text", b"<html>404</html>" * 20, "ONNX"
    yield "cut", GOOD[:len(GOOD) * 2 // 3], "ONNX"
    yield "length_lies", number(1, 8) + varint(7 << 3 | 2) + varint(1 << 40) + b"x", "ONNX"
    yield "endless_varint", b"\xff" * 200, "ONNX"
    yield "groups", nested_groups(100_000), "ONNX"
    yield "deep", nested(200), "deep"
    yield "deeper", nested(3000), "deep"
    yield "cyclic", model(graph([node("Add", ["b", "x"], ["a"]), node("Add", ["a", "x"], ["b"]), node("Add", ["a", "b"], ["y"])])), None
    yield "own_input", model(graph([node("Add", ["y", "x"], ["y"])])), None
    yield "no_such_input", model(graph([node("Add", ["nothing", "x"], ["y"])])), None
    yield "weight_too_large", model(graph([node("Add", ["x", "w"], ["y"])], [tensor([1 << 30], raw=b"1234")])), "fewer values"
    yield "weight_two_gigabytes", model(graph([node("Add", ["x", "w"], ["y"])], [tensor([1 << 29])])), "fewer values"
    yield "weight_overflow", model(graph([node("Add", ["x", "w"], ["y"])], [tensor([1 << 33, 1 << 33])])), "overflow"
    yield "weight_negative", model(graph([node("Add", ["x", "w"], ["y"])], [tensor([-4])])), "negative"
    yield "weight_kind", model(graph([node("Add", ["x", "w"], ["y"])], [tensor([4], kind=99, raw=bytes(16))])), None
    yield "bomb", model(graph([node("ConstantOfShape", ["shape"], ["big"]), node("Add", ["big", "x"], ["y"])],
                              [whole_numbers([1 << 20, 1 << 20])])), "ConstantOfShape"
    yield "expand", model(graph([node("Expand", ["x", "shape"], ["y"])], [whole_numbers(ROOT_SHAPE)])), "Expand"
    yield "operator", model(graph([node("Wobble", ["x"], ["y"], domain="com.acme")])), "'Wobble' of the domain 'com.acme'"
    yield "unknown_operator", model(graph([node("Wobble", ["x"], ["y"])])), "Wobble"
    yield "two_graphs", GOOD + GOOD, "twice"
    for name, location in {"absolute": "/etc/passwd", "parent": "../../secret.bin", "memory": "*/_ORT_MEM_ADDR_/*",
                           "missing": "w.bin"}.items():
        words = "no such file" if name in ("memory", "missing") else "not in the model's folder"
        yield f"external_{name}", model(graph([node("Add", ["x", "w"], ["y"])],
                                              [tensor([4], external={"location": location, "offset": "4096", "length": "16"})])), words
    for i in range(12):
        flipped = bytearray(GOOD)
        for _ in range(1 + i % 3):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        yield f"flipped_{i}", bytes(flipped), None
