// A file system in memory that fails on purpose and loses power at a given step.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "spool/storage.h"

namespace penstock::spool {

// What becomes of what was written and not synced.
enum class Unsynced : std::uint8_t {
  dropped,
  kept,
  torn,     // any sectors of 512 bytes survive, whatever the order they were written in; one of them in part
  garbage,  // as torn, and sectors that did not survive hold anything
};

// One thread at a time.
class FaultyStorage : public Storage {
 public:
  struct Change {
    bool truncate = false;
    std::uint64_t offset = 0;  // or the new size
    std::string bytes;
  };
  struct Inode {
    bool folder = false;
    std::string bytes;
    std::string durable;
    std::vector<Change> unsynced;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct Naming {
    std::string folder;
    std::function<void(Names&)> apply;
  };

  // ---- What goes wrong
  std::uint64_t dies_at = 0;            // the step at which the power fails; 0: never
  std::uint64_t capacity = UINT64_MAX;  // bytes of all files
  int failing_syncs = 0;                // so many syncs of files fail, and what they had to write is lost
  int failing_writes = 0;               // so many writes stop half way
  int failing_reads = 0;
  int failing_opens = 0;        // of files that are there
  int failing_opens_after = 0;  // so many go well first
  Errc opens_fail_with = Errc::unavailable;
  std::string failing_reads_in;  // only of this file
  std::uint64_t steps = 0;       // changes and syncs so far

  // The machine starts again.
  void lose_power(Unsynced what, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::map<std::string, std::size_t> left;
    for (const Naming& naming : namings_) ++left[naming.folder];
    for (auto& [folder, count] : left) {
      if (what == Unsynced::dropped) count = 0;
      if (what == Unsynced::torn || what == Unsynced::garbage) count = random() % (count + 1);
    }
    // Names are kept in the order they were made, as by a journal.
    for (const Naming& naming : namings_) {
      if (left[naming.folder] > 0) {
        naming.apply(durable_);
        --left[naming.folder];
      }
    }
    namings_.clear();
    // What is in a folder goes with its name.
    std::erase_if(durable_, [this](const auto& one) { return !reachable(one.first); });
    names_ = durable_;
    for (auto& [path, inode] : names_) settle(*inode, what, random);
    dead_ = false;
    dies_at = steps = 0;
    locked_.clear();
  }

  std::shared_ptr<Inode> inode(const std::string& path) const {
    auto found = names_.find(path);
    return found == names_.end() ? nullptr : found->second;
  }
  std::vector<std::string> paths() const {
    std::vector<std::string> out;
    for (const auto& [path, inode] : names_) {
      if (!inode->folder) out.push_back(path);
    }
    return out;
  }
  // As bit rot does: in what is on the medium.
  void flip(const std::string& path, std::uint64_t offset) {
    inode(path)->bytes[offset] = static_cast<char>(inode(path)->bytes[offset] ^ 0x40);
    inode(path)->durable = inode(path)->bytes;
  }

  // ---- Storage
  Result<std::unique_ptr<File>> open(const std::string& path, Open how) override {
    if (dead_) return gone();
    auto known = inode(path);
    if (how == Open::create) {
      if (known) return fail(Errc::already_exists, path + " exists");
      if (!is_folder(folder_of(path))) return fail(Errc::not_found, "no folder for " + path);
      if (!step()) return gone();
      known = std::make_shared<Inode>();
      name(path, [path, known](Names& names) { names[path] = known; });
    }
    if (known && failing_opens > 0 && path.ends_with(failing_reads_in) && failing_opens_after-- <= 0) {
      --failing_opens;
      return fail(opens_fail_with, "cannot open " + path);
    }
    if (!known || known->folder) return fail(Errc::not_found, path + " does not exist");
    return std::make_unique<FaultyFile>(*this, path, known);
  }
  Result<void> make_folder(const std::string& path) override {
    if (dead_) return gone();
    if (is_folder(path)) return {};
    if (!is_folder(folder_of(path))) return fail(Errc::not_found, "no folder for " + path);
    if (!step()) return gone();
    auto made = std::make_shared<Inode>();
    made->folder = true;
    name(path, [path, made](Names& names) { names[path] = made; });
    return {};
  }
  Result<std::vector<std::string>> list(const std::string& folder) override {
    if (dead_) return gone();
    std::vector<std::string> out;
    for (const auto& [path, inode] : names_) {
      if (!inode->folder && folder_of(path) == folder) out.push_back(path.substr(folder.size() + 1));
    }
    return out;
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (!step()) return gone();
    name(from, [from, to](Names& names) {
      auto moved = names.extract(from);
      if (!moved) return;
      names.erase(to);
      moved.key() = to;
      names.insert(std::move(moved));
    });
    return {};
  }
  Result<void> remove(const std::string& path) override {
    if (!step()) return gone();
    name(path, [path](Names& names) { names.erase(path); });
    return {};
  }
  Result<void> sync_folder(const std::string& folder) override {
    if (!step()) return gone();
    for (const Naming& naming : namings_) {
      if (naming.folder == folder) naming.apply(durable_);
    }
    std::erase_if(namings_, [&](const Naming& naming) { return naming.folder == folder; });
    return {};
  }
  Result<std::uint64_t> free_bytes(const std::string&) override {
    return capacity == UINT64_MAX ? capacity : capacity - std::min(capacity, used());
  }
  Result<std::unique_ptr<FolderLock>> lock(const std::string& folder, base::Duration) override {
    if (!locked_.insert(folder).second) return fail(Errc::already_exists, folder + " is locked");
    return std::make_unique<Lock>(*this, folder);
  }

