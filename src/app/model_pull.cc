#include "app/model_pull.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "app/model_download.h"
#include "artifact/digest.h"
#include "artifact/files.h"
#include "artifact/manifest.h"
#include "artifact/model_signing.h"
#include "infer/model_source.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> disk_failed(const std::string& what) {
  Errc code = errno == ENOSPC || errno == EDQUOT ? Errc::resource_exhausted : Errc::permission_denied;
  return fail(code, fmt::format("{}: {}", what, std::strerror(errno)));
}

Result<std::string> checksum_of(const artifact::Files& files, const std::string& name) {
  artifact::Hasher hasher(artifact::HashType::sha256);
  auto passed = files.stream(name, UINT64_MAX, [&](std::string_view piece) { hasher.update(piece); });
  if (!passed) return std::unexpected(std::move(passed.error()));
  return artifact::to_hex(hasher.finish());
}

bool has_checksum(const std::string& folder, const std::string& name, const std::string& wanted) {
  auto files = artifact::DiskFiles::open(folder);
  if (!files) return false;
  auto found = checksum_of(*files, name);
  return found && *found == wanted;
}

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return fail(Errc::permission_denied, fmt::format("{}: {}", path, error.message()));
  return {};
}

Result<void> sync(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  bool good = fd >= 0 && ::fsync(fd) == 0;
  auto failed = good ? Result<void>() : Result<void>(disk_failed(path));
  if (fd >= 0) ::close(fd);
  return failed;
}

// As a whole: the folder of a version is the old one or the new one.
Result<void> put_in_place(const std::string& staging, const std::string& place) {
  for (const auto& entry : fs::directory_iterator(staging)) {
    if (auto synced = sync(entry.path().string()); !synced) return synced;
  }
  if (auto synced = sync(staging); !synced) return synced;
  std::error_code error;
  bool replaces = fs::exists(fs::symlink_status(place, error));
  int done = ::renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, place.c_str(), replaces ? RENAME_EXCHANGE : 0);
  if (done != 0) return disk_failed(place);
  if (auto synced = sync(fs::path(place).parent_path().string()); !synced) return synced;
  fs::remove_all(staging, error);  // what stood there before; nothing when it stood nowhere
  return {};
}

// Held by one process at a time, and let go of by the system when that one ends.
class FolderLock {
 public:
  explicit FolderLock(const std::string& file)
      : fd_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool taken() const { return fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) == 0; }

 private:
  int fd_;
};

// The file of that name where `url` has its own.
std::string beside(const std::string& url, std::string_view name) {
  std::string path = url.substr(0, url.find('?'));
  return path.substr(0, path.rfind('/') + 1) + std::string(name);
}

}  // namespace

std::string ModelPull::folder_of(const std::string& data_dir, const std::string& model) {
  return fs::path(data_dir) / "models" / model;
}

ModelPull::ModelPull(Options options) : options_(std::move(options)) {}

void ModelPull::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    if (running_) running_->cancel();
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string ModelPull::place_of(const Job& job) const {
  return folder_of(options_.data_dir, job.model) + "/" + std::to_string(job.pull.version);
}

bool ModelPull::is_there(const infer::ModelConfig& config, const infer::PullConfig& pull, bool with_signature) const {
  std::string place = folder_of(options_.data_dir, config.name) + "/" + std::to_string(pull.version);
  auto files = artifact::DiskFiles::open(place);
  if (!files || !files->has(options_.file_name)) return false;
  bool has_signature =
      files->has(std::string(artifact::kManifestFile)) || files->has(std::string(artifact::kBundleFile));
  return (has_signature || !with_signature) && has_checksum(place, options_.file_name, pull.sha256);
}

std::string ModelPull::state_of(const Job& job) const {
  if (!job.error.detail.empty())
    return fmt::format("version {} could not be fetched and is tried again: {}", job.pull.version, job.error.detail);
  std::string share = job.total > 0 ? fmt::format(", {} of {} bytes are there", job.there, job.total) : "";
  return fmt::format("version {} is being fetched from {}{}; it is loaded when it is there", job.pull.version,
                     shown_url(job.pull.url), share);
}

