"""Triton's Python client over HTTP before the gateway at argv[1] (host:port), with the models `scale` and `identity`."""

import sys

import ml_dtypes
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])


def equal(got, wanted, what):
    assert got == wanted, f"{what}: got {got!r} instead of {wanted!r}"


def refused(call, words):
    try:
        call()
    except InferenceServerException as error:
        assert words in error.message(), error
    else:
        raise AssertionError(f"nobody said {words!r}")


def describe():
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("scale") and client.is_model_ready("scale", "1")
    assert not client.is_model_ready("none")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    equal(client.get_model_metadata("scale")["inputs"][0]["name"], "x", "metadata")
    equal(client.get_model_config("scale")["max_batch_size"], 0, "config")
    equal(client.get_inference_statistics("scale")["model_stats"][0]["name"], "scale", "statistics")
    refused(lambda: client.get_model_metadata("none"), "unknown model")
    refused(lambda: client.get_model_metadata("scale", "9"), "version")


def rows(count):
    tensor = triton.InferInput("x", [count, 4], "FP32")
    data = np.arange(count * 4, dtype=np.float32).reshape(count, 4)
    return tensor, data


def infer():
    tensor, data = rows(3)
    for binary in (True, False):
        tensor.set_data_from_numpy(data, binary_data=binary)
        for binary_output in (True, False):
            output = triton.InferRequestedOutput("y", binary_data=binary_output)
            result = client.infer("scale", [tensor], outputs=[output], request_id="7", priority=1, timeout=10_000_000)
            np.testing.assert_allclose(result.as_numpy("y"), data * 2 + 1)
            equal(result.get_response()["id"], "7", "the id")
        result = client.infer("scale", [tensor], model_version="1", sequence_id=5, sequence_start=True, sequence_end=True)
        np.testing.assert_allclose(result.as_numpy("total"), data.sum())
    for request, response in (("gzip", "gzip"), ("deflate", "deflate"), (None, "gzip")):
        result = client.infer("scale", [tensor], request_compression_algorithm=request, response_compression_algorithm=response)
        np.testing.assert_allclose(result.as_numpy("y"), data * 2 + 1)
    waiting = [client.async_infer("scale", [tensor]) for _ in range(8)]
    for one in waiting:
        np.testing.assert_allclose(one.get_result().as_numpy("y"), data * 2 + 1)
    refused(lambda: client.infer("scale", [triton.InferInput("x", [1, 3], "FP32").set_data_from_numpy(np.zeros([1, 3], np.float32))]), "shape")
    refused(lambda: client.infer("none", [tensor]), "unknown model")


def classify():
    tensor, data = rows(1)
    tensor.set_data_from_numpy(data)
    for binary in (True, False):
        result = client.infer("scale", [tensor], outputs=[triton.InferRequestedOutput("y", binary_data=binary, class_count=2)])
        said = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("y").flatten()]
        equal(said, ["7:3", "5:2"], "classes")


def every_datatype():
    kinds = {"bool": np.bool_, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64, "i8": np.int8, "i16": np.int16, "i32": np.int32,
             "i64": np.int64, "f16": np.float16, "f32": np.float32, "f64": np.float64, "bytes": np.object_}
    metadata = {tensor["name"]: tensor["datatype"] for tensor in client.get_model_metadata("identity")["inputs"]}
    inputs, sent = [], {}
    for name, datatype in metadata.items():
        if name == "bytes":
            data = np.array(["a".encode(), "\u00e9".encode()], dtype=np.object_)
        elif name == "bf16":
            data = np.array([1.5, -2], dtype=ml_dtypes.bfloat16)
        else:
            data = np.array([0, 1], dtype=kinds[name])
            if name in ("i64", "u64"):
                data = np.array([np.iinfo(kinds[name]).max, 2**53 + 1], dtype=kinds[name])
        tensor = triton.InferInput(name, [2], datatype)
        tensor.set_data_from_numpy(data)
        inputs.append(tensor)
        sent[name] = data
    result = client.infer("identity", inputs)
    for name, data in sent.items():
        np.testing.assert_array_equal(result.as_numpy(name + "_out"), data, err_msg=name)


def repository():
    assert any(model["name"] == "scale" and model["state"] == "READY" for model in client.get_model_repository_index())
    client.unload_model("scale", unload_dependents=True)
    assert not client.is_model_ready("scale")
    client.load_model("scale")
    assert client.is_model_ready("scale")
    refused(lambda: client.load_model("none"), "unknown model")
    refused(lambda: client.get_system_shared_memory_status(), "not offered")


for part in (describe, infer, classify, every_datatype, repository):
    part()
    print(f"ok {part.__name__}")
client.close()
