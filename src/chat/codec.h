// How the clients of one API speak, for calls whose provider speaks another dialect. Stateless and thread-safe; lives
// as long as the process. APIs register theirs in base::Registry under "family.operation" as ClientCodecFactory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "chat/embeddings.h"
#include "chat/field.h"
#include "chat/request.h"
#include "chat/stream.h"

namespace penstock::chat {

class ClientCodec {
 public:
  virtual ~ClientCodec() = default;
  virtual Family family() const = 0;
  virtual Operation operation() const = 0;
  // The body of a call. What stands in the path (Gemini's model, whether to stream) the caller sets afterwards, and id
  // and created, too. The error names the field: "messages[3].content[0].type: ...".
  virtual Result<Request> read_request(std::string_view body) const = 0;
  // The whole answer. `request` is the one that was read.
  virtual std::string write_answer(const Request& request, const Answer& answer) const = 0;
  // Whether an answer in this dialect has a place for it.
  virtual bool shows_media(const Media& media) const {
    (void)media;
    return true;
  }
  virtual bool shows_citation(const Citation& citation) const {
    (void)citation;
    return true;
  }
  // `request` outlives the writer.
  virtual std::unique_ptr<StreamWriter> stream_writer(const Request& request) const = 0;
  // The answer to a request for the number of input tokens. Only where operation() is count_tokens.
  virtual std::string write_count(std::int64_t tokens) const {
    (void)tokens;
    return {};
  }
  // The name of a field in this dialect, as a client would look for it.
  virtual std::string_view field_name(Field field) const = 0;
  // A provider's error as this dialect's clients expect it; `status` is what goes out.
  virtual std::string write_error(const ProviderError& error) const = 0;
};

class EmbeddingsCodec {
 public:
  virtual ~EmbeddingsCodec() = default;
  virtual Family family() const = 0;
  virtual Result<EmbeddingsRequest> read_request(std::string_view body) const = 0;
  virtual std::string write_answer(const EmbeddingsRequest& request, const EmbeddingsAnswer& answer) const = 0;
  virtual std::string_view field_name(Field field) const = 0;
  virtual std::string write_error(const ProviderError& error) const = 0;
};

struct ClientCodecFactory {
  std::function<std::shared_ptr<const ClientCodec>()> make;
};

struct EmbeddingsCodecFactory {  // under "family.embeddings"
  std::function<std::shared_ptr<const EmbeddingsCodec>()> make;
};

}  // namespace penstock::chat
