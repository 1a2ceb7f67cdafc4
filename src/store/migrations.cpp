#include "store/migrations.h"

#include <array>

#include "base/hash.h"

namespace tandem::store {
namespace {

constexpr std::string_view subscribers_sql = R"sql(
CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('plan', 1), ('subscribers', 1);
CREATE TABLE settings (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE api_tokens (
  name TEXT PRIMARY KEY NOT NULL, sha256 TEXT NOT NULL, scopes TEXT NOT NULL, enabled INTEGER NOT NULL,
  expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE domains (
  name TEXT PRIMARY KEY NOT NULL, enabled INTEGER NOT NULL, digest_realm TEXT NOT NULL, aliases TEXT NOT NULL,
  emergency_numbers TEXT NOT NULL, country_code TEXT NOT NULL, national_prefix TEXT NOT NULL,
  international_prefix TEXT NOT NULL, max_calls INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE subscribers (
  domain TEXT NOT NULL REFERENCES domains (name), user TEXT NOT NULL, enabled INTEGER NOT NULL,
  ha1_md5 TEXT NOT NULL, ha1_sha256 TEXT NOT NULL, ha1_sha512_256 TEXT NOT NULL, display_name TEXT NOT NULL,
  caller_number TEXT NOT NULL, call_class TEXT NOT NULL, do_not_disturb INTEGER NOT NULL,
  forward_always TEXT NOT NULL, forward_busy TEXT NOT NULL, forward_no_answer TEXT NOT NULL,
  forward_unreachable TEXT NOT NULL, no_answer_seconds INTEGER NOT NULL, max_contacts INTEGER NOT NULL,
  max_calls INTEGER NOT NULL, pickup_group TEXT NOT NULL, codecs TEXT NOT NULL, srtp TEXT NOT NULL,
  recording TEXT NOT NULL, dtmf TEXT NOT NULL, revision INTEGER NOT NULL,
  PRIMARY KEY (domain, user)
) WITHOUT ROWID;
CREATE TABLE bindings (
  domain TEXT NOT NULL, user TEXT NOT NULL, key TEXT NOT NULL, contact TEXT NOT NULL, user_agent TEXT NOT NULL,
  expires INTEGER NOT NULL, part BLOB NOT NULL,
  PRIMARY KEY (domain, user, key)
) WITHOUT ROWID;
CREATE INDEX bindings_expires ON bindings (expires);
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, domain TEXT NOT NULL, user TEXT NOT NULL, sender TEXT NOT NULL,
  sender_display TEXT NOT NULL, content_type TEXT NOT NULL, body BLOB NOT NULL, received INTEGER NOT NULL
);
CREATE INDEX messages_to ON messages (domain, user, id);
)sql";

constexpr std::string_view plan_sql = R"sql(
CREATE TABLE trunks (
  name TEXT PRIMARY KEY NOT NULL, domain TEXT NOT NULL REFERENCES domains (name), kind TEXT NOT NULL,
  enabled INTEGER NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, transport TEXT NOT NULL, realm TEXT NOT NULL,
  user TEXT NOT NULL, from_domain TEXT NOT NULL, auth_user TEXT NOT NULL, auth_realm TEXT NOT NULL,
  ha1_md5 TEXT NOT NULL, ha1_sha256 TEXT NOT NULL, ha1_sha512_256 TEXT NOT NULL, password TEXT NOT NULL,
  sources TEXT NOT NULL, tls_name TEXT NOT NULL, expires_seconds INTEGER NOT NULL, max_calls INTEGER NOT NULL,
  max_calls_per_second INTEGER NOT NULL, inbound_class TEXT NOT NULL, codecs TEXT NOT NULL,
  srtp TEXT NOT NULL, recording TEXT NOT NULL, dtmf TEXT NOT NULL,
  send_e164 INTEGER NOT NULL, options_seconds INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE routes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, domain TEXT NOT NULL, priority INTEGER NOT NULL, name TEXT NOT NULL,
  enabled INTEGER NOT NULL, pattern TEXT NOT NULL, caller_pattern TEXT NOT NULL, from_trunk TEXT NOT NULL,
  call_class TEXT NOT NULL, time_rule TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL,
  targets TEXT NOT NULL, strip INTEGER NOT NULL, prefix TEXT NOT NULL, caller_number TEXT NOT NULL,
  status INTEGER NOT NULL, reason TEXT NOT NULL, otherwise TEXT NOT NULL
);
CREATE TABLE ring_groups (
  domain TEXT NOT NULL REFERENCES domains (name), name TEXT NOT NULL, enabled INTEGER NOT NULL,
  strategy TEXT NOT NULL, timeout_seconds INTEGER NOT NULL, member_timeout_seconds INTEGER NOT NULL,
  otherwise TEXT NOT NULL, skip_busy INTEGER NOT NULL,
  PRIMARY KEY (domain, name)
) WITHOUT ROWID;
CREATE TABLE ring_group_members (
  domain TEXT NOT NULL, group_name TEXT NOT NULL, position INTEGER NOT NULL, target TEXT NOT NULL,
  delay_seconds INTEGER NOT NULL, timeout_seconds INTEGER NOT NULL,
  PRIMARY KEY (domain, group_name, position),
  FOREIGN KEY (domain, group_name) REFERENCES ring_groups (domain, name) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE feature_codes (
  domain TEXT NOT NULL, code TEXT NOT NULL, enabled INTEGER NOT NULL, feature TEXT NOT NULL,
  PRIMARY KEY (domain, code)
) WITHOUT ROWID;
CREATE TABLE time_rules (
  domain TEXT NOT NULL, name TEXT NOT NULL, position INTEGER NOT NULL, time_zone TEXT NOT NULL,
  weekdays INTEGER NOT NULL, from_minute INTEGER NOT NULL, to_minute INTEGER NOT NULL, from_date TEXT NOT NULL,
  to_date TEXT NOT NULL, forbids INTEGER NOT NULL,
  PRIMARY KEY (domain, name, position)
) WITHOUT ROWID;
CREATE TABLE parks (
  domain TEXT PRIMARY KEY NOT NULL REFERENCES domains (name), enabled INTEGER NOT NULL, first_slot INTEGER NOT NULL,
  last_slot INTEGER NOT NULL, timeout_seconds INTEGER NOT NULL, otherwise TEXT NOT NULL
) WITHOUT ROWID;
)sql";

// `part` is the whole record (proto/cdr.proto); the columns beside it are what searches look at. The 64-bit
// numbers of the key are stored as SQL's signed ones.
constexpr std::string_view cdrs_sql = R"sql(
CREATE TABLE cdrs (
  node INTEGER NOT NULL, epoch INTEGER NOT NULL, call INTEGER NOT NULL, pair INTEGER NOT NULL,
  setup INTEGER NOT NULL, answer INTEGER NOT NULL, ended INTEGER NOT NULL, direction TEXT NOT NULL,
  caller TEXT NOT NULL, caller_domain TEXT NOT NULL, callee TEXT NOT NULL, callee_domain TEXT NOT NULL,
  dialled TEXT NOT NULL, caller_call_id TEXT NOT NULL, callee_call_id TEXT NOT NULL, caller_trunk TEXT NOT NULL,
  callee_trunk TEXT NOT NULL, sip_status INTEGER NOT NULL, q850_cause INTEGER NOT NULL, part BLOB NOT NULL,
  PRIMARY KEY (node, epoch, call, pair)
);
CREATE INDEX cdrs_setup ON cdrs (setup, node, epoch, call, pair);
CREATE INDEX cdrs_caller ON cdrs (caller, setup);
CREATE INDEX cdrs_callee ON cdrs (callee, setup);
CREATE INDEX cdrs_caller_call_id ON cdrs (caller_call_id);
CREATE INDEX cdrs_callee_call_id ON cdrs (callee_call_id);
)sql";

constexpr std::string_view services_sql = R"sql(
CREATE TABLE menus (
  domain TEXT NOT NULL REFERENCES domains (name), name TEXT NOT NULL, enabled INTEGER NOT NULL,
  language TEXT NOT NULL, greeting TEXT NOT NULL, wait_seconds INTEGER NOT NULL, between_seconds INTEGER NOT NULL,
  tries INTEGER NOT NULL, extensions INTEGER NOT NULL, otherwise TEXT NOT NULL,
  PRIMARY KEY (domain, name)
) WITHOUT ROWID;
CREATE TABLE menu_choices (
  domain TEXT NOT NULL, menu TEXT NOT NULL, position INTEGER NOT NULL, keys TEXT NOT NULL,
  time_rule TEXT NOT NULL, target TEXT NOT NULL,
  PRIMARY KEY (domain, menu, position),
  FOREIGN KEY (domain, menu) REFERENCES menus (domain, name) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE mailboxes (
  domain TEXT NOT NULL REFERENCES domains (name), user TEXT NOT NULL, enabled INTEGER NOT NULL, pin TEXT NOT NULL,
  language TEXT NOT NULL, unanswered INTEGER NOT NULL, max_messages INTEGER NOT NULL, max_seconds INTEGER NOT NULL,
  time_zone TEXT NOT NULL, email TEXT NOT NULL, attach INTEGER NOT NULL, remove_sent INTEGER NOT NULL,
  PRIMARY KEY (domain, user)
) WITHOUT ROWID;
CREATE TABLE conferences (
  domain TEXT NOT NULL REFERENCES domains (name), name TEXT NOT NULL, enabled INTEGER NOT NULL, pin TEXT NOT NULL,
  moderator_pin TEXT NOT NULL, language TEXT NOT NULL, members INTEGER NOT NULL, lecture INTEGER NOT NULL,
  muted INTEGER NOT NULL, wait INTEGER NOT NULL, ends INTEGER NOT NULL, announce INTEGER NOT NULL,
  PRIMARY KEY (domain, name)
) WITHOUT ROWID;
CREATE TABLE voicemails (
  id INTEGER PRIMARY KEY AUTOINCREMENT, domain TEXT NOT NULL, user TEXT NOT NULL, sender TEXT NOT NULL,
  sender_display TEXT NOT NULL, received INTEGER NOT NULL, length INTEGER NOT NULL, file TEXT NOT NULL,
  heard INTEGER NOT NULL,
  FOREIGN KEY (domain, user) REFERENCES mailboxes (domain, user) ON DELETE CASCADE
);
CREATE INDEX voicemails_of ON voicemails (domain, user, id);
)sql";

constexpr std::string_view admins_sql = R"sql(
CREATE TABLE admins (
  name TEXT PRIMARY KEY NOT NULL, password TEXT NOT NULL, role TEXT NOT NULL, enabled INTEGER NOT NULL
) WITHOUT ROWID;
)sql";

constexpr std::string_view webhooks_sql = R"sql(
CREATE TABLE webhooks (
  name TEXT PRIMARY KEY NOT NULL, url TEXT NOT NULL, secret TEXT NOT NULL, old_secret TEXT NOT NULL,
  events TEXT NOT NULL, enabled INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE webhook_deliveries (
  number INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL REFERENCES webhooks (name) ON DELETE CASCADE,
  id TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, time INTEGER NOT NULL, attempts INTEGER NOT NULL,
  next INTEGER NOT NULL, error TEXT NOT NULL, dead INTEGER NOT NULL,
  UNIQUE (endpoint, id)
);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (endpoint, dead, number);
)sql";

constexpr std::string_view channels_sql = R"sql(
CREATE TABLE channels (
  name TEXT PRIMARY KEY NOT NULL, created INTEGER NOT NULL, version INTEGER NOT NULL,
  message_ttl_seconds INTEGER NOT NULL, max_viewers INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE access_keys (
  id TEXT PRIMARY KEY NOT NULL, secret TEXT NOT NULL, note TEXT NOT NULL, enabled INTEGER NOT NULL,
  master INTEGER NOT NULL, viewer INTEGER NOT NULL, admin INTEGER NOT NULL, channels TEXT NOT NULL,
  created INTEGER NOT NULL
) WITHOUT ROWID;
)sql";

constexpr std::array<Migration, 7> all{Migration{1, "subscribers", subscribers_sql},
                                       {2, "plan", plan_sql},
                                       {3, "cdrs", cdrs_sql},
                                       {4, "services", services_sql},
                                       {5, "admins", admins_sql},
                                       {6, "webhooks", webhooks_sql},
                                       {7, "channels", channels_sql}};

}  // namespace

std::string Migration::checksum() const {
  static constexpr char hex[] = "0123456789abcdef";
  uint64_t h = hash64(sql);
  std::string out(16, '0');
  for (size_t i = 16; i-- > 0; h >>= 4) out[i] = hex[h & 15];
  return out;
}

std::span<const Migration> migrations() { return all; }

}  // namespace tandem::store
