// penstock model-worker: where the processes of isolated models come from, and what one of them may do.
#include <CLI/CLI.hpp>

#include "app/command_groups.h"
#include "app/file_fence.h"
#include "app/system_calls.h"
#include "infer/nursery.h"

namespace penstock::app {
namespace {

constexpr int kSocket = 3;

// The model's own files, and what a library reads that loads a part of itself or a locale.
Result<infer::isolated::Confinement> confine(const std::string& folder) {
  infer::isolated::Confinement confinement;
  auto fenced = fence_files({folder.empty() ? "." : folder, "/usr", "/lib", "/lib64", "/sys/devices/system/cpu"});
  // Without a fence nothing can be opened at all.
  confinement.may_read = fenced.has_value();
  if (!fenced && fenced.error().code != Errc::unimplemented) return std::unexpected(std::move(fenced.error()));
  if (auto done = SystemCalls::restrict_worker(confinement.may_read); !done)
    return std::unexpected(std::move(done.error()));
  return confinement;
}

}  // namespace

void add_model_worker(CLI::App& cli, const base::Registry& registry, Command& chosen) {
  CLI::App* worker = cli.add_subcommand("model-worker", "the gateway starts it for isolated models")->group("");
  worker->callback([&registry, &chosen] {
    chosen = [&registry] { return infer::isolated::serve_nursery(kSocket, registry, confine); };
  });
}

}  // namespace penstock::app
