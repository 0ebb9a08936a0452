// Open Inference Protocol V2 over gRPC, as bytes: messages in, messages out. Pure functions; no socket, no model.
// Protocol: https://github.com/kserve/open-inference-protocol (specification/protocol/open_inference_grpc.proto); model
// configuration, statistics, repository and streams follow Triton's grpc_service.proto and model_config.proto
// (https://github.com/triton-inference-server/common/tree/main/protobuf).
//
// Everything that reads a message fails with invalid_argument, which says what was wrong and where. Fields nobody knows
// are passed over, of a field given twice the last counts, as protobuf wants it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "infer/oip.h"
#include "infer/repository.h"

namespace penstock::infer::oip {

// --- inference -------------------------------------------------------------------------------------------------------

// What a ModelInferRequest is about, found without reading its tensors. Views into the message.
struct InferTopic {
  std::string_view model;
  std::string_view version;
  std::string_view id;
};
Result<InferTopic> peek_infer_message(std::string_view message);

// ModelInferRequest, whole. Tensors come either all in raw_input_contents, of which each is copied once, or all in
// typed contents, which FP16 and BF16 do not have. `sticky` names the request parameter that becomes Request::sticky;
// empty: none. Also out_of_range: more than kTensorBytesMax of tensors.
Result<InferCall> parse_infer_message(std::string_view message, std::string_view sticky = {});

// A message as it goes out: `text`, with larger things put in where they belong.
struct Message {
  struct Insert {
    std::size_t at;  // in `text`
    std::string_view bytes;
  };
  std::string text;
  std::vector<Insert> inserts;  // ascending; views of a response that stays

  std::size_t size() const;
  std::vector<std::string_view> pieces() const;
};

// ModelInferResponse, all outputs in raw_output_contents. Tensors of some size are views into `response`.
Message encode_infer_message(const InferCall& call, const Response& response);
// ModelStreamInferResponse with a result, and with an error. The only response to its request, which some clients ask
// to be told.
Message encode_stream_message(const InferCall& call, const Response& response);
Message encode_stream_error(std::string_view id, std::string_view error);

// --- the rest of the surface -----------------------------------------------------------------------------------------

// Requests that name a model and perhaps a version: ModelReady, ModelMetadata, ModelConfig, ModelStatistics.
struct ModelName {
  std::string name;
  std::string version;
};
Result<ModelName> parse_model_name(std::string_view message);

// ServerLiveResponse, ServerReadyResponse, ModelReadyResponse.
std::string encode_flag_message(bool value);
std::string encode_server_message(std::string_view version);
std::string encode_model_message(std::string_view name, std::span<const std::string> versions, const ModelInfo& info);
// ModelConfigResponse.
std::string encode_config_message(const ModelConfig& config, const ModelInfo& info);
// ModelStatisticsResponse; empty names stand for all.
std::string encode_statistics_message(std::span<const ModelStatus> models, std::string_view name,
                                      std::string_view version);

// RepositoryIndexRequest: only what is ready.
Result<bool> parse_index_message(std::string_view message);
std::string encode_index_message(std::span<const ModelStatus> models, bool ready_only);
// RepositoryModelLoadRequest: the parameters `config` and `file:PATH`. RepositoryModelUnloadRequest: the name alone.
Result<LoadRequest> parse_load_message(std::string_view message);
Result<std::string> parse_unload_message(std::string_view message);

// grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): the service asked about, and the
// status as an answer.
Result<std::string> parse_health_message(std::string_view message);
enum class Health { serving = 1, not_serving = 2, service_unknown = 3 };
std::string encode_health_message(Health health);

}  // namespace penstock::infer::oip
