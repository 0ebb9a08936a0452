// `buffer:` of a sink and `journal:` of a source.
#pragma once

#include <string>

#include "config/document.h"
#include "spool/spool.h"

namespace penstock::ingest {

// A buffer without `disk` is the queue in memory.
struct BufferOptions {
  std::string name = {};        // folder under data_dir/buffers or data_dir/journals; empty: not on disk
  std::size_t memory = 10'000;  // samples in memory, at most
  spool::Full full = spool::Full::drop_oldest;
  std::uint64_t disk = 0;     // bytes; 0: not on disk
  base::Duration age{};       // 0: any
  std::uint64_t records = 0;  // 0: any number
  double replay = 0;          // samples per second out of the backlog; 0: as fast as the sink takes them
  bool live_first = false;    // else strictly in order
  spool::Sync sync = spool::Sync::batch;
  base::Duration sync_every{};
  bool compress = true;
  base::Secret key = {};  // 32 bytes; empty: not encrypted
  // A source told its peer that it has what comes here: while there is no bound on the disk to drop beyond, memory
  // waits.
  bool answered_for = false;
  std::string written = {};  // of a journal: canonical text, for telling changes at reload
  bool durable() const { return disk > 0; }
};

// { disk: 2GB, memory: 10000, age: 7d, records: 10M, full: drop_oldest, replay: 2000/s, live_first: true, sync: batch,
//   compress: true, key: ${BUFFER_KEY}, name: cloud }; absent: the queue in memory as it is by itself. Behind a durable
// source (`answered_for`) the queue in memory refuses unless `full` says otherwise.
BufferOptions read_buffer(const config::Node& node, bool answered_for = false);
// { disk: 1GB, age: 7d, records: 10M, full: refuse, sync: batch, compress: true, key: ${JOURNAL_KEY} }; absent: these
// without age, records and key.
BufferOptions read_journal(const config::Node& node);

}  // namespace penstock::ingest
