// One life of the process of an isolated model, as the gateway has it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "infer/isolated_message.h"
#include "infer/nursery.h"

namespace penstock::infer::isolated {

// Any thread.
class Process {
 public:
  // Starts it and has it load the model. `bytes`: -1, or a descriptor of what is to be loaded. `wake`: readable when
  // nobody waits any more. `run_max`: a run that takes longer is stopped. Errors as Runtime::load.
  static Result<std::shared_ptr<Process>> start(const LoadOrder& order, int bytes, int wake, base::Duration run_max);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const ModelInfo& info() const { return info_; }
  std::uint64_t memory_bytes() const { return memory_.load(std::memory_order_relaxed); }
  pid_t pid() const { return process_.pid; }

  // As Model::run, and deadline_exceeded.
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                  const RunOptions& options);

  // Its lifeline: readable when it ended. Then note_end() is to be called, by one thread; it returns how.
  int lifeline() const { return process_.lifeline.get(); }
  std::string note_end();

 private:
  struct Channel {
    Descriptor socket;
    SharedRegion region;
    Descriptor stop;
    bool late = false;  // its run took too long and was told to stop
  };
  Process(WorkerProcess process, base::Duration run_max) : process_(std::move(process)), run_max_(run_max) {}
  Result<std::unique_ptr<Channel>> take_channel();
  Result<std::unique_ptr<Channel>> open_channel();
  void keep_channel(std::unique_ptr<Channel> channel);
  Result<RunDone> exchange(Channel& channel, const RunOrder& order, const RunOptions& options);
  Result<Packet> wait_for_answer(Channel& channel, const RunOptions& options);
  Result<std::vector<Tensor>> take_outputs(Channel& channel, const RunDone& done,
                                           std::span<const std::size_t> outputs) const;
  std::unexpected<Error> ended();
  std::unexpected<Error> not_sent(Error error);
  void put_down(std::string why);

  WorkerProcess process_;
  const base::Duration run_max_;
  ModelInfo info_;
  std::atomic<std::uint64_t> memory_{0};
  std::mutex mutex_;  // guards what follows, and the order of what is said on process_.control
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Channel>> idle_;
  std::string why_killed_;  // by us
  std::optional<std::string> end_;
};

}  // namespace penstock::infer::isolated
