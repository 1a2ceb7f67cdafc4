#include "media/trickle.h"

#include <algorithm>

#include "base/text.h"
#include "media/state.h"

namespace tandem::media {
namespace {

constexpr std::string_view candidate_prefix = "candidate:";

std::string_view without(std::string_view value, std::string_view prefix) {
  return value.starts_with(prefix) ? value.substr(prefix.size()) : value;
}

bool ends_all(const Trickled& c) { return c.candidate.empty() && c.mid.empty() && !c.line; }

}  // namespace

std::vector<Trickled> read_fragment(std::string_view body) {
  std::vector<Trickled> out;
  std::string session, fragment, mid;
  std::optional<uint16_t> line;
  bool names_line = false;
  for (size_t lines = 0; !body.empty() && lines < most_fragment_lines; ++lines) {
    const size_t end = body.find('\n');
    std::string_view text = trim(body.substr(0, end));
    body = end == std::string_view::npos ? std::string_view{} : body.substr(end + 1);
    if (text.starts_with("m=")) {
      line = static_cast<uint16_t>(names_line ? *line + 1 : 0);
      names_line = true;
      mid.clear();
      fragment.clear();
      continue;
    }
    if (!text.starts_with("a=")) continue;
    text.remove_prefix(2);
    const auto said = [&](std::string candidate) {
      out.push_back({mid, line, fragment.empty() ? session : fragment, std::move(candidate)});
    };
    if (text.starts_with("mid:"))
      mid = text.substr(4);
    else if (text.starts_with("ice-ufrag:"))
      (names_line ? fragment : session) = text.substr(10);
    else if (text.starts_with(candidate_prefix))
      said(std::string(text.substr(candidate_prefix.size())));
    else if (text == "end-of-candidates")
      said({});
  }
  return out;
}

/// By the name of the m-line, which both sides know; of one that joins another's port, that other.
std::optional<size_t> EngineState::line_of(const Endpoint& e, const Trickled& c) const {
  const auto& named = e.remote ? e.remote : e.local;
  if (!named) return std::nullopt;
  std::optional<size_t> found;
  for (size_t i = 0; !c.mid.empty() && i < named->media_count() && !found; ++i)
    if (named->attribute(i, "mid").value_or("") == c.mid) found = i;
  if (c.mid.empty() && c.line && *c.line < named->media_count()) found = *c.line;
  if (found && e.bundle && e.bundle->joins(*found)) return e.bundle->tag();
  return found;
}

/// Said of no m-line (RFC 8840 section 4.2): nothing comes any more for any of them.
void EngineState::end_of_all(Now now, Endpoint& e, std::string_view fragment) {
  for (size_t i = 0; e.ice && i < e.ice->lines.size(); ++i) {
    const Connectivity::Line* line = e.ice->line(i);
    if (line && line->agreed && (fragment.empty() || fragment == e.ice->agent.remote_fragment(*line->stream)))
      e.ice->agent.end_of_remote(now, *line->stream, e.ice->out);
  }
}

Status<Reason> EngineState::trickle(Now now, Endpoint& e, const Trickled& c) {
  if (e.config.ice == Ice::removed) return Failure{Reason::bad_candidate};
  const auto refused = [&](ice::Reason why) {
    ice_troubles.add(why);
    count_ice_troubles();
    return Failure{Reason::bad_candidate};
  };
  auto candidate = c.candidate.empty() ? Result<ice::Candidate, ice::Reason>(ice::Candidate{})
                                       : ice::Candidate::parse(without(c.candidate, candidate_prefix));
  if (!candidate) return refused(candidate.reason());
  if (ends_all(c) && !e.checkpoint && e.remote && e.local) {
    end_of_all(now, e, c.fragment);
    run_ice(now, e, nullptr);
    return Done{};
  }
  const auto i = line_of(e, c);
  const Connectivity::Line* line = i && e.ice ? e.ice->line(*i) : nullptr;
  const std::string_view known = line ? e.ice->agent.remote_fragment(*line->stream) : std::string_view{};
  const bool of_open_offer = e.checkpoint && !c.fragment.empty() && c.fragment != known;
  if (!line || !line->agreed || of_open_offer) {
    // It has overtaken the answer it belongs to, or is about an offer that is not answered yet.
    if (!e.checkpoint && e.remote && e.local) return refused(ice::Reason::other_generation);
    if (e.early_candidates.size() >= most_early_candidates) return Failure{Reason::too_many_waiting};
    e.early_candidates.push_back(c);
    return Done{};
  }
  if (!c.fragment.empty() && c.fragment != known) return refused(ice::Reason::other_generation);
  if (c.candidate.empty())
    e.ice->agent.end_of_remote(now, *line->stream, e.ice->out);
  else if (!e.ice->agent.add_remote_candidate(now, *line->stream, *candidate, e.ice->out))
    return Failure{Reason::bad_candidate};
  run_ice(now, e, nullptr);
  return Done{};
}

void EngineState::take_early_candidates(Now now, Endpoint& e) {
  for (const Trickled& c : std::exchange(e.early_candidates, {})) {
    if (ends_all(c)) {
      end_of_all(now, e, c.fragment);
      continue;
    }
    const auto i = line_of(e, c);
    const Connectivity::Line* line = i && e.ice ? e.ice->line(*i) : nullptr;
    if (!line || (!c.fragment.empty() && c.fragment != e.ice->agent.remote_fragment(*line->stream))) {
      ice_troubles.add(ice::Reason::other_generation);
    } else if (c.candidate.empty()) {
      e.ice->agent.end_of_remote(now, *line->stream, e.ice->out);
    } else if (const auto candidate = ice::Candidate::parse(without(c.candidate, candidate_prefix))) {
      (void)e.ice->agent.add_remote_candidate(now, *line->stream, *candidate, e.ice->out).ok();
    }
  }
}

/// A candidate of ours that no description has told.
void EngineState::keep_untold(Endpoint& e, const ice::Event& event) {
  for (size_t i = 0; i < e.ice->lines.size(); ++i) {
    const Connectivity::Line* line = e.ice->line(i);
    if (!line || *line->stream != event.stream) continue;
    Trickled c;
    c.line = static_cast<uint16_t>(i);
    if (e.local && i < e.local->media_count()) c.mid = e.local->attribute(i, "mid").value_or("");
    c.fragment = e.ice->agent.fragments(*line->stream).front();
    if (event.kind == ice::Event::Kind::candidate) c.candidate = event.candidate.to_string();
    if (e.ice->untold.empty()) emit(e, MediaEvent::Kind::candidates);
    e.ice->untold.push_back(std::move(c));
  }
}

std::string EngineState::fragment_of(const Endpoint& e, const std::vector<Trickled>& told) const {
  std::string out;
  if (!e.ice || !e.local) return out;
  for (size_t i = 0; i < e.ice->lines.size() && i < e.local->media_count(); ++i) {
    const Connectivity::Line* line = e.ice->line(i);
    const auto of_line = [&](const Trickled& c) { return c.line == static_cast<uint16_t>(i); };
    if (!line || std::none_of(told.begin(), told.end(), of_line)) continue;
    const sdp::MediaLine m = e.local->media(i);
    const ice::Description ours = e.ice->agent.local_description(*line->stream);
    out.append("m=").append(m.kind).append(" 9 ").append(m.proto).append(" ").append(m.formats).append(
        "\r\n");
    if (const auto mid = e.local->attribute(i, "mid")) out.append("a=mid:").append(*mid).append("\r\n");
    out.append("a=ice-ufrag:").append(ours.credentials.ufrag).append("\r\n");
    out.append("a=ice-pwd:").append(ours.credentials.pwd).append("\r\n");
    for (const Trickled& c : told) {
      if (!of_line(c)) continue;
      if (c.candidate.empty())
        out.append("a=end-of-candidates\r\n");
      else
        out.append("a=candidate:").append(c.candidate).append("\r\n");
    }
  }
  return out;
}

// ---- restarts of ours ----

Result<std::string, Reason> EngineState::restart_ice(Now now, Endpoint& e) {
  if (!e.ice || !e.local || !e.remote || e.checkpoint) return Failure{Reason::not_connectable};
  sdp::Description local = *e.local;
  const bool keyed = e.config.srtp != Srtp::passed;
  bool secret = false;
  for (size_t i = 0; i < local.media_count(); ++i) secret = secret || is_keyed(local, i);
  if (keyed) {
    lay_open(local);
    if (!protect(e, local, SdpRole::offer, secret)) return not_protected();
  }
  for (size_t i = 0; i < e.ice->lines.size(); ++i) {
    if (!e.ice->agreed(i)) continue;
    e.ice->agent.restart(now, *e.ice->lines[i].stream, e.ice->out);
    e.ice->lines[i].restarting = true;
  }
  counters_.ice_restarts.add();
  return publish(now, e, std::move(local), SdpRole::offer, false);
}

void EngineState::lose_way(Now now, Endpoint& e) {
  if (!e.ice->restart_at.is_never() || e.ice->restarts >= config.ice_restarts) return;
  emit(e, MediaEvent::Kind::restart_due);
  e.ice->restart_at = now.mono + config.ice_restart_wait * (int64_t{1} << std::min(e.ice->restarts, 8u));
  ++e.ice->restarts;
  timers.push(e.ice->restart_at, {e.id, TimerKind::restart});
}

void EngineState::on_restart_timeout(Now now, Endpoint& e) {
  e.ice->restart_at = Instant::never();
  if (misses_way(e)) lose_way(now, e);
}

bool EngineState::misses_way(const Endpoint& e) {
  return std::any_of(e.ice->lines.begin(), e.ice->lines.end(), [&](const Connectivity::Line& l) {
    return l.stream && l.agreed && !e.ice->agent.path(*l.stream, 1);
  });
}

}  // namespace tandem::media
