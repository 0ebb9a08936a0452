// Open Inference Protocol V2 over HTTP, as bytes: requests in, answers out. Pure functions; no socket, no model.
// Protocol: https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md); the binary
// tensor, statistics, model configuration and repository parts follow Triton's published extensions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "infer/repository.h"
#include "infer/request.h"

namespace penstock::infer::oip {

// The header that says where the JSON ends and raw tensors begin, in both directions.
constexpr std::string_view kHeaderLengthName = "inference-header-content-length";

// 256 MiB of tensors in one request: far above any camera frame, far below what would hurt the machine.
constexpr std::size_t kTensorBytesMax = std::size_t{256} << 20;

// What the client sent and how it wants the answer.
struct InferCall {
  Request request;                     // model and version come from the path: the caller fills them in
  std::optional<std::string> id;       // echoed
  std::vector<bool> binary;            // per requested output
  std::vector<std::uint32_t> classes;  // per requested output; 0: the tensor itself
  bool binary_by_default = false;      // for outputs that do not say, and when none are named
  base::Duration timeout{};            // the `timeout` parameter (microseconds on the wire); 0 for none
};

// `body` is JSON, or with `header_length` (the value of kHeaderLengthName) that many bytes of JSON followed by raw
// tensors. Data may be flat or nested by shape. FP16 and BF16 are taken as JSON numbers too, rounded to nearest.
// Unknown members and parameters are checked as JSON and passed over. Fails with invalid_argument or out_of_range.
Result<InferCall> parse_infer(std::string_view body, std::optional<std::size_t> header_length = std::nullopt);

struct Answer {
  std::string body;
  // Set when raw tensors follow the JSON: send it as kHeaderLengthName, and the body as application/octet-stream.
  std::optional<std::size_t> header_length;
};

// JSON cannot say NaN or infinity: such elements become null. BYTES that are no UTF-8 get U+FFFD. Binary outputs carry
// both unchanged. Floats are the shortest text that reads back the same.
Answer encode_infer(const InferCall& call, const Response& response);

// --- the rest of the surface -----------------------------------------------------------------------------------------

// GET /v2
std::string encode_server(std::string_view version);
// GET /v2/health/live and /v2/health/ready: one body for both, because clients disagree on the name they look for.
std::string encode_health(bool ok);
// GET /v2/models/{m}[/versions/{v}]/ready
std::string encode_model_ready(std::string_view name, bool ready);
// GET /v2/models/{m}[/versions/{v}]; `versions` are those in service.
std::string encode_model(std::string_view name, std::span<const std::string> versions, const ModelInfo& info);
// GET /v2/models/{m}[/versions/{v}]/config
std::string encode_config(std::string_view name, const ModelInfo& info);
// GET /v2/models[/{m}[/versions/{v}]]/stats; empty names stand for all.
std::string encode_stats(std::span<const ModelStatus> models, std::string_view name = {},
                         std::string_view version = {});
// POST /v2/repository/index; `ready_only` is the request's {"ready": true}.
std::string encode_index(std::span<const ModelStatus> models, bool ready_only);

// {"error": "..."}
std::string encode_error(const Error& error);
// Total.
int http_status(Errc code);

}  // namespace penstock::infer::oip
