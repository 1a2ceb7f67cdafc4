#!/usr/bin/env python3
"""Holds the documents to the code: names of metrics and events, the configuration reference, the example file, links, room pages.

  tools/check_docs.py [--tandem build/tandem]           says what differs, exit 1 when anything does
  tools/check_docs.py --write [--tandem build/tandem]   writes the generated parts anew"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LITERAL = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
COUNTER = re.compile(r"\b(counter|gauge)\(\s*" + LITERAL + r",\s*" + LITERAL)
LEVEL = re.compile(r"\bLevel::(?:debug|info|notice|warning|error)\b")
LABEL = re.compile(r'"\(?([a-z_]+)=\\?"')
EVENT = re.compile(r'"([a-z]+\.[a-z_]+)"')
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def sources():
    for folder in ("src", "apps"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".cpp", ".h"):
                yield path, path.read_text()


def joined(literals):
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals))


def closing(text, at):
    """Where the parenthesis that opens first after `at` is closed."""
    depth = 0
    for i in range(text.index("(", at), len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i
    return len(text)


def metrics_in_code():
    """{name: (kind, help, labels, room)}."""
    found = {}
    for path, text in sources():
        for m in COUNTER.finditer(text):
            name = joined(m[2])
            if not re.fullmatch(r"[a-z][a-z0-9_]+", name):
                continue
            # The labels stand in the call, or are put together a few lines above it.
            third = text[m.end() : closing(text, m.start())]
            labels = set(LABEL.findall(third))
            if not labels and third.lstrip().startswith(","):
                labels = set(LABEL.findall(text[max(0, m.start() - 700) : m.start()])[-1:])
            old = found.get(name)
            found[name] = (m[1], joined(m[3]), labels | (old[2] if old else set()), path.parent.name)
    return found


def events_in_code():
    found = {}
    for path, text in sources():
        for m in LEVEL.finditer(text):
            for name in EVENT.findall(text[m.end() : text.find(";", m.end())][:300]):
                found.setdefault(name, path)
        for name in re.findall(r'\{"event", "([a-z]+\.[a-z_]+)"\}', text):
            found.setdefault(name, path)
    return found


def metrics_table():
    lines = []
    room = None
    for name, (kind, text, labels, where) in sorted(metrics_in_code().items(), key=lambda item: (item[1][3], item[0])):
        if where != room:
            lines += ["", f"### {where}", "", "| name | kind | labels | meaning |", "| --- | --- | --- | --- |"]
            room = where
        lines.append(f"| `tandem_{name}` | {kind} | {', '.join(sorted(labels))} | {text[0].upper() + text[1:]} |")
    return "\n".join(lines[1:]) + "\n"


def block(text, name):
    begin, end = f"<!-- begin {name} (generated) -->\n", f"<!-- end {name} -->"
    at, until = text.find(begin), text.find(end)
    return (at + len(begin), until) if 0 <= at < until else None


def generated(file, name, wanted, write, problems):
    path = ROOT / file
    text = path.read_text()
    where = block(text, name)
    if not where:
        problems.append(f"{file}: the generated part '{name}' is missing")
    elif text[where[0] : where[1]] != wanted:
        if write:
            path.write_text(text[: where[0]] + wanted + text[where[1] :])
        else:
            problems.append(f"{file}: '{name}' is not what the code says; run tools/check_docs.py --write")


def check_events(problems):
    code = events_in_code()
    told = set(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", (ROOT / "docs/events.md").read_text(), re.M))
    problems += [f"docs/events.md: '{name}' of {code[name].relative_to(ROOT)} is missing" for name in sorted(set(code) - told)]
    problems += [f"docs/events.md: no code says '{name}'" for name in sorted(told - set(code))]
    if len(code) < 20:
        problems.append(f"only {len(code)} events found in the code: the search is broken")


def check_links(problems):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True)
    files = [ROOT / line for line in listed.stdout.split("\n") if line and (ROOT / line).exists()]
    for path in files:
        for a, b in LINK.findall(re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.S)):
            target = (a or b).split("#")[0]
            if target and "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
                problems.append(f"{path.relative_to(ROOT)}: the link to {target} leads nowhere")
    if len(files) < 10:
        problems.append(f"only {len(files)} documents found: the search is broken")


def check_rooms(problems):
    for room in sorted((ROOT / "src").iterdir()):
        if room.is_dir() and not (room / "README.md").exists():
            problems.append(f"src/{room.name} has no README.md")


def check_program(tandem, write, problems):
    reference = subprocess.run([tandem, "check", "--reference"], capture_output=True, text=True, timeout=60)
    generated("docs/configuration.md", "reference", reference.stdout, write, problems)
    example = subprocess.run([tandem, "check", "-c", str(ROOT / "deploy/tandem.yaml")], capture_output=True, text=True, timeout=60)
    if example.returncode:
        problems.append(f"deploy/tandem.yaml is refused:\n{example.stderr}")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--tandem", help="the program, for the configuration reference and the example file")
    args.add_argument("--write", action="store_true")
    args = args.parse_args()
    problems = []
    if len(metrics_in_code()) < 50:
        problems.append("few metrics found in the code: the search is broken")
    generated("docs/metrics.md", "metrics", metrics_table(), args.write, problems)
    check_events(problems)
    check_links(problems)
    check_rooms(problems)
    if args.tandem:
        check_program(str(pathlib.Path(args.tandem).resolve()), args.write, problems)
    print("\n".join(problems) if problems else "documents agree with the code")
    return 1 if problems else 0


sys.exit(main())
