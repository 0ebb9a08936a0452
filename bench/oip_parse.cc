// What an inference request costs beside the model: reading it, and writing the answer, for an image of 224 x 224 x 3
// in FP32 and for a row of four. One core.
//   oip_parse                a table: nanoseconds of processor time, the best of five rounds, and megabytes a second
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "infer/oip.h"
#include "infer/raw_tensor.h"

namespace {

using namespace penstock;
namespace oip = infer::oip;

// Of this thread: others on the machine do not count.
double cpu_nanos() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double best_nanos(std::size_t calls, const std::function<std::size_t()>& call) {
  double best = 1e18;
  for (int round = 0; round < 5; ++round) {
    double start = cpu_nanos();
    std::size_t seen = 0;
    for (std::size_t i = 0; i < calls; ++i) seen += call();
    if (seen == 0) fmt::print(stderr, "nothing was read\n");
    best = std::min(best, (cpu_nanos() - start) / static_cast<double>(calls));
  }
  return best;
}

infer::Tensor tensor_of(std::vector<std::int64_t> shape, bool pixels) {
  std::mt19937 random(7);
  infer::Tensor tensor{
      .name = "x", .datatype = infer::Datatype::fp32, .shape = std::move(shape), .bytes = {}, .strings = {}};
  tensor.bytes = infer::Buffer(*infer::element_count(tensor.shape) * sizeof(float));
  for (float& value : tensor.values<float>()) {
    auto drawn = static_cast<float>(random() % 256);
    value = pixels ? drawn / 255 : drawn;
  }
  return tensor;
}

std::string head_of(const infer::Tensor& tensor, std::string_view rest) {
  return fmt::format(R"({{"inputs":[{{"name":"x","shape":{},"datatype":"FP32",{}}}]}})",
                     infer::format_shape(tensor.shape), rest);
}

// The innermost dimension as arrays of its own.
std::string nested(const std::vector<std::string>& flat, std::span<const std::int64_t> shape, std::size_t& next) {
  if (shape.empty()) return flat[next++];
  std::string text = "[";
  for (std::int64_t i = 0; i < shape.front(); ++i) text += (i > 0 ? "," : "") + nested(flat, shape.subspan(1), next);
  return text + "]";
}

std::vector<std::string> texts_of(const infer::Tensor& tensor) {
  std::vector<std::string> texts;
  for (float value : tensor.values<float>()) texts.push_back(fmt::format("{}", value));
  return texts;
}

void show(std::string_view name, std::string_view what, std::size_t bytes, double nanos) {
  fmt::print("{:<14}{:<22}{:>10} {:>12.0f} ns {:>8.0f} MB/s\n", name, what, bytes, nanos,
             static_cast<double>(bytes) * 1000 / nanos);
}

void measure(std::string_view name, const infer::Tensor& tensor, std::size_t calls) {
  std::vector<std::string> texts = texts_of(tensor);
  std::string flat = head_of(tensor, fmt::format("\"data\":[{}]", fmt::join(texts, ",")));
  std::size_t next = 0;
  std::string deep = head_of(tensor, "\"data\":" + nested(texts, tensor.shape, next));
  std::string raw = head_of(tensor, fmt::format(R"("parameters":{{"binary_data_size":{}}})", tensor.bytes.size()));
  std::size_t json_bytes = raw.size();
  infer::append_raw(raw, tensor);
  auto read = [](std::string_view body, std::optional<std::size_t> head) {
    return oip::parse_infer(body, {.json_bytes = head})->request.inputs.size();
  };
  show(name, "read flat JSON", flat.size(), best_nanos(calls, [&] { return read(flat, {}); }));
  show(name, "read nested JSON", deep.size(), best_nanos(calls, [&] { return read(deep, {}); }));
  show(name, "read binary", raw.size(), best_nanos(calls * 4, [&] { return read(raw, json_bytes); }));
  infer::Response response{.model = "m", .version = "1", .outputs = {tensor}, .queue = {}, .compute = {}};
  oip::InferCall json_call, raw_call;
  raw_call.binary_by_default = true;
  std::size_t json_size = oip::encode_infer(json_call, response).body.size();
  show(name, "write JSON", json_size,
       best_nanos(calls, [&] { return oip::encode_infer(json_call, response).body.size(); }));
  show(name, "write binary", raw.size(),
       best_nanos(calls * 4, [&] { return oip::encode_infer(raw_call, response).body.size(); }));
}

}  // namespace

int main() {
  measure("image/255", tensor_of({1, 3, 224, 224}, true), 20);
  measure("image whole", tensor_of({1, 3, 224, 224}, false), 20);
  measure("row of 4", tensor_of({1, 4}, true), 20000);
  // What would be saved if binary tensors stayed where the body is.
  infer::Tensor image = tensor_of({1, 3, 224, 224}, true);
  double nanos = best_nanos(100, [&] {
    infer::Buffer fresh(image.bytes.size());
    fresh.copy(image.bytes.data());
    return fresh.size();
  });
  show("image", "only the copy", image.bytes.size(), nanos);
  return 0;
}
