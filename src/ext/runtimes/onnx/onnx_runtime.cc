#include "ext/runtimes/onnx/onnx_runtime.h"

#include <filesystem>

#include "ext/runtimes/onnx/accelerators.h"
#include "ext/runtimes/onnx/library.h"
#include "obs/log.h"

namespace penstock::ext::runtimes::onnx {
namespace {

// Weights in files of their own, as they are in memory.
void add_beside(Ort::SessionOptions& options, const infer::ModelFile& file) {
  std::vector<std::string> names;
  std::vector<char*> buffers;
  std::vector<std::size_t> sizes;
  for (const auto& [name, bytes] : file.beside) {
    names.push_back(name);
    buffers.push_back(const_cast<char*>(bytes->data()));  // only read
    sizes.push_back(bytes->size());
  }
  if (!names.empty()) options.AddExternalInitializersFromFilesInMemory(names, buffers, sizes);
}

// What the person with the file can do about refusals that say only what is wrong.
std::string_view advice(std::string_view refusal) {
  if (refusal.find("Failed to construct locale") != std::string_view::npos) {
    return "; generate that locale on this machine: localedef -i en_US -f UTF-8 en_US.UTF-8 (package locales)";
  }
  if (refusal.find("Could not find an implementation") != std::string_view::npos) {
    return "; export the model again with a newer ONNX opset";
  }
  return {};
}

// The first of the accelerators that works, in `options`; the CPU when none does. What did not work is in `notice`.
std::string choose_accelerator(Ort::SessionOptions& options, std::span<const std::string> wanted, std::size_t threads,
                               std::string& notice) {
  for (const std::string& name : wanted) {
    auto appended = append_accelerator(options, name, threads);
    if (appended) return name;
    notice += fmt::format("{}{} cannot be used: {}", notice.empty() ? "" : "; ", name, appended.error().detail);
  }
  return "cpu";
}

Ort::Session make_session(const OnnxModel::Parts& parts, const infer::ModelFile& file,
                          const Ort::SessionOptions& options) {
  ModelMemory::Use use(*parts.memory);
  if (file.bytes) return {parts.environment->env, file.bytes->data(), file.bytes->size(), options};
  return {parts.environment->env, file.path.c_str(), options};
}

// Some accelerators take the order and refuse the model: then the next in the list has its turn.
void open_session(OnnxModel::Parts& parts, const infer::ModelFile& file, const infer::RuntimeOptions& options) {
  std::span<const std::string> wanted = options.accelerators;
  while (true) {
    Ort::SessionOptions session = session_options(options);
    add_beside(session, file);
    std::string notice = parts.notice;
    parts.accelerator = choose_accelerator(session, wanted, options.threads, notice);
    parts.notice = std::move(notice);
    try {
      parts.session = make_session(parts, file, session);
      return;
    } catch (const Ort::Exception& exception) {
      if (parts.accelerator == "cpu") throw;
      parts.notice += fmt::format("{}{} does not take this model: {}", parts.notice.empty() ? "" : "; ",
                                  parts.accelerator, to_error(exception, Errc::internal).detail);
    }
    while (!wanted.empty() && wanted.front() != parts.accelerator) wanted = wanted.subspan(1);
    if (!wanted.empty()) wanted = wanted.subspan(1);
  }
}

Result<void> check_size(const infer::ModelFile& file, std::uint64_t memory_max) {
  std::error_code error;
  std::uintmax_t size = file.bytes ? file.bytes->size() : std::filesystem::file_size(file.path, error);
  if (error || memory_max == 0 || size <= memory_max) return {};
  return fail(Errc::resource_exhausted,
              fmt::format("{}: the file has {} bytes and memory.max is {}", file.path, size, memory_max));
}

}  // namespace

Result<void> OnnxRuntime::open() {
  if (environment_) return {};
  auto library = open_library();
  if (!library) return std::unexpected(std::move(library.error()));
  try {
    environment_ = shared_environment();
  } catch (const Ort::Exception& exception) {
    return std::unexpected(to_error(exception, Errc::unavailable));
  }
  return {};
}

Result<std::shared_ptr<const infer::Model>> OnnxRuntime::load_session(const infer::ModelFile& file,
                                                                      const infer::RuntimeOptions& options,
                                                                      OnnxModel::Parts& parts) {
  parts.environment = environment_;
  open_session(parts, file, options);
  if (!parts.notice.empty()) {
    parts.notice += fmt::format("; it runs on {}", parts.accelerator);
    obs::log(obs::Level::warn, "an accelerator of a local model is not used",
             {{"model", file.path}, {"why", parts.notice}});
  }
  auto model = OnnxModel::make(std::move(parts));
  if (!model && model.error().code == Errc::unimplemented)
    model.error().detail = file.path + ": " + model.error().detail;
  return model;
}

Result<std::shared_ptr<const infer::Model>> OnnxRuntime::load(const infer::ModelFile& file,
                                                              const infer::RuntimeOptions& options) {
  if (auto fits = check_size(file, options.memory_max); !fits) return std::unexpected(std::move(fits.error()));
  // The parts can be let go of only with the library.
  if (auto opened = open(); !opened) return std::unexpected(std::move(opened.error()));
  OnnxModel::Parts parts;
  parts.memory = ModelMemory::make(options.memory_max);
  auto too_large = [&](std::uint64_t refused) {
    return fail(Errc::resource_exhausted, fmt::format("{}: preparing the model needs {} bytes more than memory.max "
                                                      "({}) leaves",
                                                      file.path, refused, options.memory_max));
  };
  try {
    return load_session(file, options, parts);
  } catch (const Ort::Exception& exception) {
    if (std::uint64_t refused = parts.memory ? parts.memory->take_refused() : 0; refused != 0)
      return too_large(refused);
    Error error = to_error(exception, Errc::data_loss);
    // The file is at fault, not whoever asked for it.
    if (error.code == Errc::invalid_argument) error.code = Errc::data_loss;
    error.detail = fmt::format("{}: not a usable ONNX model: {}{}", file.path, error.detail, advice(error.detail));
    return std::unexpected(std::move(error));
  } catch (const std::exception& exception) {
    return fail(Errc::internal, fmt::format("{}: {}", file.path, exception.what()), "onnxruntime");
  }
}

}  // namespace penstock::ext::runtimes::onnx
