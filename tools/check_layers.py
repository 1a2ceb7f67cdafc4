#!/usr/bin/env python3
"""Holds the code to src/layers.txt: no forbidden include, no cycle, and no clock, thread, socket or random device in a
room that may not have one. An empty scan is a failure: it would mean the check itself is broken."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)

FORBIDDEN = {
    "clock": re.compile(r"\b(?:system_clock|steady_clock|high_resolution_clock)::now|\bclock_gettime\b|\bgettimeofday\b|\btime\s*\(\s*(?:NULL|nullptr|0)\s*\)"),
    "thread": re.compile(r"#include\s*<(?:thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier)>|\bpthread_\w+"),
    "socket": re.compile(r"#include\s*<(?:sys/socket\.h|netinet/.*|arpa/inet\.h|sys/epoll\.h|netdb\.h)>|#include\s*<boost/asio"),
    "random": re.compile(r"\brandom_device\b|\bgetrandom\s*\(|/dev/u?random|\bRAND_bytes\b"),
}
INCLUDE = re.compile(r'^\s*#include\s*"([a-z_]+)/[^"]+"', re.M)


def rules():
    allowed, powers = {}, {}
    for line in (root / "src/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        left, _, right = line.partition("|")
        room, _, deps = left.partition(":")
        allowed[room.strip()] = set(deps.split())
        powers[room.strip()] = set(right.split())
    return allowed, powers


def cycle(allowed):
    state, path = {}, []

    def visit(room):
        if state.get(room) == "open":
            return path[path.index(room):] + [room]
        if state.get(room) == "done":
            return None
        state[room] = "open"
        path.append(room)
        for dep in sorted(allowed.get(room, ())):
            found = visit(dep) if dep != "*" else None
            if found:
                return found
        path.pop()
        state[room] = "done"
        return None

    for room in allowed:
        found = visit(room)
        if found:
            return found
    return None


def strip_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)


def main():
    allowed, powers = rules()
    problems, scanned = [], 0
    loop = cycle(allowed)
    if loop:
        problems.append("src/layers.txt: cycle " + " -> ".join(loop))
    files = [(p, p.relative_to(root / "src").parts[0]) for p in sorted((root / "src").rglob("*")) if p.suffix in (".h", ".cpp")]
    files += [(p, "apps") for p in sorted((root / "apps").rglob("*")) if p.suffix in (".h", ".cpp")]
    for path, room in files:
        scanned += 1
        name = path.relative_to(root)
        if room not in allowed:
            problems.append(f"{name}: room '{room}' is not in src/layers.txt")
            continue
        code = strip_comments(path.read_text(errors="replace"))
        may = allowed[room]
        for match in INCLUDE.finditer(code):
            dep = match.group(1)
            if dep != room and dep in allowed and "*" not in may and dep not in may:
                problems.append(f"{name}: {room} may not include {match.group(0).split()[-1]}")
        if "*" not in may and ".pb.h" in code and "proto" not in may:
            problems.append(f"{name}: {room} may not use proto")
        for power, pattern in FORBIDDEN.items():
            if power not in powers[room]:
                found = pattern.search(code)
                if found:
                    problems.append(f"{name}: {room} may not use a {power} ({found.group(0).strip()})")
    if scanned == 0:
        problems.append("nothing scanned: the layer check looked at no file")
    for problem in problems:
        print(problem)
    print(f"layers: {scanned} files, {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
