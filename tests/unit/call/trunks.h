#pragma once
// A domain with two trunks: calls to 0X. go out over "carrier", else over "backup".
#include "unit/call/harness.h"

namespace tandem::call::test {

inline port::PlanRows trunk_rows(const std::string& host = "203.0.113.10") {
  port::PlanRows rows;
  port::DomainRow d;
  d.name = domain;
  rows.domains.push_back(d);
  for (int i = 0; i < 2; ++i) {
    port::TrunkRow t;
    t.name = i == 0 ? "carrier" : "backup";
    t.domain = domain;
    t.host = i == 0 ? host : "203.0.113.20";
    t.port = 5060;
    t.user = "acme";
    t.auth_user = "acme";
    t.password = "secret";
    t.options_seconds = 0;
    t.inbound_class = port::CallClass::international;
    rows.trunks.push_back(t);
  }
  port::RouteRow out;
  out.id = 1;
  out.domain = domain;
  out.name = "out";
  out.pattern = "0X.";
  out.action = port::RouteRow::Action::trunk;
  out.targets = {"carrier", "backup"};
  out.strip = 1;
  out.call_class = port::CallClass::national;
  rows.routes.push_back(out);
  port::RouteRow in;
  in.id = 2;
  in.domain = domain;
  in.name = "did";
  in.from_trunk = "*";
  in.pattern = "49301001";
  in.action = port::RouteRow::Action::extension;
  in.target = "1001";
  rows.routes.push_back(in);
  return rows;
}

inline port::PlanRows registration_rows() {
  port::PlanRows rows = trunk_rows();
  rows.trunks[0].kind = port::TrunkRow::Kind::registration;
  rows.trunks[0].expires_seconds = 300;
  return rows;
}

}  // namespace tandem::call::test
