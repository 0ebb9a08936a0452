"""KServe's Python client over HTTP before the gateway at argv[1] (host:port), with the model `scale`."""

import asyncio
import sys

import httpx
import numpy as np
from kserve import InferInput, InferRequest, InferenceRESTClient, RESTConfig


async def main():
    base = f"http://{sys.argv[1]}"
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=20))
    assert await client.is_server_live(base) is True
    assert await client.is_server_ready(base) is True
    assert await client.is_model_ready(base, "scale") is True
    print("ok health")
    data = np.arange(8, dtype=np.float32).reshape(2, 4)
    for binary in (True, False):
        tensor = InferInput(name="x", shape=[2, 4], datatype="FP32")
        tensor.set_data_from_numpy(data, binary_data=binary)
        request = InferRequest(model_name="scale", request_id="42", infer_inputs=[tensor])
        answer = await client.infer(base, request, model_name="scale")
        assert answer.id == "42", answer.id
        outputs = {output.name: output for output in answer.outputs}
        np.testing.assert_allclose(np.asarray(outputs["y"].as_numpy()).reshape(2, 4), data * 2 + 1)
    print("ok infer")
    try:
        await client.infer(base, request, model_name="none")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 404, error
    else:
        raise AssertionError("a model that is not there answered")
    print("ok errors")


asyncio.run(main())