Result<void> ModelPull::fetch(const infer::ModelConfig& config, const infer::InferenceConfig& inference) {
  if (config.origin.pull.empty()) return {};
  if (!artifact::is_plain_path(config.name) || config.name.find('/') != std::string::npos)
    return fail(Errc::invalid_argument, fmt::format("'{}' cannot be the name of a folder", config.name));
  bool with_signature = infer::needs_signature(config, inference);
  std::vector<std::shared_ptr<Job>> missing;
  // From within `changed`: nothing can come meanwhile, and nobody new wants it.
  bool is_own = std::this_thread::get_id() == worker_.load();
  for (const infer::PullConfig& pull : config.origin.pull) {
    if (is_there(config, pull, with_signature)) continue;
    std::lock_guard lock(mutex_);
    auto& job = jobs_[{config.name, pull.version}];
    if (!job || job->pull != pull || job->with_signature != with_signature) {
      if (job) job->dropped = true;
      job = std::make_shared<Job>();
      job->model = config.name;
      job->pull = pull;
      job->with_signature = with_signature;
      job->bytes_max = inference.file_bytes_max;
    }
    if (!std::exchange(job->news, false) && !is_own) {  // somebody wants it now
      job->due = {};
      job->error.detail.clear();
      job->told = false;
    }
    if (!is_own) job->waited_for = true;
    missing.push_back(job);
  }
  if (missing.empty()) return {};
  std::unique_lock lock(mutex_);
  if (stopping_) return fail(Errc::cancelled, "the gateway is on its way out");
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_all();
  changed_.wait_for(lock, is_own ? base::Duration::zero() : options_.patience, [&] {
    return stopping_ || std::all_of(missing.begin(), missing.end(),
                                    [](const auto& job) { return job->done || !job->error.detail.empty(); });
  });
  std::string missed;
  for (const auto& job : missing) {
    if (!is_own) job->waited_for = false;
    if (!job->done) missed += (missed.empty() ? "" : "; ") + state_of(*job);
  }
  if (missed.empty()) return {};
  return fail(Errc::unavailable, std::move(missed));
}

void ModelPull::keep(const std::vector<infer::ModelConfig>& models) {
  std::lock_guard lock(mutex_);
  std::erase_if(jobs_, [&](const auto& entry) {
    const Job& job = *entry.second;
    bool wanted = std::any_of(models.begin(), models.end(), [&](const infer::ModelConfig& model) {
      return model.name == job.model &&
             std::find(model.origin.pull.begin(), model.origin.pull.end(), job.pull) != model.origin.pull.end();
    });
    if (!wanted && running_ && running_job_ == &job) running_->cancel();
    if (!wanted) entry.second->dropped = true;
    return !wanted;
  });
}

std::shared_ptr<ModelPull::Job> ModelPull::next_job(std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    std::shared_ptr<Job> first;
    for (const auto& [key, job] : jobs_) {
      if (!first || job->due < first->due) first = job;
    }
    if (first && first->due <= std::chrono::steady_clock::now()) return first;
    if (first) {
      changed_.wait_until(lock, first->due);
    } else {
      changed_.wait(lock);
    }
  }
  return nullptr;
}

void ModelPull::work() {
  worker_.store(std::this_thread::get_id());
  std::unique_lock lock(mutex_);
  while (auto job = next_job(lock)) {
    running_ = std::make_shared<ModelDownload>();
    running_job_ = job.get();
    lock.unlock();
    auto done = attempt(*job);
    lock.lock();
    running_ = nullptr;
    running_job_ = nullptr;
    job->done = done.has_value();
    job->error.detail = done ? "" : done.error().detail;
    job->due = std::chrono::steady_clock::now() + job->backoff.next();
    job->news = !job->done && !job->told && !job->waited_for;
    job->told = true;
    bool tell = !job->dropped && !job->waited_for && (job->done || job->news);
    if (auto known = jobs_.find({job->model, job->pull.version});
        job->done && known != jobs_.end() && known->second == job)
      jobs_.erase(known);
    changed_.notify_all();
    if (stopping_) return;
    lock.unlock();
    if (job->done) {
      obs::log(
          obs::Level::info, "a model's file was fetched",
          {{"model", job->model}, {"version", std::to_string(job->pull.version)}, {"from", shown_url(job->pull.url)}});
    } else if (!job->dropped) {
      obs::log(obs::Level::warn, "a model's file could not be fetched, and is tried again",
               {{"model", job->model}, {"version", std::to_string(job->pull.version)}, {"why", done.error().detail}});
    }
    if (tell && options_.changed) options_.changed(job->model);
    lock.lock();
  }
}

