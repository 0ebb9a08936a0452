// What a provider of language models is: who to call, how to say it, and where in its answers the usage stands.
// Implementations live in src/ext/providers/<type>.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "config/document.h"
#include "http/client.h"
#include "json/peek.h"
#include "wire/sse.h"

namespace penstock::llm {

enum class Operation { chat, completions, embeddings };

// Tokens as the provider reported them. `input` includes `cached`.
struct Usage {
  bool known = false;
  std::int64_t input = 0;
  std::int64_t output = 0;
  std::int64_t cached = 0;
};

// A request in OpenAI's dialect with what routing had to know of it. The body stays the client's bytes.
struct Request {
  Operation operation = Operation::chat;
  std::string_view body;
  json::Field model;  // where the name stands in the body
  json::Field stream_options;
  std::size_t object_begin = 0;
  bool stream = false;
  bool wants_usage = false;  // the client asked for stream_options.include_usage itself
};

// What a provider is told about a request whose body passes through unread.
struct PassHead {
  std::string_view method;
  std::string_view path;                    // below the base URL, with its query: /audio/speech
  std::string_view content_type;            // empty: none
  std::string_view accept;                  // empty: anything
  bool has_body = false;                    // GET and DELETE have none
  std::optional<std::uint64_t> body_bytes;  // of the body; nothing: it comes in chunks
  std::string_view lines = {};              // more fields, each with its line end
};

struct UpstreamRequest {
  base::RecycledString head;      // request line and fields, without the final empty line
  net::Pieces body;               // views of the client's bytes and of `inserted`
  base::RecycledString inserted;  // what the gateway says in between
};

// What to do with one event of a stream.
struct EventVerdict {
  bool forward = true;  // false: it is ours (usage we asked for), the client did not
  bool error = false;   // the provider reports a failure inside the stream
  bool last = false;    // the proper end of the stream
};

class Provider {
 public:
  virtual ~Provider() = default;
  virtual const std::shared_ptr<const http::Origin>& origin() const = 0;
  // Used where a route names none.
  virtual http::ClientTimeouts timeouts() const = 0;
  // `model` is the provider's own name for it.
  virtual Result<UpstreamRequest> encode(const Request& request, std::string_view model,
                                         std::string_view request_id) const = 0;
  // Request line and fields, without the final empty line, of a call that passes through.
  virtual Result<std::string> pass_through(const PassHead& head, std::string_view request_id) const {
    (void)head;
    (void)request_id;
    return fail(Errc::unimplemented, "this type of provider has no such API");
  }
  // Request line and fields of a harmless call that shows whether the provider answers and takes the key.
  virtual std::string probe_head() const = 0;
  // Reads a whole 200 answer. An error means it is not what the protocol promises.
  virtual Result<Usage> read_answer(Operation operation, std::string_view body) const = 0;
  // Looks at one event; fills `usage` when it is there.
  virtual EventVerdict read_event(const Request& request, const wire::SseEvent& event, Usage& usage) const = 0;
};

struct ProviderFactory {
  // Reads the provider's map (`type` is known already); reports mistakes on it. Null after one.
  std::function<std::shared_ptr<const Provider>(const std::string& name, config::Map& map)> make;
};

}  // namespace penstock::llm
