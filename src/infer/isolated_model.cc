#include "infer/isolated_model.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <thread>

#include "base/backoff.h"
#include "infer/isolated_process.h"
#include "obs/log.h"

namespace penstock::infer {
namespace {

using isolated::Descriptor;
using isolated::Process;

constexpr auto kFirstWait = std::chrono::milliseconds(100);
constexpr auto kLongestWait = std::chrono::seconds(30);
// A process that lived so long was no failure of the start.
constexpr auto kGoodLife = std::chrono::minutes(1);

class IsolatedModel : public Model {
 public:
  IsolatedModel(isolated::LoadOrder order, Descriptor bytes, Descriptor wake, base::Duration run_max,
                std::shared_ptr<Process> process)
      : order_(std::move(order)),
        bytes_(std::move(bytes)),
        wake_(std::move(wake)),
        run_max_(run_max),
        info_(process->info()),
        process_(std::move(process)) {
    keeper_ = std::thread([this] { keep(); });
  }
  ~IsolatedModel() override {
    std::uint64_t one = 1;
    [[maybe_unused]] ssize_t written = ::write(wake_.get(), &one, sizeof(one));
    keeper_.join();
  }

  const ModelInfo& info() const override { return info_; }
  std::uint64_t memory_bytes() const override {
    auto process = current();
    return process ? process->memory_bytes() : 0;
  }
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                  const RunOptions& options) const override {
    if (options.stop.stop_requested()) return fail(Errc::cancelled, "the run was stopped: nobody waits for it");
    if (auto process = current()) return process->run(inputs, outputs, options);
    std::lock_guard lock(mutex_);
    return fail(Errc::unavailable, fmt::format("the model's process {}; it is started again", why_));
  }

 private:
  std::shared_ptr<Process> current() const {
    std::lock_guard lock(mutex_);
    return process_;
  }
  void set(std::shared_ptr<Process> process, std::string why) {
    std::lock_guard lock(mutex_);
    process_.swap(process);
    why_ = std::move(why);
  }

  // The thread that starts the process again. Ends when wake_ is readable.
  void keep() {
    base::Backoff backoff(kFirstWait, kLongestWait);
    while (true) {
      auto born = std::chrono::steady_clock::now();
      if (!wait_for_end()) return;
      if (std::chrono::steady_clock::now() - born > kGoodLife) backoff.reset();
      while (!current()) {
        if (isolated::wait(-1, wake_.get(), backoff.next()) == isolated::Ready::wake) return;
        start_again();
      }
    }
  }

  // False: the model goes.
  bool wait_for_end() {
    auto process = current();
    if (isolated::wait(process->lifeline(), wake_.get(), base::Duration(-1)) == isolated::Ready::wake) return false;
    // First out of service, so that who hears of the end and tries again does not find it.
    set(nullptr, "ended");
    std::string how = process->note_end();
    set(nullptr, how);
    obs::log(obs::Level::warn, "the process of an isolated model ended and is started again",
             {{"model", order_.path}, {"why", how}});
    return true;
  }

  void start_again() {
    auto process = Process::start(order_, bytes_.get(), wake_.get(), run_max_);
    if (process && ((*process)->info().inputs != info_.inputs || (*process)->info().outputs != info_.outputs)) {
      process = fail(Errc::failed_precondition, "the file now holds another model; reload the configuration");
    }
    if (process) {
      set(std::move(*process), {});
      obs::log(obs::Level::info, "the process of an isolated model runs again", {{"model", order_.path}});
      return;
    }
    if (process.error().code == Errc::cancelled) return;
    obs::log(obs::Level::warn, "the process of an isolated model cannot be started",
             {{"model", order_.path}, {"why", process.error().detail}});
    set(nullptr, fmt::format("cannot be started: {}", process.error().detail));
  }

  const isolated::LoadOrder order_;
  const Descriptor bytes_;
  const Descriptor wake_;
  const base::Duration run_max_;
  const ModelInfo info_;
  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<Process> process_;
  std::string why_;  // there is none
  std::thread keeper_;
};

// What came with a request, or was decrypted or checked, for a process that has no way to ask for it.
class Handover {
 public:
  Handover() : file_(::memfd_create("penstock-model", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {}

  bool add(std::string name, std::string_view bytes) {
    parts_.push_back({.name = std::move(name), .size = bytes.size()});
    while (!bytes.empty()) {
      ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }
  // From here on nobody changes it: the next process is to load what the first did.
  bool seal() {
    return ::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;
  }
  std::vector<isolated::LoadOrder::Part> take_parts() { return std::move(parts_); }
  Descriptor take() { return std::move(file_); }

 private:
  Descriptor file_;
  std::vector<isolated::LoadOrder::Part> parts_;
};

Result<Handover> hand_over(const ModelFile& file) {
  Handover handover;
  bool done = handover.add({}, *file.bytes);
  for (const auto& [name, bytes] : file.beside) done = done && handover.add(name, *bytes);
  if (!done || !handover.seal())
    return fail(Errc::resource_exhausted, fmt::format("no memory to hand the model over: {}", std::strerror(errno)));
  return handover;
}

}  // namespace

Result<std::shared_ptr<const Model>> load_isolated(const std::string& runtime, const ModelFile& file,
                                                   const RuntimeOptions& options, base::Duration run_max) {
  isolated::LoadOrder order{.runtime = runtime, .path = file.path, .parts = {}, .options = options};
  order.options.isolate = false;
  Descriptor bytes;
  if (file.bytes) {
    auto handover = hand_over(file);
    if (!handover) return std::unexpected(std::move(handover.error()));
    order.parts = handover->take_parts();
    bytes = handover->take();
  }
  Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake.get() < 0) return fail(Errc::resource_exhausted, "too many open files for an isolated model");
  auto process = Process::start(order, bytes.get(), -1, run_max);
  if (!process) return std::unexpected(std::move(process.error()));
  return std::make_shared<IsolatedModel>(std::move(order), std::move(bytes), std::move(wake), run_max,
                                         std::move(*process));
}

}  // namespace penstock::infer
