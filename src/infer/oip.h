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

// Of inputs in one request, and as many outputs: far more than models have. What is behind an entry costs hundreds of
// bytes, and the entry itself may be of two.
constexpr std::size_t kTensorsMax = 1024;

// What the client sent and how it wants the answer.
struct InferCall {
  Request request;                     // model and version come from the path: the caller fills them in
  std::optional<std::string> id;       // echoed
  std::vector<bool> binary;            // per requested output
  std::vector<std::uint32_t> classes;  // per requested output; 0: the tensor itself
  bool binary_by_default = false;      // for outputs that do not say, and when none are named
};

// What is known of a request beside its body.
struct InferHead {
  // The value of kHeaderLengthName: so many bytes of JSON come first, and raw tensors behind them. 0: a raw request,
  // nothing but the bytes of the one input of `model`, whose outputs are all raw.
  std::optional<std::size_t> json_bytes = {};
  std::string_view sticky = {};      // the request parameter that becomes Request::sticky; empty: none
  const ModelInfo* model = nullptr;  // of the model asked for; only raw requests need it
};

// Data may be flat or nested by shape. FP16 and BF16 are taken as JSON numbers too, rounded to nearest. Unknown members
// and parameters are checked as JSON and passed over. Fails with invalid_argument, which says where and what to do.
Result<InferCall> parse_infer(std::string_view body, const InferHead& head = {});

// Replaces the outputs that are wanted as classes. `rows_first`: batches() of the model that answered.
Result<void> classify_outputs(const InferCall& call, Response& response, bool rows_first);

struct Answer {
  std::string body;
  // Set when raw tensors follow the JSON: send it as kHeaderLengthName, and the body as application/octet-stream.
  std::optional<std::size_t> header_length;
};

// JSON cannot say NaN or infinity: such elements become null. BYTES that are no UTF-8 get U+FFFD. Binary outputs carry
// both unchanged. Floats are the shortest text that reads back the same.
Answer encode_infer(const InferCall& call, const Response& response);

// --- the rest of the surface -----------------------------------------------------------------------------------------

// GET /v2. `generates`: /generate is there, too.
std::string encode_server(std::string_view version, bool generates);
// The extensions of Triton's that are there.
std::vector<std::string_view> extensions(bool generates);
// GET /v2/health/live and /v2/health/ready: one body for both, because clients disagree on the name they look for.
std::string encode_health(bool ready);
// GET /v2/models/{m}[/versions/{v}]/ready; `why` not, where it is known.
std::string encode_model_ready(std::string_view name, bool ready, std::string_view why = {});
// GET /v2/models/{m}[/versions/{v}]; `versions` are those in service.
std::string encode_model(std::string_view name, std::span<const std::string> versions, const ModelInfo& info);
// GET /v2/models/{m}[/versions/{v}]/config: Triton's ModelConfig, as far as something here corresponds to it.
std::string encode_config(const ModelConfig& config, const ModelInfo& info);
// Requests are put together along the first dimension: it is open in every input and output, and the configuration
// wants it. `max_batch_size` is above 0 then, and `dims` leave that dimension out.
bool batches(const ModelConfig& config, const ModelInfo& info);
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
