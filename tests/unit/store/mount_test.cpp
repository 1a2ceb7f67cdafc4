// Real file systems that cannot be written or are full, mounted in a namespace of the test's own (root
// ignores mode bits).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "samples.h"
#include "store/cdr_sink.h"
#include "store/posix_disk.h"
#include "store/spool.h"
#include "store/sql_directory.h"

namespace tandem::store_test {
namespace {

using Kind = port::StoreError::Kind;
using Put = port::Directory::Put;

constexpr int no_namespace = 77;

/// Runs f in a child that has a small file system of its own at `path`; gives f's result.
template <class F>
int on_own_mount(const std::string& path, const char* size, F f) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", path.c_str(), "tmpfs", 0, size) != 0)
      ::_exit(no_namespace);
    ::_exit(f());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

bool remount(const std::string& path, bool read_only) {
  return ::mount("tmpfs", path.c_str(), "tmpfs", MS_REMOUNT | (read_only ? MS_RDONLY : 0), nullptr) == 0;
}

// In the child: tells the line and leaves. The parent only sees the exit code.
#define CHECK_IN_CHILD(condition)                                                \
  if (!(condition)) {                                                            \
    std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    return 1;                                                                    \
  }

class Mount : public testing::Test {
 protected:
  void expect(int result) {
    if (result == no_namespace) GTEST_SKIP() << "mount namespaces are not allowed here";
    EXPECT_EQ(result, 0);
  }
  Scratch scratch;
  const std::string path = scratch / "";
};

TEST_F(Mount, ReadOnlyDatabaseServesReadsRefusesWritesAndComesBack) {
  expect(on_own_mount(path, "size=4m", [&] {
    const std::string db = path + "50% of?it.db";
    {
      store::SqlDirectory dir(db);
      CHECK_IN_CHILD(dir.put_plan_row(domain("example.org"), Put::create).ok());
      CHECK_IN_CHILD(dir.put_subscriber(subscriber("1001", "example.org"), Put::create).ok());
    }
    CHECK_IN_CHILD(remount(path, true));
    store::SqlDirectory dir(db);
    CHECK_IN_CHILD(dir.subscriber({"1001", "example.org"}).ok());
    CHECK_IN_CHILD(dir.plan_rows()->domains.size() == 1);
    const auto inserted = dir.insert_cdrs(std::vector{cdr(1)});
    CHECK_IN_CHILD(!inserted.ok() && inserted.reason().kind == Kind::read_only);
    CHECK_IN_CHILD(dir.subscriber({"1001", "example.org"}).ok());
    CHECK_IN_CHILD(remount(path, false));
    // The first write finds out that the view it had was a read-only one.
    CHECK_IN_CHILD(!dir.insert_cdrs(std::vector{cdr(1)}).ok());
    CHECK_IN_CHILD(dir.insert_cdrs(std::vector{cdr(1)}).ok());
    return 0;
  }));
}

TEST_F(Mount, FullDatabaseDiskServesReadsAndTakesWritesAgain) {
  expect(on_own_mount(path, "size=1m", [&] {
    store::SqlDirectory dir(path + "a.db");
    CHECK_IN_CHILD(dir.put_plan_row(domain("example.org"), Put::create).ok());
    store::PosixDisk disk;
    auto ballast = disk.create(path + "ballast");
    while ((*ballast)->append(std::string(512, 'x')).ok()) continue;
    std::vector<port::Cdr> batch;
    for (uint64_t i = 0; i < 200; ++i) batch.push_back(cdr(i));
    const auto inserted = dir.insert_cdrs(batch);
    CHECK_IN_CHILD(!inserted.ok() && inserted.reason().kind == Kind::full);
    CHECK_IN_CHILD(dir.plan_rows()->domains.size() == 1);
    CHECK_IN_CHILD(disk.remove(path + "ballast").ok());
    ballast->reset();
    CHECK_IN_CHILD(dir.insert_cdrs(batch).ok());
    return 0;
  }));
}

TEST_F(Mount, FullSpoolKeepsRecordsUntilItCanWrite) {
  expect(on_own_mount(path, "size=256k", [&] {
    store::PosixDisk disk;
    CounterSet counters;
    store::SpoolCatalog catalog;
    std::vector<std::string> reasons;
    store::SpoolCore core(disk, path + "spool", {}, catalog, counters, [&](const port::Event& e) {
      if (e.name == "spool.failing") reasons.push_back(e.fields[1].second);
    });
    CHECK_IN_CHILD(core.recover().ok());
    auto ballast = disk.create(path + "ballast");
    while ((*ballast)->append(std::string(512, 'x')).ok()) continue;
    Instant now{0};
    std::vector<store::SpoolCommitted> committed;
    core.append(now, 0, 1, port::encode(cdr(1)));
    core.flush(now, committed);
    CHECK_IN_CHILD(reasons == std::vector<std::string>{"no space left"} && committed.empty());
    ballast->reset();
    CHECK_IN_CHILD(disk.remove(path + "ballast").ok());
    core.flush(now = now + seconds(1), committed);
    CHECK_IN_CHILD(committed.size() == 1 && committed[0].upto == 1);
    return 0;
  }));
}

TEST_F(Mount, ReadOnlySpool) {
  expect(on_own_mount(path, "size=256k", [&] {
    store::PosixDisk disk;
    CounterSet counters;
    store::SpoolCatalog catalog;
    store::SpoolCore core(disk, path + "spool", {}, catalog, counters);
    CHECK_IN_CHILD(remount(path, true));
    CHECK_IN_CHILD(core.recover().reason() == port::DiskError::read_only);
    std::vector<store::SpoolCommitted> committed;
    core.append({0}, 0, 1, port::encode(cdr(1)));
    core.flush({0}, committed);
    CHECK_IN_CHILD(core.failing() && committed.empty());
    CHECK_IN_CHILD(remount(path, false));
    core.flush(Instant{0} + seconds(1), committed);
    CHECK_IN_CHILD(committed.size() == 1 && !core.failing());
    return 0;
  }));
}

}  // namespace
}  // namespace tandem::store_test
