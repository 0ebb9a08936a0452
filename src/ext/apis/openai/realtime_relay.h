// Two WebSockets that talk through the gateway: a caller's and a provider's. Messages keep their order and their bytes;
// whoever is slow slows the other down.
#pragma once

#include "flow/call.h"
#include "flow/websocket.h"
#include "llm/pass_through.h"
#include "rt/await.h"

namespace penstock::ext {

// What one event of the provider says was used.
struct RealtimeUsage {
  std::int64_t input = 0;  // includes `cached` and `audio_input`
  std::int64_t output = 0;
  std::int64_t cached = 0;
  std::int64_t audio_input = 0;
  std::int64_t audio_output = 0;
};
// Nothing for events that report none.
std::optional<RealtimeUsage> realtime_usage(std::string_view event);

// An error in the shape of the realtime API.
std::string realtime_error(const Error& error);

class RealtimeRelay {
 public:
  // All of them outlive it.
  RealtimeRelay(flow::Call& call, flow::WebSocketSession& session, http::WebSocket& provider,
                llm::PassThrough& passage);
  // Until both connections are closed.
  rt::Task<void> run();

 private:
  // How the conversation ends; the first to know decides.
  struct Ending {
    std::uint16_t caller_code = wire::close_code::kNormal;
    std::uint16_t provider_code = wire::close_code::kNormal;
    std::string reason = {};
    std::optional<Error> told = {};  // in an error event before the close
    obs::ErrorType type = obs::ErrorType::none;
  };
  rt::Task<void> to_provider();
  rt::Task<void> to_caller();
  rt::Task<void> close_provider(std::uint16_t code);
  void end(Ending ending);
  void end_for_caller(const Error& error);
  void end_for_provider(const Error& error);
  void end_by_policy(Error error);
  void look();
  Result<void> account(std::string_view event);

  flow::Call& call_;
  flow::WebSocketSession& session_;
  http::WebSocket& provider_;
  llm::PassThrough& passage_;
  rt::TaskScope scope_;
  rt::Timer timer_;
  std::optional<Ending> ending_;
};

}  // namespace penstock::ext
