// Brings the files that models' `pull` names into the data folder, on a thread of its own:
//
//   DATA/models/NAME/VERSION/model.onnx     with manifest.json and manifest.sig, or model.sig, where a signature is
//   asked for DATA/models/NAME/.pull/                 what is on its way, and a lock: two processes may work on one
//   folder
//
// A version's folder appears, or is exchanged for another, as a whole and once its checksum held: whoever looks, also
// after a crash, sees the old one or the new one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "base/result.h"
#include "infer/inference_config.h"
#include "infer/model_config.h"

namespace penstock::app {

class ModelDownload;

class ModelPull {
 public:
  struct Options {
    std::string data_dir = {};
    std::string file_name = "model.onnx";
    base::Duration patience = std::chrono::seconds(2);  // of fetch()
    // On the pull's thread: a file came that nobody waits for any more, or what fetch() said of it is no longer true.
    std::function<void(const std::string& model)> changed = {};
  };

  explicit ModelPull(Options options);
  ~ModelPull() { stop(); }
  ModelPull(const ModelPull&) = delete;
  ModelPull& operator=(const ModelPull&) = delete;

  // Where a model that is pulled has its versions.
  static std::string folder_of(const std::string& data_dir, const std::string& model);

  // Ends what is on its way, what arrived of it stays for the next start, and calls `changed` no more. Not from within
  // it.
  void stop();

  // All that `config` pulls is there and has its checksum, or `unavailable` says what is missing and why: what could
  // not be had within the patience goes on in the background, and is tried again for as long as it is wanted. Any
  // thread.
  Result<void> fetch(const infer::ModelConfig& config, const infer::InferenceConfig& inference);
  // Models that are no longer configured are not tried again. Any thread.
  void keep(const std::vector<infer::ModelConfig>& models);

 private:
  struct Job {
    std::string model;
    infer::PullConfig pull;
    bool with_signature = false;
    std::uint64_t bytes_max = 0;
    base::Backoff backoff{std::chrono::seconds(1), std::chrono::minutes(5)};
    base::SteadyTime due{};
    Error error{Errc::unavailable, ""};  // of the last attempt; no text: there was none
    std::uint64_t there = 0;
    std::uint64_t total = 0;
    bool done = false;
    bool dropped = false;
    bool waited_for = false;
    bool told = false;  // somebody heard that it fails
    bool news = false;  // somebody is about to hear it
  };
  using JobKey = std::pair<std::string, std::int64_t>;

  void work();
  std::shared_ptr<Job> next_job(std::unique_lock<std::mutex>& lock);
  Result<void> attempt(Job& job);
  Result<void> bring(Job& job, const std::string& staging, const std::string& part);
  Result<void> download(Job& job, const std::string& url, const std::string& file, std::uint64_t bytes_max);
  bool is_there(const infer::ModelConfig& config, const infer::PullConfig& pull, bool with_signature) const;
  std::string place_of(const Job& job) const;
  std::string state_of(const Job& job) const;

  const Options options_;
  std::mutex mutex_;  // guards what follows; never held while something is on its way
  std::condition_variable changed_;
  std::map<JobKey, std::shared_ptr<Job>> jobs_;
  std::shared_ptr<ModelDownload> running_;
  const Job* running_job_ = nullptr;
  bool stopping_ = false;
  std::atomic<std::thread::id> worker_;
  std::thread thread_;
};

}  // namespace penstock::app
