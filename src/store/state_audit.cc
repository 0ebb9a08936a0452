#include <openssl/evp.h>

#include <charconv>

#include "store/state.h"

namespace penstock::store {
namespace {

constexpr std::string_view kColumns = "sequence,at,actor,action,object,before,after,hash";

AuditEntry entry_of(const Statement& row) {
  return {row.integer(0), row.integer(1), row.text(2), row.text(3), row.text(4), row.text(5), row.text(6), row.text(7)};
}

// SHA-256 over the hash before and the words of this line, each with its length in front: no other words give the same
// text.
std::string hash_of(std::string_view previous, const AuditEntry& entry) {
  std::string text = fmt::format("{}\n{}\n{}\n", previous, entry.sequence, entry.at);
  for (const std::string* word : {&entry.actor, &entry.action, &entry.object, &entry.before, &entry.after})
    text += fmt::format("{}:{}\n", word->size(), *word);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr);
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + length, ""));
}

// The begin of a hash, for a column of numbers.
std::int64_t mark_of(std::string_view hash) {
  std::int64_t mark = 0;
  std::from_chars(hash.data(), hash.data() + std::min<std::size_t>(hash.size(), 15), mark, 16);
  return mark;
}

Result<std::vector<AuditEntry>> entries(Result<Statement> statement) {
  if (!statement) return std::unexpected(statement.error());
  std::vector<AuditEntry> found;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return found;
    found.push_back(entry_of(*statement));
  }
}

}  // namespace

// Within the transaction of the change.
Result<void> State::append_audit(const Actor& actor, std::string_view action, std::string_view object,
                                 std::string_view before, std::string_view after) {
  auto last = audit_newest(1);
  if (!last) return std::unexpected(last.error());
  AuditEntry entry{last->empty() ? 1 : last->front().sequence + 1,
                   actor.at,
                   actor.who,
                   std::string(action),
                   std::string(object),
                   std::string(before),
                   std::string(after),
                   {}};
  entry.hash = hash_of(last->empty() ? "" : last->front().hash, entry);
  auto statement = database_.prepare(fmt::format("INSERT INTO audit ({}) VALUES (?,?,?,?,?,?,?,?)", kColumns));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, entry.sequence).bind(2, entry.at).bind(3, entry.actor).bind(4, entry.action);
  statement->bind(5, entry.object).bind(6, entry.before).bind(7, entry.after).bind(8, entry.hash);
  if (auto added = statement->run(); !added) return added;
  // How many lines there were, whatever is left of them, and which was the last.
  auto counted =
      database_.prepare("INSERT INTO counters VALUES ('audit_lines',?1) ON CONFLICT DO UPDATE SET value=value+1");
  auto marked =
      database_.prepare("INSERT INTO counters VALUES ('audit_last',?1) ON CONFLICT DO UPDATE SET value=excluded.value");
  if (!counted || !marked) return std::unexpected(counted ? marked.error() : counted.error());
  if (auto done = counted->bind(1, entry.sequence).run(); !done) return done;
  return marked->bind(1, mark_of(entry.hash)).run();
}

Result<void> State::add_audit(const Actor& actor, std::string_view action, std::string_view object,
                              std::string_view before, std::string_view after) {
  return database_.transaction([&] { return append_audit(actor, action, object, before, after); });
}

Result<std::vector<AuditEntry>> State::audit(std::int64_t since, std::int64_t limit) {
  auto statement =
      database_.prepare(fmt::format("SELECT {} FROM audit WHERE sequence>? ORDER BY sequence LIMIT ?", kColumns));
  if (statement) statement->bind(1, since).bind(2, limit);
  return entries(std::move(statement));
}

Result<std::vector<AuditEntry>> State::audit_newest(std::int64_t limit) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM audit ORDER BY sequence DESC LIMIT ?", kColumns));
  if (statement) statement->bind(1, limit);
  return entries(std::move(statement));
}

// A log that an older version has begun has no counts before its next line.
Result<void> State::check_audit_end(std::int64_t lines, std::string_view last_hash) {
  for (auto [name, found] : {std::pair{"audit_lines", lines}, std::pair{"audit_last", mark_of(last_hash)}}) {
    auto kept = database_.prepare("SELECT value FROM counters WHERE name=?");
    if (!kept) return std::unexpected(kept.error());
    auto row = kept->bind(1, name).step();
    if (!row) return std::unexpected(row.error());
    if (*row && kept->integer(0) != found)
      return fail(Errc::data_loss,
                  fmt::format("the audit log was changed by somebody else: {} lines are there, and its end is not the "
                              "line that was written last",
                              lines));
  }
  return {};
}

Result<std::int64_t> State::verify_audit() {
  // One look at lines and counts: somebody may be adding to them.
  if (auto begun = database_.execute("BEGIN"); !begun) return std::unexpected(begun.error());
  auto lines = verify_audit_lines();
  (void)database_.execute("COMMIT");
  return lines;
}

Result<std::int64_t> State::verify_audit_lines() {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM audit ORDER BY sequence", kColumns));
  if (!statement) return std::unexpected(statement.error());
  std::string previous;
  std::int64_t count = 0;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    AuditEntry entry = entry_of(*statement);
    if (entry.sequence != ++count || entry.hash != hash_of(previous, entry)) {
      return fail(
          Errc::data_loss,
          fmt::format("the audit log was changed by somebody else: line {} does not fit the ones before it", count));
    }
    previous = std::move(entry.hash);
  }
  if (auto ended = check_audit_end(count, previous); !ended) return std::unexpected(ended.error());
  return count;
}

}  // namespace penstock::store
