// Samples as lines of JSON in a file that is put aside when it is large or old.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "ext/sinks/file/sample_file.h"
#include "ingest/batch_thread.h"

namespace penstock::ext {

struct FileSinkOptions {
  SampleFileOptions file;
  bool samples = true;
  bool alarms = false;
};

// Writes on a thread of its own.
class FileSink : public ingest::Sink {
 public:
  FileSink(FileSinkOptions options, const base::Clock& clock);

  Result<void> start(rt::Loop& loop) override { return thread_.start(loop); }
  std::size_t batch_max() const override { return 1'000; }
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  ingest::Sent write(const std::vector<ingest::Sample>& samples);

  const FileSinkOptions options_;
  SampleFile file_;           // of the thread
  mutable std::mutex mutex_;  // guards the one below
  ingest::Status status_;
  ingest::BatchThread thread_;
};

std::unique_ptr<ingest::Sink> make_file_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                             const ingest::Context& context);

}  // namespace penstock::ext
