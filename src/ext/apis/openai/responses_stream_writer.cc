#include "ext/apis/openai/responses_stream_writer.h"

#include "chat/turns.h"

namespace penstock::ext {
namespace {

using json::Writer;

std::int64_t characters_of(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

void add_with_comma(std::string& list, std::string_view entry) {
  if (!list.empty()) list += ',';
  list += entry;
}

}  // namespace

template <class F>
void ResponsesStreamWriter::event(std::string_view type, F members) {
  if (!events_) return;
  base::append(output_, "event: ", type, "\ndata: ");
  Writer out(output_);
  out.open_object().member("type", type).member("sequence_number", sequence_++);
  members(out);
  out.close_object();
  output_ += "\n\n";
}

void ResponsesStreamWriter::lifecycle_event(std::string_view type, const std::string& response) {
  event(type, [&](Writer& out) { out.key("response").raw(response); });
}

void ResponsesStreamWriter::item_event(std::string_view type, std::size_t index, std::string_view item) {
  event(type, [&](Writer& out) { out.member("output_index", index).key("item").raw(item); });
}

// The event of every token: `middle` is what stays the same from one to the next.
void ResponsesStreamWriter::delta(std::string_view type, std::string_view middle, std::string_view text,
                                  std::string_view tail) {
  if (!events_) return;
  base::append(output_, "event: ", type, "\ndata: {\"type\":\"", type,
               "\",\"sequence_number\":", base::Digits(sequence_++), middle, ",\"delta\":");
  json::append_quoted(output_, text);
  base::append(output_, tail, "}\n\n");
}

void ResponsesStreamWriter::part_members(Writer& out) const {
  out.member("item_id", item_id_).member("output_index", item_);
  out.member(open_ == Open::thought ? "summary_index" : "content_index", part_);
}

std::size_t ResponsesStreamWriter::new_item() {
  items_.emplace_back();
  return items_.size() - 1;
}

void ResponsesStreamWriter::begin(const chat::StreamHead& head) {
  object_.begin(head);
  if (!events_) return;
  std::string response = object_.write({"in_progress"}, nullptr, {}, {});
  lifecycle_event("response.created", response);
  lifecycle_event("response.in_progress", response);
}

// --- messages

void ResponsesStreamWriter::open_part(Open what) {
  if (open_ == what) return;
  if (open_ == Open::thought) close_thought({});
  if (in_message_) close_part();
  if (!std::exchange(in_message_, true)) {
    item_ = new_item();
    item_id_ = object_.item_id("msg", item_);
    part_ = 0;
    parts_.clear();
    item_event("response.output_item.added", item_, message_item(item_id_, "in_progress", ""));
  }
  open_ = what;
  event("response.content_part.added", [&](Writer& out) {
    part_members(out);
    out.key("part").raw(what == Open::text ? output_text("", "", {}) : refusal_part(""));
  });
  middle_ = R"(,"item_id":)";
  json::append_quoted(middle_, item_id_);
  base::append(middle_, ",\"output_index\":", base::Digits(item_), ",\"content_index\":", base::Digits(part_));
}

void ResponsesStreamWriter::give_held_text() {
  if (held_.empty()) return;
  std::string tail = ",\"logprobs\":" + json::dump(json::Value(held_logprobs_));
  delta("response.output_text.delta", middle_, held_, tail);
  held_.clear();
  for (json::Value& entry : held_logprobs_) logprobs_.push_back(std::move(entry));
  held_logprobs_.clear();
}

void ResponsesStreamWriter::close_part() {
  if (open_ == Open::nothing) return;
  give_held_text();
  bool refused = open_ == Open::refusal;
  std::string part = refused ? refusal_part(text_) : output_text(text_, annotations_, logprobs_);
  event(refused ? "response.refusal.done" : "response.output_text.done", [&](Writer& out) {
    part_members(out);
    out.member(refused ? "refusal" : "text", text_);
    if (!refused) out.member("logprobs", json::Value(logprobs_));
  });
  event("response.content_part.done", [&](Writer& out) {
    part_members(out);
    out.key("part").raw(part);
  });
  add_with_comma(parts_, part);
  if (!refused) {
    text_begin_ += characters_of(text_);
    logprobs_.clear();
  }
  text_.clear();
  annotations_.clear();
  annotation_count_ = 0;
  ++part_;
  open_ = Open::nothing;
}

void ResponsesStreamWriter::close_message(std::string_view status) {
  if (!in_message_) return;
  close_part();
  in_message_ = false;
  items_[item_] = message_item(item_id_, status, parts_);
  item_event("response.output_item.done", item_, items_[item_]);
}

void ResponsesStreamWriter::text(int choice, std::string_view text) {
  if (choice != 0 || text.empty()) return;
  open_part(Open::text);
  give_held_text();
  text_ += text;
  if (request_.logprobs.value_or(false)) {
    held_ = text;
  } else {
    delta("response.output_text.delta", middle_, text, ",\"logprobs\":[]");
  }
}

void ResponsesStreamWriter::citation(int choice, const chat::Citation& citation) {
  if (choice != 0 || open_ != Open::text) return;
  give_held_text();
  std::string annotation = annotation_of(citation, text_begin_, characters_of(text_));
  event("response.output_text.annotation.added", [&](Writer& out) {
    part_members(out);
    out.member("annotation_index", annotation_count_).key("annotation").raw(annotation);
  });
  ++annotation_count_;
  add_with_comma(annotations_, annotation);
}

void ResponsesStreamWriter::refusal(int choice, std::string_view text) {
  if (choice != 0 || text.empty()) return;
  open_part(Open::refusal);
  text_ += text;
  delta("response.refusal.delta", middle_, text, "");
}

void ResponsesStreamWriter::logprobs(int choice, const json::Value& logprobs) {
  if (choice != 0 || held_.empty()) return;
  for (json::Value& entry : response_logprobs(logprobs)) held_logprobs_.push_back(std::move(entry));
}

// --- thoughts

void ResponsesStreamWriter::open_thought() {
  if (open_ == Open::thought) return;
  close_message("completed");
  item_ = new_item();
  item_id_ = object_.item_id("rs", item_);
  part_ = 0;
  open_ = Open::thought;
  item_event("response.output_item.added", item_, reasoning_item(item_id_, nullptr, {}));
  event("response.reasoning_summary_part.added", [&](Writer& out) {
    part_members(out);
    out.key("part").raw(summary_part(""));
  });
  middle_ = R"(,"item_id":)";
  json::append_quoted(middle_, item_id_);
  base::append(middle_, ",\"output_index\":", base::Digits(item_), ",\"summary_index\":0");
}

void ResponsesStreamWriter::close_thought(const chat::Signature& signature) {
  event("response.reasoning_summary_text.done", [&](Writer& out) {
    part_members(out);
    out.member("text", text_);
  });
  event("response.reasoning_summary_part.done", [&](Writer& out) {
    part_members(out);
    out.key("part").raw(summary_part(text_));
  });
  items_[item_] = reasoning_item(item_id_, &text_, signature);
  item_event("response.output_item.done", item_, items_[item_]);
  text_.clear();
  open_ = Open::nothing;
}

void ResponsesStreamWriter::add_hidden_thought(const chat::Signature& signature) {
  std::size_t index = new_item();
  std::string id = object_.item_id("rs", index);
  item_event("response.output_item.added", index, reasoning_item(id, nullptr, {}));
  items_[index] = reasoning_item(id, nullptr, signature);
  item_event("response.output_item.done", index, items_[index]);
}

void ResponsesStreamWriter::thinking(int choice, std::string_view text) {
  if (choice != 0 || text.empty()) return;
  open_thought();
  text_ += text;
  delta("response.reasoning_summary_text.delta", middle_, text, "");
}

void ResponsesStreamWriter::thinking_end(int choice, const chat::Signature& signature, bool redacted) {
  if (choice != 0) return;
  if (redacted) {
    close_said("completed");
    add_hidden_thought(signature);
  } else {
    open_thought();
    close_thought(signature);
  }
}

// --- the rest of the output

// Images are items of their own. The API has no place for anything else.
void ResponsesStreamWriter::media(int choice, const chat::Media& media) {
  if (choice != 0) return;
  if (media.kind != chat::Media::Kind::image || media.data.empty()) {
    text(choice, media.url);
    return;
  }
  close_said("completed");
  std::size_t index = new_item();
  std::string id = object_.item_id("ig", index);
  item_event("response.output_item.added", index, image_item(id, "in_progress", ""));
  items_[index] = image_item(id, "completed", media.data);
  item_event("response.output_item.done", index, items_[index]);
}

// The API has no place for a call's seal: it goes ahead as a hidden thought, and is read back as what it is.
void ResponsesStreamWriter::call(int choice, int call, std::string_view id, std::string_view name,
                                 const chat::Signature& signature) {
  if (choice != 0 || call != static_cast<int>(calls_.size())) return;
  close_said("completed");
  if (!signature.empty()) add_hidden_thought(signature);
  Call& fresh = calls_.emplace_back();
  fresh.index = new_item();
  fresh.id = object_.item_id("fc", fresh.index);
  fresh.call_id = id.empty() ? chat::make_call_id(object_.id(), 0, call, name) : id;
  fresh.name = name;
  fresh.middle = R"(,"item_id":)";
  json::append_quoted(fresh.middle, fresh.id);
  base::append(fresh.middle, ",\"output_index\":", base::Digits(fresh.index));
  item_event("response.output_item.added", fresh.index,
             call_item(fresh.id, "in_progress", fresh.call_id, fresh.name, ""));
}

void ResponsesStreamWriter::arguments(int choice, int call, std::string_view fragment) {
  auto index = static_cast<std::size_t>(call);
  if (choice != 0 || fragment.empty() || index < calls_done_ || index >= calls_.size()) return;
  calls_[index].arguments += fragment;
  delta("response.function_call_arguments.delta", calls_[index].middle, fragment, "");
}

// Fragments of several calls may alternate, also with what is said: all of them are open until the end.
void ResponsesStreamWriter::close_calls(std::string_view last_status) {
  for (; calls_done_ < calls_.size(); ++calls_done_) {
    const Call& call = calls_[calls_done_];
    event("response.function_call_arguments.done", [&](Writer& out) {
      out.member("item_id", call.id).member("output_index", call.index);
      out.member("name", call.name).member("arguments", call.arguments);
    });
    std::string_view status = calls_done_ + 1 == calls_.size() ? last_status : "completed";
    items_[call.index] = call_item(call.id, status, call.call_id, call.name, call.arguments);
    item_event("response.output_item.done", call.index, items_[call.index]);
  }
}

void ResponsesStreamWriter::close_said(std::string_view status) {
  if (open_ == Open::thought) close_thought({});
  close_message(status);
}

void ResponsesStreamWriter::close_all(std::string_view last_status) {
  close_said(last_status);
  close_calls(last_status);
}

void ResponsesStreamWriter::finish(int choice, chat::Finish finish, std::string_view) {
  if (choice != 0) return;
  finish_ = finish;
  close_all(ending_of(finish).status == "completed" ? "completed" : "incomplete");
}

void ResponsesStreamWriter::conclude(const ResponseEnding& ending, const chat::ProviderError* error) {
  response_ = object_.write(ending, error, items_, usage_);
  lifecycle_event(fmt::format("response.{}", ending.status), response_);
}

// Clients listen for either of the two events.
void ResponsesStreamWriter::error(const chat::ProviderError& error) {
  if (std::exchange(over_, true)) return;
  event("error", [&](Writer& out) {
    auto text_or_null = [&](std::string_view name, const std::string& text) {
      out.key(name);
      text.empty() ? out.null() : out.string(text);
    };
    text_or_null("code", error.code.empty() ? error.type : error.code);
    out.member("message", error.message);
    text_or_null("param", error.param);
  });
  conclude({"failed"}, &error);
}

void ResponsesStreamWriter::end() {
  if (std::exchange(over_, true)) return;
  close_all("completed");
  if (finish_ == chat::Finish::error) {
    chat::ProviderError failure{.message = "the model failed while it answered"};
    conclude(ending_of(finish_), &failure);
  } else {
    conclude(ending_of(finish_), nullptr);
  }
}

}  // namespace penstock::ext