Result<void> ModelPull::download(Job& job, const std::string& url, const std::string& file, std::uint64_t bytes_max) {
  ModelDownload::Options options;
  options.url = url;
  options.authorization = job.pull.authorization;
  options.file = file;
  options.bytes_max = bytes_max;
  options.progress = [this, &job](std::uint64_t there, std::uint64_t total) {
    std::lock_guard lock(mutex_);
    job.there = there;
    job.total = total;
  };
  std::shared_ptr<ModelDownload> download;
  {
    std::lock_guard lock(mutex_);
    download = running_;
  }
  return download->run(std::move(options));
}

Result<void> ModelPull::bring(Job& job, const std::string& staging, const std::string& part) {
  std::string place = place_of(job);
  std::string file = staging + "/" + options_.file_name;
  if (has_checksum(place, options_.file_name, job.pull.sha256)) {
    std::string there = place + "/" + options_.file_name;
    if (::link(there.c_str(), file.c_str()) != 0) return disk_failed(file);
  } else {
    auto done = download(job, job.pull.url, part, job.bytes_max);
    if (!done) return done;
    std::string folder = fs::path(part).parent_path();
    if (!has_checksum(folder, fs::path(part).filename(), job.pull.sha256)) {
      ::unlink(part.c_str());
      ::unlink((part + ".tag").c_str());
      return fail(Errc::data_loss,
                  fmt::format("{}: its SHA-256 is not the one the configuration has: the file there is "
                              "another one, or was damaged on its way",
                              shown_url(job.pull.url)));
    }
    if (::chmod(part.c_str(), 0644) != 0 || ::rename(part.c_str(), file.c_str()) != 0) return disk_failed(file);
    ::unlink((part + ".tag").c_str());
  }
  if (!job.with_signature) return {};
  auto take = [&](std::string_view name, std::uint64_t bytes_max) {
    return download(job, beside(job.pull.url, name), staging + "/" + std::string(name), bytes_max);
  };
  auto manifest = take(artifact::kManifestFile, artifact::kManifestBytesMax);
  if (manifest) return take(artifact::kManifestSignatureFile, artifact::kManifestBytesMax);
  if (manifest.error().code != Errc::not_found) return manifest;
  auto bundle = take(artifact::kBundleFile, artifact::kBundleBytesMax);
  if (bundle || bundle.error().code != Errc::not_found) return bundle;
  return fail(Errc::not_found,
              fmt::format("a signature is asked for, and there is none beside {}: put {} and {}, or {}, there",
                          shown_url(job.pull.url), artifact::kManifestFile, artifact::kManifestSignatureFile,
                          artifact::kBundleFile));
}

Result<void> ModelPull::attempt(Job& job) try {
  std::string work = folder_of(options_.data_dir, job.model) + "/.pull";
  if (auto made = make_folder(work); !made) return made;
  FolderLock lock(work + "/lock");
  if (!lock.taken()) return fail(Errc::unavailable, "another process is fetching it");
  std::string staging = fmt::format("{}/{}.new", work, job.pull.version);
  std::error_code ignored;
  fs::remove_all(staging, ignored);
  if (auto made = make_folder(staging); !made) return made;
  // Named after what it is to become: what is left of another file is of no use.
  auto brought = bring(job, staging, fmt::format("{}/{}.part", work, job.pull.sha256));
  if (brought) {
    for (const auto& entry : fs::directory_iterator(staging)) {
      if (entry.path().extension() == ".tag") fs::remove(entry.path(), ignored);
    }
    brought = put_in_place(staging, place_of(job));
  }
  fs::remove_all(staging, ignored);
  return brought;
} catch (const fs::filesystem_error& error) {
  return fail(Errc::permission_denied, error.what());
}

}  // namespace penstock::app
