// Samples from files: followed while another program writes them, or replayed in their own time.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "ext/sources/file/progress.h"
#include "ingest/contracts.h"
#include "ingest/payload.h"

namespace penstock::ext {

struct FileSourceOptions {
  std::string name;
  std::string path;                                     // the last part may hold *
  std::optional<ingest::Format> format = std::nullopt;  // none: by the file's name
  bool replay = false;
  double speed = 1;                      // of a replay; 0: as fast as the pipelines take it
  bool repeat = false;                   // a replay begins again at its end
  bool shift = true;                     // event times of a replay are moved to now
  std::filesystem::path positions = {};  // empty: not kept
};

// Reads on a thread of its own, and waits while a pipeline behind it is full: nothing is dropped for want of room.
class FileSource : public ingest::Source {
 public:
  FileSource(FileSourceOptions options, const base::Clock& clock);
  ~FileSource() override;

  Result<void> start(rt::Loop& loop, ingest::Emit emit) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  struct Followed {
    std::unique_ptr<LineFile> file;
    bool reported = false;  // that it cannot be opened
  };
  struct ReplayClock {
    base::SteadyTime begun;
    base::WallMicros begun_wall = 0;
    base::WallMicros first = 0;
  };

  void follow();
  void follow_path(const std::string& path, Followed& followed);
  bool open_followed(const std::string& path, Followed& followed);
  // The lines there are now; true when there were some.
  bool take_lines(const std::string& path, LineFile& file, bool last);
  void replay();
  bool replay_file(const std::string& path, ReplayClock& clock);
  bool replay_samples(std::vector<ingest::Sample> samples, ReplayClock& clock);

  std::vector<std::string> paths() const;
  ingest::Format format_of(const std::string& path) const;
  std::vector<ingest::Sample> decode(const std::string& path, LineFile& file, const std::string& lines);
  void note_bad(const std::string& path, const std::string& why);
  // False when it was stopped meanwhile.
  bool hand_over(std::vector<ingest::Sample> samples, const std::string& path, const FileMark* end);
  bool sleep(base::Duration time);  // false: stopping
  void set_detail(bool connected, std::string detail);

  const FileSourceOptions options_;
  const base::Clock& clock_;
  ingest::Emit emit_;
  std::shared_ptr<Progress> progress_;
  std::thread thread_;
  std::map<std::string, Followed> followed_;  // of the thread
  base::SteadyTime quiet_until_{};
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stopping_ = false;
  ingest::Status status_;
};

std::unique_ptr<ingest::Source> make_file_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context);

}  // namespace penstock::ext
