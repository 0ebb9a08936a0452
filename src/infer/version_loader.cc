#include "infer/version_loader.h"

#include <malloc.h>

#include <thread>

#include "infer/isolated_model.h"
#include "infer/repository.h"
#include "infer/warm_up.h"

namespace penstock::infer {
namespace {

// A file younger than this may be in the middle of being written: it is looked at again when it is as old.
constexpr base::Duration kSettle = std::chrono::milliseconds(50);

// What the process has allocated. Memory that the allocator kept from earlier models does not hide a new one, nor does
// the code of a library that comes with the first.
std::uint64_t allocated_bytes() {
  struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

Error being_written(const Candidate& candidate) {
  return {Errc::unavailable,
          fmt::format("{} is still being written; it is taken when it stands still", candidate.file)};
}

Result<void> check_still(const Candidate& candidate, const Stamp& stamp) {
  auto now = stamp_of(candidate);
  if (!now) return std::unexpected(std::move(now.error()));
  if (*now != stamp) return std::unexpected(being_written(candidate));
  return {};
}

Result<void> wait_until_still(const Candidate& candidate, const Stamp& stamp) {
  base::Duration age(std::chrono::system_clock::now().time_since_epoch().count() - stamp.modified);
  if (age < base::Duration::zero() || age >= kSettle) return {};
  std::this_thread::sleep_for(kSettle - age);
  return check_still(candidate, stamp);
}

Result<void> check_tensor(std::string_view kind, const TensorSpec& declared, const std::vector<TensorSpec>& has) {
  auto same = [&](const TensorSpec& spec) { return spec.name == declared.name; };
  auto found = std::find_if(has.begin(), has.end(), same);
  if (found == has.end()) {
    std::vector<std::string_view> names;
    for (const TensorSpec& spec : has) names.push_back(spec.name);
    return fail(Errc::failed_precondition, fmt::format("the {} '{}' is declared, but the model has {}", kind,
                                                       declared.name, fmt::join(names, ", ")));
  }
  bool fits = found->datatype == declared.datatype && found->shape.size() == declared.shape.size();
  for (std::size_t i = 0; fits && i < declared.shape.size(); ++i)
    fits = found->shape[i] == -1 || found->shape[i] == declared.shape[i];
  if (fits) return {};
  return fail(Errc::failed_precondition,
              fmt::format("the {} '{}' is declared as {} {}, but the model's is {} {}", kind, declared.name,
                          to_string(declared.datatype), format_shape(declared.shape), to_string(found->datatype),
                          format_shape(found->shape)));
}

}  // namespace

Result<void> check_declared(const ModelConfig& config, const ModelInfo& info) {
  for (const TensorSpec& spec : config.inputs) {
    if (auto checked = check_tensor("input", spec, info.inputs); !checked) return checked;
  }
  for (const TensorSpec& spec : config.outputs) {
    if (auto checked = check_tensor("output", spec, info.outputs); !checked) return checked;
  }
  if (config.inputs.empty() || config.inputs.size() == info.inputs.size()) return {};
  return fail(Errc::failed_precondition,
              fmt::format("{} inputs are declared, but the model has {}", config.inputs.size(), info.inputs.size()));
}

Result<ModelFile> VersionLoader::open(const ModelConfig& config, const InferenceConfig& inference,
                                      const Candidate& candidate, const GivenFiles* given) const {
  if (given == nullptr) {
    if (hooks_.open_file) return hooks_.open_file(config, inference, candidate.file);
    return ModelFile{.path = candidate.file};
  }
  std::string name = candidate.file.substr(candidate.file.find('/') + 1);
  if (!hooks_.open_given) return ModelFile{.path = candidate.file, .bytes = given->at(name)};
  return hooks_.open_given(config, inference, candidate.number, *given, name);
}

Result<std::shared_ptr<const Model>> VersionLoader::load_model(const ModelConfig& config, const Candidate& candidate,
                                                               const ModelFile& file) {
  if (config.runtime.isolate) return load_isolated(candidate.runtime, file, config.runtime);
  auto& runtime = runtimes_[candidate.runtime];
  if (!runtime) runtime = registry_.find<RuntimeFactory>(candidate.runtime)->make();
  return runtime->load(file, config.runtime);
}

Result<std::shared_ptr<Served>> VersionLoader::load(const std::shared_ptr<const ModelConfig>& config,
                                                    const InferenceConfig& inference, const Candidate& candidate,
                                                    const Stamp& stamp, const GivenFiles* given) try {
  bool from_disk = given == nullptr;
  if (from_disk) {
    if (auto still = wait_until_still(candidate, stamp); !still) return std::unexpected(std::move(still.error()));
  }
  std::uint64_t before = allocated_bytes();
  auto file = open(*config, inference, candidate, given);
  auto model = file ? load_model(*config, candidate, *file)
                    : Result<std::shared_ptr<const Model>>(std::unexpected(std::move(file.error())));
  if (from_disk) {
    // Whatever was made of a file that changed meanwhile, it is of neither state.
    if (auto still = check_still(candidate, stamp); !still) return std::unexpected(std::move(still.error()));
  }
  if (!model) return std::unexpected(std::move(model.error()));
  if (auto fits = check_declared(*config, (*model)->info()); !fits) return std::unexpected(std::move(fits.error()));
  auto served = std::make_unique<Served>(config, candidate.number, std::move(*model), stamp.bytes);
  if (auto warm = warm_up(*served, Repository::kShortRun); !warm) return std::unexpected(std::move(warm.error()));
  std::uint64_t after = allocated_bytes();
  served->memory_bytes = std::max(stamp.bytes, after > before ? after - before : 0);
  // What came with a request is kept, to come back after an eviction.
  if (!from_disk) served->memory_bytes += stamp.bytes;
  return reaper_.keep(std::move(served));
} catch (const std::bad_alloc&) {
  return fail(Errc::resource_exhausted, fmt::format("{}: there is no memory to load it", candidate.file));
} catch (const std::exception& problem) {
  return fail(Errc::internal, fmt::format("{}: it cannot be loaded: {}", candidate.file, problem.what()));
}

std::shared_ptr<Served> VersionLoader::again(const std::shared_ptr<const ModelConfig>& config, const Served& old) {
  auto served = std::make_unique<Served>(config, old.number, old.model, old.memory_bytes);
  // It served already: what cannot be measured is served unmeasured.
  try {
    if (!measure(*served, Repository::kShortRun)) served->joins.store(false);
  } catch (const std::exception&) {
    served->joins.store(false);
  }
  return reaper_.keep(std::move(served));
}

}  // namespace penstock::infer
