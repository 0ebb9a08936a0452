"""An ONNX model behind MLServer, as `bench infer` measures it: what somebody writes who serves one there."""

import mlserver
import onnxruntime
from mlserver.codecs import NumpyCodec


class OnnxModel(mlserver.MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]
        return True

    async def predict(self, payload):
        inputs = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        results = self.session.run(self.names, inputs)
        return mlserver.types.InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output(name, value) for name, value in zip(self.names, results)])
