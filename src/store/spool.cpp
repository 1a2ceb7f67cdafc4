#include "store/spool.h"

#include <algorithm>

#include "store/spool_record.h"

namespace tandem::store {

using port::DiskError;
using port::Level;

namespace {

constexpr std::string_view prefix = "spool-";
constexpr std::string_view suffix = ".seg";
constexpr std::string_view position_name = "position";

/// The first sequence in the name, in hex, so that names sort as they were written.
std::string segment_name(uint64_t first_sequence) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string digits(16, '0');
  for (size_t i = 16; i-- > 0; first_sequence >>= 4) digits[i] = hex[first_sequence & 15];
  return std::string(prefix) + digits + std::string(suffix);
}

bool is_segment(std::string_view name) {
  return name.size() == prefix.size() + 16 + suffix.size() && name.starts_with(prefix) &&
         name.ends_with(suffix);
}

void tell(const EventSink& sink, Level level, std::string_view name,
          std::vector<std::pair<std::string_view, std::string>> fields) {
  if (sink) sink(port::Event{level, name, 0, std::move(fields)});
}

}  // namespace

// ---- catalog
// -----------------------------------------------------------------------------------------------

void SpoolCatalog::add(Segment segment) {
  const std::lock_guard lock(mutex_);
  segments_.push_back(std::move(segment));
}

void SpoolCatalog::extend_last(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  segments_.back().bytes = bytes;
}

void SpoolCatalog::close_last() {
  const std::lock_guard lock(mutex_);
  segments_.back().closed = true;
}

void SpoolCatalog::drop_last() {
  const std::lock_guard lock(mutex_);
  segments_.pop_back();
}

std::optional<SpoolCatalog::Segment> SpoolCatalog::front() const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty()) return std::nullopt;
  return segments_.front();
}

void SpoolCatalog::pop_front() {
  const std::lock_guard lock(mutex_);
  segments_.pop_front();
}

size_t SpoolCatalog::size() const {
  const std::lock_guard lock(mutex_);
  return segments_.size();
}

void SpoolCatalog::set_position(uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  position_ = sequence;
}

uint64_t SpoolCatalog::position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

// ---- writing
// -----------------------------------------------------------------------------------------------

SpoolCore::SpoolCore(port::Disk& disk, std::string directory, SpoolOptions options, SpoolCatalog& catalog,
                     CounterSet& counters, EventSink events)
    : disk_(disk),
      directory_(std::move(directory)),
      options_(options),
      catalog_(catalog),
      events_(std::move(events)),
      appended_(counters.counter("spool_appended_total", "records given to the spool")),
      committed_(counters.counter("spool_committed_total", "records made durable")),
      refused_(counters.counter("spool_refused_total", "records refused because too many wait for the disk")),
      failures_(counters.counter("spool_failures_total", "failed writes and syncs of the spool")),
      undurable_(
          counters.counter("spool_undurable_total", "records reported committed while only in memory")),
      torn_(counters.counter("spool_torn_tails_total", "segments whose tail was cut at start")),
      damaged_(counters.counter("spool_damaged_total", "places of damage between records found at start")),
      waiting_(counters.gauge("spool_waiting", "records waiting to become durable")) {}

uint64_t SpoolCore::read_position() {
  const auto bytes = disk_.read(path(std::string(position_name)), 0, 4096);
  if (!bytes) return 0;
  SpoolScanner scanner(*bytes, true);
  SpoolScanner::Record record;
  return scanner.next(record) ? record.sequence : 0;
}

Status<DiskError> SpoolCore::recover() {
  if (const auto made = disk_.make_directory(directory_); !made) return made;
  const auto names = disk_.list(directory_);
  if (!names) return Failure{names.reason()};
  const uint64_t position = read_position();
  uint64_t highest = position;
  std::vector<SpoolCatalog::Segment> segments;
  for (const std::string& name : *names)
    if (is_segment(name))
      if (const auto read = recover_segment(name, highest, segments); !read) return read;
  catalog_.set_position(position);
  for (SpoolCatalog::Segment& segment : segments) catalog_.add(std::move(segment));
  next_sequence_ = highest + 1;
  recovered_ = true;
  return Done{};
}

