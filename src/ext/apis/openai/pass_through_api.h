// The APIs whose bodies pass through unread: POST /v1/audio/speech, /v1/audio/transcriptions, /v1/audio/translations
// and /v1/files. Bodies and answers of any size flow with bounded memory.
#pragma once

#include "flow/dialect.h"
#include "llm/lane.h"

namespace penstock::ext {

class Upload;

class PassThroughApi {
 public:
  explicit PassThroughApi(const llm::Lane& lane) : lane_(lane) {}
  // JSON in, sound or events out.
  rt::Task<void> speech(flow::Call& call) const;
  // A form with a file and the model's name in. `path` below the provider's base URL.
  rt::Task<void> transcribe(flow::Call& call, std::string_view path) const;
  // A form for the provider that the header x-penstock-provider names, or the first.
  rt::Task<void> upload_file(flow::Call& call) const;
  // GET and DELETE below /v1/files.
  rt::Task<void> look_at_files(flow::Call& call) const;

  // The route of call.model when the caller may use it; null after a refusal.
  rt::Task<std::shared_ptr<const llm::Route>> route_for(flow::Call& call) const;

 private:
  std::size_t core_of(flow::Call& call) const;
  rt::Task<std::shared_ptr<const llm::Route>> route_to_files(flow::Call& call) const;
  // The upload and its answer.
  rt::Task<void> pass_on(flow::Call& call, Upload& upload, std::shared_ptr<const llm::Route> route,
                         std::string_view path, std::string content_type) const;

  const llm::Lane& lane_;
};

void add_pass_through(flow::ApiBuilder& builder, const llm::Lane& lane);

}  // namespace penstock::ext
