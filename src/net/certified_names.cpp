#include "net/certified_names.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/address.h"
#include "base/text.h"
#include "sip/uri.h"

namespace tandem::net {
namespace {

struct Names {
  std::vector<std::string> sip, dns, addresses, common;
  bool alternative = false;  // there is a subjectAltName
};

void add(std::vector<std::string>& to, std::string name) {
  if (!name.empty() && std::find(to.begin(), to.end(), name) == to.end()) to.push_back(std::move(name));
}

/// Empty when a byte of it is none of a name or URI: an embedded NUL has fooled verifiers before.
std::string text_of(const ASN1_STRING* s) {
  const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                              static_cast<size_t>(ASN1_STRING_length(s)));
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  return clean ? lower(text) : std::string();
}

std::string without_dot(std::string name) {
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  return name;
}

/// A name that reads as an address is none: addresses have a kind of their own.
std::string dns_name(const ASN1_STRING* s) {
  std::string name = without_dot(text_of(s));
  return IpAddress::parse(name) ? std::string() : name;
}

std::string sip_domain(const ASN1_STRING* s) {
  const std::string text = text_of(s);
  const auto uri = sip::Uri::parse(text);
  if (!uri.ok() || uri->scheme != sip::Scheme::sip || text.find('@') != std::string::npos) return {};
  const auto ip = IpAddress::parse(uri->host);
  return ip ? ip->to_string() : without_dot(std::string(uri->host));
}

std::string address(const ASN1_OCTET_STRING* s) {
  IpAddress ip;
  const int length = ASN1_STRING_length(s);
  if (length != 4 && length != 16) return {};
  ip.family = length == 4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
  std::memcpy(ip.bytes.data(), ASN1_STRING_get0_data(s), static_cast<size_t>(length));
  return ip.to_string();
}

Names read(const X509* certificate) {
  Names out;
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  // Present but unreadable is present: the common name must not step in.
  out.alternative = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1) >= 0;
  for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type == GEN_URI) add(out.sip, sip_domain(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) add(out.dns, dns_name(name->d.dNSName));
    if (name->type == GEN_IPADD) add(out.addresses, address(name->d.iPAddress));
  }
  if (out.alternative) return out;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
    add(out.common, dns_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i))));
  return out;
}

void append(std::vector<std::string>& to, std::vector<std::string>& from) {
  for (std::string& name : from) add(to, std::move(name));
}

/// As names are kept: lower case, addresses in one spelling.
std::string normal(std::string_view name) {
  const auto ip = IpAddress::parse(name);
  return ip ? ip->to_string() : without_dot(lower(name));
}

}  // namespace

std::vector<std::string> certified_names(const X509* certificate) {
  Names names = read(certificate);
  std::vector<std::string> out = std::move(names.sip);
  if (out.empty()) out = std::move(names.dns);
  append(out, names.addresses);
  append(out, names.common);
  return out;
}

bool is_certified(const std::vector<std::string>& names, std::string_view wanted) {
  return !wanted.empty() && std::find(names.begin(), names.end(), normal(wanted)) != names.end();
}

std::vector<std::string> server_names(const X509* certificate) {
  Names names = read(certificate);
  std::vector<std::string> out = std::move(names.sip);
  append(out, names.dns);
  append(out, names.addresses);
  append(out, names.common);
  return out;
}

bool serves_name(const std::vector<std::string>& names, std::string_view asked) {
  if (is_certified(names, asked)) return true;
  const std::string name = normal(asked);
  const size_t dot = name.find('.');
  return dot != std::string::npos && dot > 0 &&
         std::find(names.begin(), names.end(), "*" + name.substr(dot)) != names.end();
}

}  // namespace tandem::net
