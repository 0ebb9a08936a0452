#include "llm/trimming.h"

#include <algorithm>
#include <unordered_map>

namespace penstock::llm {
namespace {

// What goes or stays as a whole.
struct Block {
  std::size_t begin = 0;  // [begin, end) of what is said
  std::size_t end = 0;
  std::size_t turn = 0;
  bool step = false;  // no user begins it
  bool kept = false;
};

class Trimmer {
 public:
  Trimmer(std::span<const Entry> history, const Keep& keep, std::int64_t excess, const CountTokens& tokens)
      : history_(history), excess_(excess), tokens_(tokens) {
    for (std::uint32_t i = 0; i < history.size(); ++i) {
      if (history[i].speaker != Speaker::instruction) said_.push_back(i);
    }
    tie_results();
    cut_into_blocks();
    mark_kept(keep);
  }

  Trimming run() {
    drop_turns();
    drop_steps();
    std::ranges::sort(trimming_.dropped);
    return std::move(trimming_);
  }

 private:
  const Entry& said(std::size_t at) const { return history_[said_[at]]; }
  bool enough() const { return trimming_.freed >= excess_; }

  // Where several calls have one id, a result belongs to the last of them that has none yet.
  void tie_results() {
    std::unordered_map<std::string_view, std::vector<std::size_t>> waiting;
    reach_.resize(said_.size());
    for (std::size_t at = 0; at < said_.size(); ++at) {
      reach_[at] = at;
      for (const std::string& id : said(at).calls) waiting[id].push_back(at);
      for (const std::string& id : said(at).results) {
        auto calls = waiting.find(id);
        if (calls == waiting.end() || calls->second.empty()) continue;
        reach_[calls->second.back()] = at;
        calls->second.pop_back();
      }
    }
  }

  void cut_into_blocks() {
    std::size_t reach = 0;  // what was said so far goes together with what is said up to here
    for (std::size_t at = 0; at < said_.size(); ++at) {
      bool user = said(at).speaker == Speaker::user;
      bool step = said(at).speaker == Speaker::model && at > 0 && said(at - 1).speaker != Speaker::model;
      if (at == 0 || (at > reach && (user || step))) {
        std::size_t turn = at == 0 ? 0 : blocks_.back().turn + (user ? 1 : 0);
        blocks_.push_back({.begin = at, .turn = turn, .step = !user});
      }
      blocks_.back().end = at + 1;
      reach = std::max(reach, reach_[at]);
    }
  }

  void mark_kept(const Keep& keep) {
    std::size_t first = std::min(keep.first, said_.size());
    std::size_t last = said_.size() - std::min(std::max<std::size_t>(keep.last, 1), said_.size());
    std::size_t words = said_.size();
    for (std::size_t at = said_.size(); at-- > 0 && words == said_.size();) {
      if (said(at).words) words = at;
    }
    for (Block& block : blocks_)
      block.kept = block.begin < first || block.end > last || (block.begin <= words && words < block.end);
  }

  void drop(const Block& block) {
    auto places = std::span<const std::uint32_t>(said_).subspan(block.begin, block.end - block.begin);
    trimming_.dropped.insert(trimming_.dropped.end(), places.begin(), places.end());
    trimming_.freed += tokens_(places);
  }

  // Calls `each` with the blocks of every turn until enough is gone.
  template <class Each>
  void each_turn(Each each) {
    for (std::size_t begin = 0, end = 0; begin < blocks_.size() && !enough(); begin = end) {
      while (end < blocks_.size() && blocks_[end].turn == blocks_[begin].turn) ++end;
      each(std::span(blocks_).subspan(begin, end - begin));
    }
  }

  void drop_turns() {
    each_turn([this](std::span<Block> turn) {
      if (std::ranges::any_of(turn, &Block::kept)) return;
      for (const Block& block : turn) drop(block);
    });
  }

  void drop_steps() {
    each_turn([this](std::span<Block> turn) {
      if (std::ranges::none_of(turn, &Block::kept)) return;
      for (const Block& block : turn.first(turn.size() - 1)) {
        if (block.step && !block.kept && !enough()) drop(block);
      }
    });
  }

  std::span<const Entry> history_;
  std::int64_t excess_;
  const CountTokens& tokens_;
  std::vector<std::uint32_t> said_;  // places of what are no instructions
  std::vector<std::size_t> reach_;   // of each of these, where its last result is said
  std::vector<Block> blocks_;
  Trimming trimming_;
};

}  // namespace

Trimming trim(std::span<const Entry> history, const Keep& keep, std::int64_t excess, const CountTokens& tokens) {
  return Trimmer(history, keep, excess, tokens).run();
}

}  // namespace penstock::llm