Status<DiskError> SpoolCore::recover_segment(const std::string& name, uint64_t& highest,
                                             std::vector<SpoolCatalog::Segment>& segments) {
  const auto size = disk_.size(path(name));
  if (!size) return Failure{size.reason()};
  const auto bytes = disk_.read(path(name), 0, *size);
  if (!bytes) return Failure{bytes.reason()};
  SpoolScanner scanner(*bytes, true);
  SpoolScanner::Record record;
  uint64_t records = 0;
  for (; scanner.next(record); ++records) highest = std::max(highest, record.sequence);
  if (scanner.gaps() != 0) {
    damaged_.add(scanner.gaps());
    tell(events_, Level::error, "spool.damaged",
         {{"segment", name},
          {"places", std::to_string(scanner.gaps())},
          {"recovered", std::to_string(records)}});
  }
  if (scanner.rest() != 0) {
    torn_.add();
    tell(events_, Level::warning, "spool.torn_tail",
         {{"segment", name}, {"bytes", std::to_string(scanner.rest())}});
    if (records != 0)
      if (const auto cut = disk_.truncate(path(name), scanner.consumed()); !cut) return cut;
  }
  if (records == 0) return disk_.remove(path(name));
  // What only the page cache holds must not vanish after its sequence was passed.
  auto file = disk_.open_append(path(name));
  if (!file) return Failure{file.reason()};
  if (const auto synced = (*file)->sync(); !synced) return synced;
  segments.push_back({name, scanner.consumed(), true, scanner.gaps() != 0});
  return Done{};
}

bool SpoolCore::append(Instant now, uint16_t worker, port::CommitId commit, std::string record) {
  if (pending_.size() >= options_.max_pending ||
      pending_bytes_ + record.size() > options_.max_pending_bytes || record.size() > max_spool_record) {
    refused_.add();
    return false;
  }
  appended_.add();
  pending_bytes_ += record.size();
  pending_.push_back({worker, commit, std::move(record), now});
  waiting_.set(pending_.size());
  return true;
}

Instant SpoolCore::next_flush() const {
  if (pending_.empty()) return Instant::never();
  if (!failing_) return pending_.front().appended + options_.gather;
  if (released_ == pending_.size()) return retry_at_;
  return std::min(retry_at_, pending_[released_].appended + options_.patience);
}

void SpoolCore::flush(Instant now, std::vector<SpoolCommitted>& out) {
  if (failing_ && now < retry_at_) return release_impatient(now, out);
  Status<DiskError> done = Done{};
  if (!recovered_ && !pending_.empty()) done = recover();
  while (done && !pending_.empty()) done = write_some(out);
  if (!done) {
    fail(now, done.reason());
    release_impatient(now, out);
  } else if (failing_ && recovered_) {
    failing_ = false;
    tell(events_, Level::notice, "spool.recovered", {{"directory", directory_}});
  }
  waiting_.set(pending_.size());
}

Status<DiskError> SpoolCore::open_segment() {
  const std::string name = segment_name(next_sequence_);
  auto file = disk_.create(path(name));
  if (!file) return Failure{file.reason()};
  if (const auto synced = disk_.sync_directory(directory_); !synced) {
    static_cast<void>(disk_.remove(path(name)));
    return synced;
  }
  file_ = std::move(*file);
  file_name_ = name;
  file_bytes_ = 0;
  catalog_.add({name, 0, false, false});
  return Done{};
}

Status<DiskError> SpoolCore::write_some(std::vector<SpoolCommitted>& out) {
  if (!file_)
    if (const auto opened = open_segment(); !opened) return opened;
  std::string frames;
  size_t count = 0;
  // A record that is written again after a failure gets a new sequence: whatever the failed attempt left on
  // the disk then stands before it, and sequences never run backwards.
  for (; count < pending_.size() && file_bytes_ + frames.size() < options_.segment_bytes; ++count)
    append_frame(frames, next_sequence_++, pending_[count].record);
  auto done = file_->append(frames);
  if (done) done = file_->sync();
  if (!done) return done;
  file_bytes_ += frames.size();
  catalog_.extend_last(file_bytes_);
  committed_.add(count);
  for (size_t i = 0; i < count; ++i) {
    report(pending_.front().worker, pending_.front().commit, out);
    pending_bytes_ -= pending_.front().record.size();
    pending_.pop_front();
  }
  released_ -= std::min(released_, count);
  if (file_bytes_ >= options_.segment_bytes) {
    catalog_.close_last();
    file_.reset();
  }
  return Done{};
}

/// After a failed write or sync nobody knows what the file holds past its durable part.
void SpoolCore::give_up_segment() {
  if (!file_) return;
  file_.reset();
  if (file_bytes_ == 0) {
    catalog_.drop_last();
    static_cast<void>(disk_.remove(path(file_name_)));
    return;
  }
  static_cast<void>(disk_.truncate(path(file_name_), file_bytes_));
  catalog_.close_last();
}

void SpoolCore::fail(Instant now, DiskError why) {
  give_up_segment();
  failures_.add();
  retry_at_ = now + options_.retry;
  if (failing_) return;
  failing_ = true;
  tell(events_, Level::error, "spool.failing",
       {{"directory", directory_},
        {"reason", std::string(to_text(why))},
        {"effect", "records wait in memory until the disk takes them"}});
}

