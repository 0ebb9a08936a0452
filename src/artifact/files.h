// The files of a folder, on disk or in a request, as something that may have been made to deceive.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::artifact {

class Files {
 public:
  using Sink = std::function<void(std::string_view)>;
  virtual ~Files() = default;
  // Every file, by path; folders are no entries. Errors: failed_precondition for a symbolic link, a device, or too
  // many.
  virtual Result<std::vector<std::string>> list() const = 0;
  virtual bool has(const std::string& path) const = 0;
  // Hands the bytes over piece by piece, once. Errors: not_found, out_of_range beyond `bytes_max`, failed_precondition
  // for what is no regular file, or reached through a symbolic link.
  virtual Result<void> stream(const std::string& path, std::uint64_t bytes_max, const Sink& sink) const = 0;
  // All of it.
  Result<std::string> read(const std::string& path, std::uint64_t bytes_max) const;
  // For people.
  virtual std::string name() const = 0;
};

// A folder on disk. What is opened stays that folder, wherever its name leads later; nothing in it is reached through a
// symbolic link.
class DiskFiles : public Files {
 public:
  static constexpr std::size_t kEntriesMax = 10'000;
  static constexpr std::size_t kDepthMax = 8;
  // Errors: not_found, permission_denied.
  static Result<DiskFiles> open(const std::string& folder);
  DiskFiles(DiskFiles&& other) noexcept;
  DiskFiles& operator=(DiskFiles&&) = delete;
  ~DiskFiles() override;

  Result<std::vector<std::string>> list() const override;
  bool has(const std::string& path) const override;
  Result<void> stream(const std::string& path, std::uint64_t bytes_max, const Sink& sink) const override;
  Result<std::uint64_t> size(const std::string& path) const;
  std::string name() const override { return folder_; }

 private:
  DiskFiles(std::string folder, int fd) : folder_(std::move(folder)), fd_(fd) {}
  Result<int> open_file(const std::string& path) const;
  std::string folder_;
  int fd_;
};

class MemoryFiles : public Files {
 public:
  using Content = std::map<std::string, std::shared_ptr<const std::string>>;
  MemoryFiles(std::string name, Content files) : name_(std::move(name)), files_(std::move(files)) {}
  Result<std::vector<std::string>> list() const override;
  bool has(const std::string& path) const override { return files_.contains(path); }
  Result<void> stream(const std::string& path, std::uint64_t bytes_max, const Sink& sink) const override;
  std::string name() const override { return name_; }

 private:
  std::string name_;
  Content files_;
};

// All of a file on disk by its path, symbolic links followed. Errors as Files::stream().
Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max);

}  // namespace penstock::artifact
