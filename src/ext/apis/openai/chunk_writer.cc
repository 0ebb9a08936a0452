#include "ext/apis/openai/chunk_writer.h"

#include "ext/apis/openai/answer_text.h"
#include "ext/apis/openai/error_body.h"

namespace penstock::ext {

void OpenAiChunkWriter::begin(const chat::StreamHead& head) {
  id_ = openai_answer_id(head.id, request_, id_prefix_);
  head_ = "data: ";
  json::Writer out(head_);
  out.open_object().member("id", id_).member("object", object_);
  out.member("created", head.created != 0 ? head.created : request_.created);
  out.member("model", head.model.empty() ? std::string_view(request_.model) : head.model);
  if (!head.service_tier.empty()) out.member("service_tier", head.service_tier);
  if (!head.system_fingerprint.empty()) out.member("system_fingerprint", head.system_fingerprint);
  out.key("choices").open_array();
}

json::Writer OpenAiChunkWriter::open_chunk(int choice) {
  json::Writer out(output_);
  base::append(output_, head_, R"({"index":)", base::Digits(choice));
  return out;
}

void OpenAiChunkWriter::close_chunk() { output_ += request_.include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n"; }

void OpenAiChunkWriter::error(const chat::ProviderError& error) {
  failed_ = true;
  base::append(output_, "data: ", openai_error_body(error), "\n\n");
}

void OpenAiChunkWriter::end() {
  if (failed_) return;
  if (request_.include_usage && usage_.known) {
    base::append(output_, head_, R"(],"usage":)");
    json::Writer out(output_);
    write_openai_usage(out, usage_);
    output_ += "}\n\n";
  }
  output_ += "data: [DONE]\n\n";
}

}  // namespace penstock::ext
