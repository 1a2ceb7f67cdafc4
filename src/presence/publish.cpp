// PUBLISH (RFC 3903): what users say of themselves. Their documents are passed on as they are, once they are
// known to be documents.
#include <algorithm>

#include "base/text.h"
#include "presence/notifier_state.h"
#include "sip/headers.h"

namespace tandem::presence {

/// 0: good; otherwise the status to refuse it with.
int Notifier::check_document(const sip::Message& request) const {
  if (!iequals(request.content_type(), pidf_type)) return 415;
  if (request.body().size() > config_.body_bytes) {
    bad_documents_.add();
    return 413;
  }
  if (!well_formed_xml(request.body_text(), config_.xml_depth)) {
    bad_documents_.add();
    return 400;
  }
  return 0;
}

/// What is said of somebody is said by himself (RFC 3863 section 4.1.1): the entity is the publisher's
/// address-of-record.
bool Notifier::is_about(const sip::Message& request, const port::AddressOfRecord& aor) const {
  const auto entity = pidf_entity(request.body_text(), config_.xml_depth);
  if (!entity) return false;
  const size_t colon = entity->find(':');
  if (colon == std::string::npos) return false;
  const std::string scheme = lower(entity->substr(0, colon));
  if (scheme != "pres" && scheme != "sip" && scheme != "sips") return false;
  const std::string address = "sip:" + entity->substr(colon + 1);
  const auto uri = sip::Uri::parse(address);
  return uri.ok() && address_of(*uri) == aor;
}

void Notifier::on_publish(Now now, sip::ServerTxId server, const sip::Message& request,
                          const port::Path& path, const port::Subscriber& who, port::Outbox& out) {
  const auto refuse = [&](int status, sip::HeaderId header = sip::HeaderId::other,
                          std::string_view value = {}) {
    respond(now, server, request, path, status, out, header, value);
  };
  const auto event = sip::EventType::parse(request.header(sip::HeaderId::event).value_or(""));
  if (!event || event->package != "presence") return refuse(489, sip::HeaderId::allow_events, "presence");
  port::AddressOfRecord aor;
  if (!target_of(request, who, aor) || aor != who.aor) return refuse(403);
  const uint32_t expires = std::min(request.expires().value_or(config_.default_expires), config_.max_expires);
  if (expires != 0 && expires < config_.min_expires)
    return refuse(423, sip::HeaderId::min_expires, std::to_string(config_.min_expires));
  const auto if_match = request.header(sip::HeaderId::sip_if_match);
  const bool has_body = !request.body().empty();
  if (!if_match && !has_body) return refuse(400);  // section 6 step 5: nothing to start with
  if (has_body)
    if (const int status = check_document(request); status != 0) {
      if (status == 415) return refuse(415, sip::HeaderId::accept, pidf_type);
      return refuse(status);
    }
  if (has_body && !is_about(request, aor)) {
    foreign_documents_.add();
    return refuse(403, sip::HeaderId::warning, R"(399 tandem "The document's entity is not its publisher")");
  }

  SlotId id = find_resource(aor);
  Resource* r = resources_.find(id);
  Publication publication;
  if (if_match) {
    const auto it = r ? std::find_if(r->publications.begin(), r->publications.end(),
                                     [&](const Publication& p) { return p.etag == *if_match; })
                      : std::vector<Publication>::iterator{};
    if (!r || it == r->publications.end()) return refuse(412);
    publication = std::move(*it);
    r->publications.erase(it);
    --publications_;
  } else if ((r && r->publications.size() >= config_.publications_per_aor) ||
             publications_ >= config_.publications || (!r && resources_.full())) {
    limit_publications_.add();
    return refuse(503, sip::HeaderId::retry_after, "60");
  }
  if (!r) r = resources_.find(id = make_resource(aor));
  publication.etag = mint_.rng().token(16);
  published_.add();

  if (has_body) publication.body = request.body_text();
  sip::Writer w = sip::response_to(request, path.remote, 200, mint_.mint(sip::shard_of(aor.to_string())));
  w.header(sip::HeaderId::sip_etag, publication.etag).header_number(sip::HeaderId::expires, expires);
  transactions_.respond(now, server, std::move(w).finish(), out);  // the request is gone after this
  if (expires != 0) {
    publication.expires = now.mono + seconds(expires);
    r->publications.push_back(std::move(publication));
    ++publications_;
    arm_publications(id, *r);
  }
  if (has_body || expires == 0) changed(now, *r, Package::presence, out);  // a refresh is no news
  drop_if_idle(id);
}

void Notifier::arm_publications(SlotId id, Resource& r) {
  Instant first = Instant::never();
  for (const Publication& p : r.publications) first = std::min(first, p.expires);
  if (first >= r.armed) return;
  r.armed = first;
  timers_.push(first, {id, true});
}

void Notifier::expire_publications(Now now, SlotId id, Instant deadline, port::Outbox& out) {
  Resource* r = resources_.find(id);
  if (!r || r->armed != deadline) return;
  r->armed = Instant::never();
  const size_t gone =
      std::erase_if(r->publications, [&](const Publication& p) { return p.expires <= now.mono; });
  arm_publications(id, *r);
  if (gone == 0) return;
  publications_ -= gone;
  changed(now, *r, Package::presence, out);
  drop_if_idle(id);
}

}  // namespace tandem::presence
