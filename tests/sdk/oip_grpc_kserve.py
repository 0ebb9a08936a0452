"""KServe's client over gRPC: asks the model `scale` at the address given."""
import asyncio
import sys

import numpy
from kserve import InferenceGRPCClient, InferInput, InferRequest


async def talk(address):
    client = InferenceGRPCClient(address, timeout=30)
    assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready("scale")
    for raw in (False, True):
        one = InferInput("x", [1, 4], "FP32")
        one.set_data_from_numpy(numpy.ones((1, 4), numpy.float32), binary_data=raw)
        answer = await client.infer(InferRequest(model_name="scale", request_id="k", infer_inputs=[one]))
        assert answer.id == "k" and answer.outputs[0].as_numpy().flatten().tolist() == [4.0] * 4, answer
    await client.close()


asyncio.run(talk(sys.argv[1]))
