// Strangers' bytes as an inference request. The first byte chooses: plain JSON, or a JSON header of that many bytes
// with raw tensors behind it, or, for 0, the bytes of the one input of a model. What is accepted must be JSON, hold
// what its shapes say, and come back through the encoder.
#include <cstdlib>

#include "infer/oip.h"
#include "json/cursor.h"
#include "json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  if (size == 0) return 0;
  std::optional<std::size_t> header;
  if (data[0] != '{') header = data[0];
  std::string_view body(reinterpret_cast<const char*>(data) + (header ? 1 : 0), size - (header ? 1 : 0));
  static const infer::ModelInfo kModel{
      .platform = {}, .inputs = {{"x", infer::Datatype::int32, {-1, 2}}}, .outputs = {}};
  auto call = infer::oip::parse_infer(body, {.json_bytes = header, .sticky = "user", .model = &kModel});
  if (!call) {
    if (call.error().detail.empty()) std::abort();
    return 0;
  }
  if (header != 0) {
    json::Cursor text(body.substr(0, header.value_or(body.size())));
    text.skip();
    if (!text.finish()) std::abort();
  }
  infer::Response response{.model = "m", .version = "1", .outputs = {}, .queue = {}, .compute = {}};
  for (infer::Tensor& tensor : call->request.inputs) {
    auto count = infer::element_count(tensor.shape);
    if (!count || *count != tensor.elements()) std::abort();
    response.outputs.push_back(std::move(tensor));
  }
  call->binary.clear();
  call->classes.resize(response.outputs.size());
  if (auto classified = infer::oip::classify_outputs(*call, response, false);
      !classified && classified.error().detail.empty())
    std::abort();
  auto answer = infer::oip::encode_infer(*call, response);
  if (!json::parse(std::string_view(answer.body).substr(0, answer.header_length.value_or(answer.body.size()))))
    std::abort();
  return 0;
}