 private:
  class Lock : public FolderLock {
   public:
    Lock(FaultyStorage& storage, std::string folder) : storage_(&storage), folder_(std::move(folder)) {}
    ~Lock() override { storage_->locked_.erase(folder_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    FaultyStorage* storage_;
    std::string folder_;
  };

  class FaultyFile : public File {
   public:
    FaultyFile(FaultyStorage& storage, std::string path, std::shared_ptr<Inode> inode)
        : storage_(&storage), path_(std::move(path)), inode_(std::move(inode)) {}

    Result<void> write(std::uint64_t offset, std::string_view bytes) override {
      if (storage_->dead_) return gone();
      std::uint64_t end = offset + bytes.size();
      std::uint64_t grows = end > inode_->bytes.size() ? end - inode_->bytes.size() : 0;
      std::uint64_t used = storage_->used();
      if (used + grows > storage_->capacity) {
        std::uint64_t missing = used + grows - storage_->capacity;
        put(offset, bytes.substr(0, bytes.size() - std::min<std::uint64_t>(missing, bytes.size())));
        return fail(Errc::resource_exhausted, "no space left on " + path_);
      }
      bool stops = storage_->failing_writes > 0;
      if (stops) --storage_->failing_writes;
      if (!storage_->step() || stops) {
        put(offset, bytes.substr(0, bytes.size() / 2));
        return gone();
      }
      put(offset, bytes);
      return {};
    }
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
      if (storage_->dead_) return gone();
      if (storage_->failing_reads > 0 && path_.ends_with(storage_->failing_reads_in)) {
        --storage_->failing_reads;
        return fail(Errc::unavailable, "cannot read " + path_);
      }
      if (offset >= inode_->bytes.size()) return 0;
      std::size_t count = std::min<std::size_t>(into.size(), inode_->bytes.size() - offset);
      std::memcpy(into.data(), inode_->bytes.data() + offset, count);
      return count;
    }
    Result<void> truncate(std::uint64_t size) override {
      if (!storage_->step()) return gone();
      inode_->bytes.resize(size);
      inode_->unsynced.push_back({true, size, {}});
      return {};
    }
    Result<std::uint64_t> size() override {
      if (storage_->dead_) return gone();
      return inode_->bytes.size();
    }
    Result<void> sync() override {
      if (!storage_->step()) return gone();
      if (storage_->failing_syncs > 0) {
        // As Linux does: the pages count as clean afterwards, and the medium has not got them.
        --storage_->failing_syncs;
        inode_->unsynced.clear();
        return fail(Errc::unavailable, "cannot sync " + path_);
      }
      inode_->durable = inode_->bytes;
      inode_->unsynced.clear();
      return {};
    }

   private:
    void put(std::uint64_t offset, std::string_view bytes) {
      if (bytes.empty()) return;
      apply(inode_->bytes, offset, bytes);
      inode_->unsynced.push_back({false, offset, std::string(bytes)});
    }

    FaultyStorage* storage_;
    std::string path_;
    std::shared_ptr<Inode> inode_;
  };

  static std::unexpected<Error> gone() { return fail(Errc::unavailable, "the medium does not answer"); }
  // "." is there from the beginning.
  static std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
  }
  bool is_folder(const std::string& path) const {
    auto known = inode(path);
    return path == "." || (known && known->folder);
  }
  bool reachable(const std::string& path) const {
    const std::string folder = folder_of(path);
    return folder == "." || (durable_.contains(folder) && reachable(folder));
  }
  static void apply(std::string& to, std::uint64_t offset, std::string_view bytes) {
    if (to.size() < offset + bytes.size()) to.resize(offset + bytes.size());
    std::memcpy(to.data() + offset, bytes.data(), bytes.size());
  }

  bool step() {
    if (dead_) return false;
    dead_ = ++steps == dies_at;
    return !dead_;
  }
  void name(const std::string& path, std::function<void(Names&)> change) {
    change(names_);
    namings_.push_back({folder_of(path), std::move(change)});
  }
  std::uint64_t used() const {
    std::uint64_t bytes = 0;
    for (const auto& [path, inode] : names_) bytes += inode->bytes.size();
    return bytes;
  }

  static void settle(Inode& inode, Unsynced what, std::mt19937& random) {
    constexpr std::uint64_t kSector = 512;
    if (what == Unsynced::dropped) inode.bytes = inode.durable;
    if (what == Unsynced::torn || what == Unsynced::garbage) {
      std::string bytes = inode.durable;
      for (const Change& change : inode.unsynced) {
        if (change.truncate) {
          if (random() % 2 == 0) bytes.resize(change.offset);
          continue;
        }
        std::uint64_t end = change.offset + change.bytes.size();
        for (std::uint64_t at = change.offset; at < end;) {
          std::uint64_t next = std::min(end, (at / kSector + 1) * kSector);
          std::string sector = change.bytes.substr(at - change.offset, next - at);
          auto fate = random() % 8;
          if (fate < 4) apply(bytes, at, sector);
          if (fate == 4) apply(bytes, at, std::string_view(sector).substr(0, random() % sector.size()));
          if (fate == 5 && what == Unsynced::garbage && at >= inode.durable.size()) {
            for (char& byte : sector) byte = static_cast<char>(random());
            apply(bytes, at, sector);
          }
          at = next;
        }
      }
      inode.bytes = std::move(bytes);
    }
    inode.durable = inode.bytes;
    inode.unsynced.clear();
  }

  Names names_;
  Names durable_;
  std::vector<Naming> namings_;  // not synced, in order
  std::set<std::string> locked_;
  bool dead_ = false;
};

}  // namespace penstock::spool
