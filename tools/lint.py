#!/usr/bin/env python3
"""Layers, self-contained headers, and clang-tidy as errors on the files changed since a base commit."""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOBS = int(os.environ.get("TANDEM_JOBS", os.cpu_count() or 2))


def header_alone(header):
    """Does this header compile when it is the only include?"""
    argv = ["g++", "-std=c++20", f"-I{ROOT}/src", f"-I{ROOT}/build/proto", "-fsyntax-only", "-x", "c++", "-"]
    done = subprocess.run(argv, input=f'#include "{header.relative_to(ROOT / "src")}"\n', capture_output=True, text=True)
    return header, done.stderr if done.returncode else ""


def headers():
    found = sorted((ROOT / "src").rglob("*.h"))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        bad = [(h, err) for h, err in pool.map(header_alone, found) if err]
    for header, err in bad:
        print(f"{header.relative_to(ROOT)} does not compile alone:\n{err[:1500]}")
    print(f"headers: {len(found)} checked, {len(bad)} not self-contained")
    return not bad and bool(found)


def tidy(path):
    done = subprocess.run(["clang-tidy-14", "-p", str(ROOT / "build"), "--quiet", path], cwd=ROOT, capture_output=True, text=True)
    return path, done.stdout if done.returncode else ""


def main():
    args = argparse.ArgumentParser()
    args.add_argument("base", nargs="?", default="HEAD~1")
    args.add_argument("--headers", action="store_true", help="only the self-contained headers")
    args.add_argument("--everything", action="store_true", help="clang-tidy on every file")
    args = args.parse_args()
    ok = headers()
    if args.headers:
        return 0 if ok else 1
    ok = subprocess.run([sys.executable, "tools/check_layers.py"], cwd=ROOT).returncode == 0 and ok
    if args.everything:
        names = subprocess.run(["git", "ls-files", "src", "apps"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    else:
        names = subprocess.run(["git", "diff", "--name-only", "--diff-filter=d", args.base, "--", "src", "apps"], cwd=ROOT,
                               capture_output=True, text=True).stdout.split()
    styled = [n for n in names if n.endswith((".cpp", ".h"))]
    if styled:
        ok = subprocess.run(["clang-format-14", "--dry-run", "--Werror", *styled], cwd=ROOT).returncode == 0 and ok
    names = [n for n in names if n.endswith(".cpp")]
    if not (ROOT / "build/compile_commands.json").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, capture_output=True)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for path, out in pool.map(tidy, names):
            if out:
                ok = False
                print(out)
    print(f"clang-tidy: {len(names)} files")
    return 0 if ok else 1


sys.exit(main())
