#pragma once
// Who administers the node through the console. A part of the directory that no worker and no plan needs,
// so it is an interface of its own.
#include <string>
#include <vector>

#include "port/directory.h"

namespace tandem::port {

/// Subscribers sign in as "user@domain", so the name of an administrator has no '@'.
struct AdminRow {
  enum class Role : uint8_t {
    viewer,   // reads
    operate,  // and hangs calls up
    admin,    // everything
  };
  std::string name;      // key
  std::string password;  // as crypto::password_hash() makes it; never shown
  Role role = Role::viewer;
  bool enabled = true;
};
template <>
struct EnumText<AdminRow::Role> {
  static constexpr std::string_view names[] = {"viewer", "operator", "admin"};
};

/// The twins of the directory implement it; what is said of Directory holds.
class AdminDirectory {
 public:
  virtual ~AdminDirectory() = default;
  /// By name.
  virtual StoreResult<std::vector<AdminRow>> admins() = 0;
  virtual StoreStatus put_admin(const AdminRow& row, Directory::Put mode) = 0;
  virtual StoreStatus remove_admin(const std::string& name) = 0;
};

/// As port::problem_with() of other rows.
std::string problem_with(const AdminRow& row);

}  // namespace tandem::port