void SpoolCore::release_impatient(Instant now, std::vector<SpoolCommitted>& out) {
  if (options_.patience == Duration::max()) return;
  for (; released_ < pending_.size() && pending_[released_].appended + options_.patience <= now;
       ++released_) {
    undurable_.add();
    report(pending_[released_].worker, pending_[released_].commit, out);
  }
}

void SpoolCore::report(uint16_t worker, port::CommitId commit, std::vector<SpoolCommitted>& out) {
  port::CommitId& last = reported_[worker];
  if (commit <= last) return;
  last = commit;
  const auto same = std::find_if(out.begin(), out.end(), [&](const auto& c) { return c.worker == worker; });
  if (same != out.end())
    same->upto = commit;
  else
    out.push_back({worker, commit});
}

// ---- shipping
// ----------------------------------------------------------------------------------------------

SpoolShipper::SpoolShipper(port::Disk& disk, std::string directory, SpoolCatalog& catalog, SpoolSink& sink,
                           CounterSet& counters, EventSink events)
    : disk_(disk),
      directory_(std::move(directory)),
      catalog_(catalog),
      sink_(sink),
      events_(std::move(events)),
      shipped_total_(counters.counter("spool_shipped_total", "records handed on to the database")),
      failures_(counters.counter("spool_ship_failures_total", "failed attempts to hand records on")) {}

SpoolShipper::Step SpoolShipper::step(size_t limit) {
  shipped_ = std::max(shipped_, catalog_.position());
  const auto segment = catalog_.front();
  if (!segment) return Step::idle;
  if (segment->name != segment_) {
    segment_ = segment->name;
    offset_ = 0;
  }
  if (offset_ >= segment->bytes)
    return segment->closed && finish_segment(*segment) ? Step::shipped : Step::idle;

  // Whatever is read holds at least one whole record, however large.
  const uint64_t left = segment->bytes - offset_;
  const uint64_t piece = std::min<uint64_t>(left, max_spool_record + spool_header_bytes + (256 << 10));
  const auto bytes = disk_.read(path(segment_), offset_, piece);
  if (!bytes || bytes->size() < piece) {
    failed(std::string(to_text(bytes ? DiskError::io : bytes.reason())));
    return Step::failed;
  }
  const bool to_the_end = piece == left;
  SpoolScanner scanner(*bytes, to_the_end);
  SpoolScanner::Record record;
  std::vector<std::string_view> records;
  uint64_t last = shipped_;
  bool more = true;
  while (records.size() < limit && (more = scanner.next(record)))
    if (record.sequence > last) {
      records.push_back(record.payload);
      last = record.sequence;
    }
  if (!records.empty())
    if (const auto done = sink_.ship(records); !done) {
      failed(done.reason().text);
      return Step::failed;
    }
  if (failing_) tell(events_, Level::notice, "spool.shipping_again", {});
  failing_ = false;
  shipped_ = last;
  shipped_total_.add(records.size());
  // Damage up to the end of what was read holds no record that starts before its last `max_spool_record`
  // bytes.
  if (!more && to_the_end)
    offset_ = segment->bytes;
  else if (scanner.consumed() != 0)
    offset_ += scanner.consumed();
  else
    offset_ += piece - (max_spool_record + spool_header_bytes);
  return Step::shipped;
}

bool SpoolShipper::finish_segment(const SpoolCatalog::Segment& segment) {
  save_position();
  // What could not be read is kept for whoever wants to look.
  if (segment.damaged)
    static_cast<void>(disk_.rename(path(segment.name), path(segment.name) + ".damaged"));
  else
    static_cast<void>(disk_.remove(path(segment.name)));
  catalog_.pop_front();
  segment_.clear();
  return true;
}

void SpoolShipper::save_position() {
  if (shipped_ == saved_) return;
  const std::string name = path(std::string(position_name)), temporary = name + ".tmp";
  auto file = disk_.create(temporary);
  if (!file) return;
  std::string frame;
  append_frame(frame, shipped_, {});
  if (!(*file)->append(frame) || !(*file)->sync() || !disk_.rename(temporary, name)) return;
  if (disk_.sync_directory(directory_)) saved_ = shipped_;
}

void SpoolShipper::failed(const std::string& why) {
  failures_.add();
  if (failing_) return;
  failing_ = true;
  tell(events_, Level::error, "spool.shipping_failed",
       {{"reason", why}, {"effect", "records stay in the spool until the database takes them"}});
}

}  // namespace tandem::store
