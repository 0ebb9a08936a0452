// Strangers' bytes as messages of OIP over gRPC. Inferences that are accepted hold what their shapes say, and come back
// through the encoder with as many bytes.
#include <cstdlib>

#include <protozero/pbf_reader.hpp>

#include "infer/oip_proto.h"
#include "infer/raw_tensor.h"

namespace {

using namespace penstock;

void check(bool condition) {
  if (!condition) std::abort();
}

void expect_outputs(std::string_view message, const infer::Response& response) {
  protozero::pbf_reader reader(message.data(), message.size());
  std::size_t place = 0;
  while (reader.next()) {
    if (reader.tag() == 6) {
      check(place < response.outputs.size());
      check(reader.get_view().size() == infer::raw_size(response.outputs[place++]));
    } else {
      reader.skip();
    }
  }
  check(place == response.outputs.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace oip = infer::oip;
  std::string_view message(reinterpret_cast<const char*>(data), size);
  (void)oip::parse_model_name(message);
  (void)oip::parse_index_message(message);
  (void)oip::parse_load_message(message);
  (void)oip::parse_health_message(message);
  auto topic = oip::peek_infer_message(message);
  auto call = oip::parse_infer_message(message, "user");
  if (!call) {
    check(!call.error().detail.empty());
    return 0;
  }
  check(topic && topic->model == call->request.model && topic->version == call->request.version);
  check(call->classes.size() == call->request.outputs.size());
  infer::Response response{.model = "m", .version = "1", .outputs = {}, .queue = {}, .compute = {}};
  for (infer::Tensor& tensor : call->request.inputs) {
    auto count = infer::element_count(tensor.shape);
    check(count && *count == tensor.elements());
    response.outputs.push_back(std::move(tensor));
  }
  oip::Message answer = oip::encode_infer_message(*call, response);
  std::string whole;
  for (std::string_view piece : answer.pieces()) whole += piece;
  check(whole.size() == answer.size());
  expect_outputs(whole, response);
  return 0;
}
