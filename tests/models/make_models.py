#!/usr/bin/python3
"""Writes the small models the tests load. Needs python3-onnx and python3-numpy; the results are committed."""
import os

import numpy as np
import onnx
from onnx import TensorProto as T, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))


def save(name, nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="")
    model.ir_version = 8
    onnx.checker.check_model(model)
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


# y = 2x + 1 and total = sum(x), rows of 4
save(
    "scale/1/model.onnx",
    [
        helper.make_node("Mul", ["x", "two"], ["d"]),
        helper.make_node("Add", ["d", "one"], ["y"]),
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
    ],
    [value("x", T.FLOAT, ["rows", 4])],
    [value("y", T.FLOAT, ["rows", 4]), value("total", T.FLOAT, [])],
    [numpy_helper.from_array(np.float32(2), "two"), numpy_helper.from_array(np.float32(1), "one")],
)
# the same with 3x: a second version is told apart by its answer
save(
    "scale/2/model.onnx",
    [
        helper.make_node("Mul", ["x", "three"], ["d"]),
        helper.make_node("Add", ["d", "one"], ["y"]),
        helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
    ],
    [value("x", T.FLOAT, ["rows", 4])],
    [value("y", T.FLOAT, ["rows", 4]), value("total", T.FLOAT, [])],
    [numpy_helper.from_array(np.float32(3), "three"), numpy_helper.from_array(np.float32(1), "one")],
)
# every datatype the protocol has, handed through
KINDS = dict(
    bool=T.BOOL, u8=T.UINT8, u16=T.UINT16, u32=T.UINT32, u64=T.UINT64, i8=T.INT8, i16=T.INT16, i32=T.INT32,
    i64=T.INT64, f16=T.FLOAT16, f32=T.FLOAT, f64=T.DOUBLE, bf16=T.BFLOAT16, bytes=T.STRING,
)
save(
    "identity/1/model.onnx",
    [helper.make_node("Identity", [name], [name + "_out"]) for name in KINDS],
    [value(name, kind, ["n"]) for name, kind in KINDS.items()],
    [value(name + "_out", kind, ["n"]) for name, kind in KINDS.items()],
)
# `times` multiplications of two n x n matrices: as slow as asked for
save(
    "slow/1/model.onnx",
    [
        helper.make_node(
            "Loop",
            ["times", "", "x"],
            ["y"],
            body=helper.make_graph(
                [
                    helper.make_node("MatMul", ["state", "state"], ["product"]),
                    helper.make_node("Tanh", ["product"], ["next"]),
                    helper.make_node("Identity", ["go"], ["go_on"]),
                ],
                "body",
                [value("i", T.INT64, []), value("go", T.BOOL, []), value("state", T.FLOAT, ["n", "n"])],
                [value("go_on", T.BOOL, []), value("next", T.FLOAT, ["n", "n"])],
            ),
        )
    ],
    [value("times", T.INT64, [1]), value("x", T.FLOAT, ["n", "n"])],
    [value("y", T.FLOAT, ["n", "n"])],
)
# y = x W with W = 2 on the diagonal, in whole numbers inside: float at the border, quantised by QuantizeLinear
SCALE = numpy_helper.from_array(np.float32(0.5), "scale")
ZERO = numpy_helper.from_array(np.uint8(128), "zero")
ZERO8 = numpy_helper.from_array(np.int8(0), "zero8")
DIAGONAL = numpy_helper.from_array((np.eye(4) * 4).astype(np.int8), "w")
save(
    "qdq/1/model.onnx",
    [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "zero8"], ["wf"]),
        helper.make_node("MatMul", ["xf", "wf"], ["yf"]),
        helper.make_node("QuantizeLinear", ["yf", "scale", "zero"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "scale", "zero"], ["y"]),
    ],
    [value("x", T.FLOAT, ["rows", 4])],
    [value("y", T.FLOAT, ["rows", 4])],
    [SCALE, ZERO, ZERO8, DIAGONAL],
)
# the same all in whole numbers: uint8 in, uint8 and int32 out
save(
    "qlinear/1/model.onnx",
    [
        helper.make_node("QLinearMatMul", ["x", "scale", "zero", "w", "scale", "zero8", "scale", "zero"], ["y"]),
        helper.make_node("MatMulInteger", ["x", "w", "zero", "zero8"], ["sum"]),
    ],
    [value("x", T.UINT8, ["rows", 4])],
    [value("y", T.UINT8, ["rows", 4]), value("sum", T.INT32, ["rows", 4])],
    [SCALE, ZERO, ZERO8, DIAGONAL],
)
# y = 2x in half precision
save(
    "half/1/model.onnx",
    [helper.make_node("Mul", ["x", "two"], ["y"])],
    [value("x", T.FLOAT16, ["rows", 4])],
    [value("y", T.FLOAT16, ["rows", 4])],
    [numpy_helper.from_array(np.float16(2), "two")],
)
# as many ones as `size` says, and what is not zero in x: shapes that no declaration tells
save(
    "big/1/model.onnx",
    [
        helper.make_node("ConstantOfShape", ["size"], ["y"], value=numpy_helper.from_array(np.ones(1, np.float32), "one")),
        helper.make_node("NonZero", ["x"], ["places"]),
    ],
    [value("size", T.INT64, [1]), value("x", T.FLOAT, ["n"])],
    [value("y", T.FLOAT, ["many"]), value("places", T.INT64, [1, "n"])],
)
# an output that is a sequence
save(
    "sequence/1/model.onnx",
    [helper.make_node("SequenceConstruct", ["x", "x"], ["y"])],
    [value("x", T.FLOAT, [2])],
    [helper.make_tensor_sequence_value_info("y", T.FLOAT, [2])],
)
# versions of one model for trials, rows of 4: y = 2x twice over, once that fails where the first x is 1 or more, and
# y = 2.5x
ROWS = ([value("x", T.FLOAT, ["rows", 4])], [value("y", T.FLOAT, ["rows", 4])])
TWO = numpy_helper.from_array(np.float32(2), "two")
save("trial/double/model.onnx", [helper.make_node("Mul", ["x", "two"], ["y"])], *ROWS, [TWO])
save("trial/double_too/model.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], *ROWS)
save(
    "trial/picky/model.onnx",
    [
        helper.make_node("Gather", ["x", "zero_index"], ["row"], axis=0),
        helper.make_node("Gather", ["row", "zero_index"], ["cell"], axis=0),
        helper.make_node("Cast", ["cell"], ["place"], to=T.INT64),
        helper.make_node("Gather", ["factors", "place"], ["factor"], axis=0),
        helper.make_node("Mul", ["x", "factor"], ["y"]),
    ],
    *ROWS,
    [numpy_helper.from_array(np.int64(0), "zero_index"), numpy_helper.from_array(np.full(1, 2, np.float32), "factors")],
)
save("trial/other/model.onnx", [helper.make_node("Mul", ["x", "more"], ["y"])], *ROWS, [numpy_helper.from_array(np.float32(2.5), "more")])


# A text encoder in small: every token a vector of sines, mixed with the mean of those that count. tests/embeddings_test.py
# recomputes it.
SIZE = 8
MIX = np.array([[((i * 3 + k * 5) % 7 - 3) / 6 for k in range(SIZE)] for i in range(SIZE)], dtype=np.float32)
CONSTANTS = [
    numpy_helper.from_array(np.array([0.11 * (k + 1) for k in range(SIZE)], dtype=np.float32), "pitch"),
    numpy_helper.from_array(np.float32(0.5), "half"),
    numpy_helper.from_array(MIX, "mix"),
    numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
    numpy_helper.from_array(np.array([1], dtype=np.int64), "tokens"),
]


def encoder(typed):
    """Nodes from input_ids, attention_mask and token_type_ids to `hidden`."""
    def spread(name):
        return [helper.make_node("Cast", [name], [name + "_f"], to=T.FLOAT),
                helper.make_node("Unsqueeze", [name + "_f", "last"], [name + "_c"])]
    nodes = [*spread("input_ids"), *spread("attention_mask"), helper.make_node("Mul", ["input_ids_c", "pitch"], ["turned"])]
    if typed:
        nodes += [*spread("token_type_ids"), helper.make_node("Mul", ["token_type_ids_c", "half"], ["typed"]),
                  helper.make_node("Add", ["turned", "typed"], ["angle"])]
    nodes += [
        helper.make_node("Sin", ["angle" if typed else "turned"], ["wave"]),
        helper.make_node("Mul", ["wave", "attention_mask_c"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "tokens"], ["sum"], keepdims=1),
        helper.make_node("ReduceSum", ["attention_mask_c", "tokens"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["context"]),
        helper.make_node("MatMul", ["wave", "mix"], ["mixed"]),
        helper.make_node("Add", ["mixed", "context"], ["before"]),
        helper.make_node("Tanh", ["before"], ["hidden"]),
    ]
    return nodes


save(
    "embedder/1/model.onnx",
    encoder(True) + [helper.make_node("Identity", ["hidden"], ["last_hidden_state"])],
    [value(name, T.INT64, ["rows", "tokens"]) for name in ("input_ids", "attention_mask", "token_type_ids")],
    [value("last_hidden_state", T.FLOAT, ["rows", "tokens", SIZE])],
    CONSTANTS,
)
# the same as one that takes two rows of 16 tokens only, and pools by itself
save(
    "embedder_fixed/1/model.onnx",
    encoder(False) + [
        helper.make_node("Mul", ["hidden", "attention_mask_c"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["kept_sum"], keepdims=0),
        helper.make_node("ReduceSum", ["attention_mask_f", "tokens"], ["kept_count"], keepdims=1),
        helper.make_node("Div", ["kept_sum", "kept_count"], ["sentence_embedding"])],
    [value(name, T.INT32, [2, 16]) for name in ("input_ids", "attention_mask")],
    [value("sentence_embedding", T.FLOAT, [2, SIZE])],
    [constant for constant in CONSTANTS if constant.name != "half"],
)
