// ModelStreamInfer: several inferences of one stream in flight at a time. Answers come in the order of the requests, as
// Triton's do for models that give one answer each; a request that fails is answered with an error in its place, and
// the stream goes on.
#pragma once

#include <deque>

#include "ext/apis/oip_grpc/grpc_call.h"
#include "ext/apis/oip_grpc/inference.h"
#include "rt/await.h"

namespace penstock::ext {

class InferStream {
 public:
  // All outlive this.
  InferStream(flow::Call& call, GrpcCall& grpc, infer::Repository& repository, infer::Engine& engine)
      : call_(call),
        grpc_(grpc),
        repository_(repository),
        engine_(engine),
        room_(call.exchange.loop()),
        ready_(call.exchange.loop()),
        deadline_timer_(call.exchange.loop()) {}

  // From the head of the answer to its end. Ends when the client has sent all and heard all, when it leaves, when its
  // deadline passes, when its key is no longer good, or when the gateway is drained: then with `unavailable`, after the
  // answers to what came before.
  rt::Task<void> run();

 private:
  // A request on its way, in the order they came.
  struct Slot {
    explicit Slot(const flow::Call& stream) : call(stream.exchange, stream.dialect, stream.policy) {}
    flow::Call call;  // each request counts for limits
    Inference inference;
    std::string id;
    std::size_t bytes = 0;
    std::optional<Result<infer::Response>> result;
    bool begun = false;  // the engine will give the result
    bool settled = false;
  };

  // None of both throws, and each ends: one would end the stream under the other.
  rt::Task<void> read_all();
  rt::Task<void> write_all();
  rt::Task<void> read_requests();
  rt::Task<void> write_answers();
  rt::Task<Result<void>> take(std::string_view message);
  rt::Task<Result<void>> write(Slot& slot);
  void start(Slot& slot);
  void settle(Slot& slot);
  void watch_client();
  void end(Error why);
  bool full() const;

  flow::Call& call_;
  GrpcCall& grpc_;
  infer::Repository& repository_;
  infer::Engine& engine_;
  std::deque<std::unique_ptr<Slot>> slots_;
  std::size_t bytes_ = 0;  // of messages in flight
  std::stop_source stop_;  // nobody waits for anything of the stream
  rt::Event room_;         // for the reader: a slot was answered
  rt::Event ready_;        // for the writer: the first slot may have its result
  rt::Timer deadline_timer_;
  std::optional<Error> why_;  // the stream ends with an error
  bool errors_end_ = false;   // the client wants a status instead of errors in answers
  bool all_read_ = false;
};

}  // namespace penstock::ext
