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
#include "chat/codec.h"
#include "config/document.h"
#include "http/client.h"
#include "json/peek.h"
#include "llm/output_wish.h"
#include "token/tally.h"
#include "wire/sse.h"

namespace penstock::llm {

using chat::Family;
using chat::Operation;
using chat::Usage;

// How the pieces of a streamed answer are set off from each other: server-sent events, a JSON text a line (NDJSON), or
// the elements of one JSON array.
enum class Framing : std::uint8_t { events, lines, array };

struct Target;
struct Route;
class ContextFit;

// A request in the dialect of its client, with what routing had to know of it. The body stays the client's bytes.
struct Request {
  Family family = Family::openai;
  Operation operation = Operation::chat;
  std::string_view body;
  json::Field model;  // where the name stands in the body; absent when the path has it
  json::Field stream_options;
  std::size_t object_begin = 0;
  OutputWish output;
  std::int64_t output_most = 0;  // tokens of one answer that the provider is told at most; 0: what the body says
  bool stream = false;
  bool wants_usage = false;           // the client asked for stream_options.include_usage itself
  Framing framing = Framing::events;  // of the stream that the client expects
  std::string_view keep_alive = {};   // what holds a quiet stream of this dialect open; empty: nothing does
  std::string_view lines = {};        // the client's fields that a provider of its dialect gets, with their line ends
  // For providers of another dialect; null where the operation cannot be translated. Outlive the call.
  const chat::ClientCodec* codec = nullptr;  // chat, completions, responses, count_tokens
  const chat::EmbeddingsCodec* embeddings = nullptr;
  std::string_view provider = {};            // only targets of this one; empty: of any
  std::shared_ptr<const Route> route;        // set: flow::admit() has passed the call already, for this one
  std::string service_tier = {};             // as the client names it; empty: it does not
  std::int64_t asked_input = 0;              // of call.ask.tokens
  bool bounded = false;                      // some hard budget relies on what was asked for
  token::InputSize input_size = {};          // as measured where it cannot be counted; 0 bytes: it was not
  std::shared_ptr<ContextFit> context;       // where the route has a rule about it
  std::shared_ptr<chat::Request> canonical;  // the body as `codec` reads it, once somebody needed it
  // Hears the answer of a target that took the request in the client's own dialect, before the client does: the whole
  // of it, or the first event of a stream. Null: nobody does. Outlives the call.
  const std::function<void(const Target& target, std::string_view answer)>* on_native = nullptr;
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

// What to do with one event of a stream that is in the client's dialect already.
struct EventVerdict {
  bool forward = true;  // false: it is ours (usage we asked for), the client did not
  bool error = false;   // the provider reports a failure inside the stream
  bool last = false;    // the proper end of the stream
};

// Immutable; any thread.
class Provider {
 public:
  virtual ~Provider() = default;
  virtual const std::shared_ptr<const http::Origin>& origin() const = 0;
  // Used where a route names none.
  virtual http::ClientTimeouts timeouts() const = 0;
  // Request line and fields of a harmless call that shows whether the provider answers and takes the key.
  virtual std::string probe_head() const = 0;
  // Request line and fields, without the final empty line, of a call that passes through.
  virtual Result<std::string> pass_through(const PassHead& head, std::string_view request_id) const {
    (void)head;
    (void)request_id;
    return fail(Errc::unimplemented, "this type of provider has no such API");
  }

  // --- calls in the provider's own dialect: the client's bytes go on as they are
  virtual Family family() const = 0;
  // It takes this operation in its family's dialect.
  virtual bool speaks(Operation operation) const = 0;
  // `model` is the provider's own name for it.
  virtual Result<UpstreamRequest> encode(const Request& request, std::string_view model,
                                         std::string_view request_id) const = 0;
  virtual Framing framing() const { return Framing::events; }
  // Reads a whole 200 answer. An error means it is not what the protocol promises.
  virtual Result<Usage> read_answer(Operation operation, std::string_view body) const = 0;
  // Looks at one event; fills `usage` when it is there.
  virtual EventVerdict read_event(const Request& request, const wire::SseEvent& event, Usage& usage) const = 0;

  // The event only opens the answer and says nothing of it: as long as no other came, another target may still be
  // asked. Asked of the first events of a stream only.
  virtual bool is_opening(const Request& request, const wire::SseEvent& event) const {
    (void)request;
    (void)event;
    return false;
  }

  // --- calls from other dialects
  // Says the request in the provider's dialect: chat when it is no count. What it cannot say goes to `dropped`. An
  // error (invalid_argument) only for what makes no sense without it.
  virtual Result<UpstreamRequest> encode(const chat::Request& request, std::string_view model,
                                         std::string_view request_id, chat::Dropped& dropped) const = 0;
  virtual Result<chat::Answer> read_chat(const chat::Request& request, std::string_view body) const = 0;
  // `request` outlives the reader.
  virtual std::unique_ptr<chat::StreamReader> stream_reader(const chat::Request& request) const = 0;
  virtual Result<UpstreamRequest> encode(const chat::EmbeddingsRequest& request, std::string_view model,
                                         std::string_view request_id, chat::Dropped& dropped) const;
  virtual Result<chat::EmbeddingsAnswer> read_embeddings(const chat::EmbeddingsRequest& request,
                                                         std::string_view body) const;
  // Asks for the number of tokens the request would cost as input. unimplemented: the gateway has to estimate.
  virtual Result<UpstreamRequest> encode_count(const chat::Request& request, std::string_view model,
                                               std::string_view request_id) const;
  virtual Result<std::int64_t> read_count(std::string_view body) const;
  // The body of an answer that is no success, in whatever shape; an empty message when it says nothing readable.
  virtual chat::ProviderError read_error(int status, std::string_view body) const = 0;
};

struct ProviderFactory {
  // Reads the provider's map (`type` is known already); reports mistakes on it. Null after one.
  std::function<std::shared_ptr<const Provider>(const std::string& name, config::Map& map)> make;
};

}  // namespace penstock::llm
