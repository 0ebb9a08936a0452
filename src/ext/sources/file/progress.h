// How far each file was read and delivered, kept on disk. The position behind a piece counts once the receipts of all
// its samples, and of all pieces before it, are settled: after a crash what was not delivered is read again.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "ext/sources/file/line_file.h"
#include "ingest/sample.h"

namespace penstock::ext {

// Any thread.
class Progress : public std::enable_shared_from_this<Progress> {
 public:
  // One object for each file of positions in this process, as long as somebody holds it: a source that a reload
  // replaces and the new one do not write over each other. An empty path keeps nothing.
  static std::shared_ptr<Progress> open(const std::filesystem::path& file);
  ~Progress();

  std::optional<FileMark> position(const std::string& path) const;
  // A piece that ends at `end` is handed on. Call the receipt's cancel() when nobody took it.
  class Piece;
  std::shared_ptr<const Piece> begin(const std::string& path, const FileMark& end);
  // Forgets files that are not among `paths`.
  void keep(const std::vector<std::string>& paths);
  // Writes what changed.
  void save();

 private:
  friend class Piece;
  struct Waiting {
    std::uint64_t number = 0;
    FileMark end;
    bool settled = false;
  };
  struct File {
    std::optional<FileMark> position;
    std::deque<Waiting> waiting;
  };
  explicit Progress(std::filesystem::path file) : file_(std::move(file)) {}
  void load();
  void settle(const std::string& path, std::uint64_t number);
  void forget(const std::string& path, std::uint64_t number);

  const std::filesystem::path file_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, File> files_;
  std::uint64_t next_ = 1;
  bool changed_ = false;
};

class Progress::Piece : public ingest::Receipt {
 public:
  Piece(std::shared_ptr<Progress> progress, std::string path, std::uint64_t number)
      : progress_(std::move(progress)), path_(std::move(path)), number_(number) {}
  // An abandoned piece holds the position until the next start.
  ~Piece() override {
    if (!abandoned()) progress_->settle(path_, number_);
  }
  void cancel() const { progress_->forget(path_, number_); }

 private:
  const std::shared_ptr<Progress> progress_;
  const std::string path_;
  const std::uint64_t number_;
};

}  // namespace penstock::ext
