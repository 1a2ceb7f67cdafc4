#pragma once
// The demo's subscribers as a person gets them: which password can be handed out, and the line a phone takes.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tandem::app {

/// Whether every subscriber of the demo can have this password: REST's least length, and only what an account
/// line can carry. The reason is one sentence that names the rule and not the password.
Status<std::string> check_demo_password(std::string_view password);

/// A line of baresip's `accounts`: "<sip:1001@192.0.2.1:5060>;auth_user=1001;auth_pass=...". The value of
/// auth_pass ends at a ';' or white space unless it is quoted, and a quoted one knows no escapes; `password`
/// has passed check_demo_password(). `host` is an address, IPv6 without brackets.
std::string baresip_account(std::string_view user, std::string_view host, uint16_t port,
                            std::string_view password);

}  // namespace tandem::app
