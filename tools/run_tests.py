#!/usr/bin/env python3
"""Builds and runs every test, prints each failure, and closes with one line: N passed, N failed.

A test that could not run counts as failed unless this machine truly cannot run it; then the reason is printed."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOBS = int(os.environ.get("TANDEM_JOBS", os.cpu_count() or 2))
DIRS = {"release": "build", "asan": "build-asan", "tsan": "build-tsan"}
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": f"halt_on_error=0:exitcode=66:suppressions={ROOT}/tools/tsan.supp",
}


class Tally:
    def __init__(self):
        self.passed, self.failed, self.failures, self.cannot = 0, 0, [], []

    def add(self, name, ok, output=""):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append(name)
            print(f"FAILED {name}\n{output[-6000:]}", flush=True)


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def build(preset, targets=(), nice=0):
    folder = ROOT / DIRS[preset]
    start = time.monotonic()
    if not (folder / "build.ninja").exists():
        done = subprocess.run(["cmake", "--preset", preset], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            print(done.stdout[-3000:] + done.stderr[-3000:])
            return False
    done = subprocess.run(["nice", "-n", str(nice), "ninja", "-C", str(folder), "-j", str(JOBS), "--quiet", *targets],
                          capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-8000:] + done.stderr[-2000:])
    say(f"built {preset} in {time.monotonic() - start:.0f} s")
    return done.returncode == 0


def gtest(binary, label, tally, timeout):
    """One GoogleTest program; each of its tests counts."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        try:
            done = subprocess.run([str(binary), f"--gtest_output=json:{report.name}", "--gtest_brief=1"], cwd=ROOT,
                                  env={**os.environ, **SANITIZER_ENV}, capture_output=True, text=True, errors="replace",
                                  timeout=timeout)
        except subprocess.TimeoutExpired as late:
            return tally.add(f"{label} {binary.name} (ran past {timeout} s)", False, str(late.stdout or "")[-3000:])
        try:
            result = json.load(open(report.name))
        except ValueError:
            return tally.add(f"{label} {binary.name} (exit {done.returncode})", False, done.stdout + done.stderr)
    ran = result["tests"] - result.get("disabled", 0)
    bad = result["failures"] + result.get("errors", 0)
    skipped = [t["name"] for suite in result["testsuites"] for t in suite["testsuite"] if t.get("result") == "SKIPPED"]
    tally.passed += ran - bad - len(skipped)
    for name in skipped:
        tally.add(f"{label} {binary.name} {name} (skipped)", False, done.stdout)
    if bad:
        tally.failed += bad
        tally.failures.append(f"{label} {binary.name}: {bad}")
        print(f"FAILED {label} {binary.name}\n{(done.stdout + done.stderr)[-6000:]}", flush=True)
    elif done.returncode:  # a sanitizer's verdict after the last test
        tally.add(f"{label} {binary.name} (exit {done.returncode})", False, done.stdout + done.stderr)
    elif ran == 0:
        tally.add(f"{label} {binary.name} (no tests)", False, done.stdout)


def command(name, argv, tally, timeout=600):
    try:
        done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **SANITIZER_ENV}, capture_output=True, text=True,
                              errors="replace", timeout=timeout)
        tally.add(name, done.returncode == 0, done.stdout + done.stderr)
    except subprocess.TimeoutExpired as late:
        out = late.stdout or b""
        tally.add(f"{name} (ran past {timeout} s)", False, out.decode(errors="replace") if isinstance(out, bytes) else out)


def web_tests(tally):
    """Types and unit tests of the packages in web/; each test counts."""
    web = ROOT / "web"
    command("types of web/", ["npm", "run", "--silent", "check", "--prefix", str(web)], tally)
    for package in ("client", "console"):
        with tempfile.NamedTemporaryFile(suffix=".json") as report:
            done = subprocess.run(["npx", "vitest", "run", "--reporter=json", f"--outputFile={report.name}"], cwd=web / "packages" / package,
                                  capture_output=True, text=True, errors="replace", timeout=600)
            try:
                result = json.load(open(report.name))
            except ValueError:
                tally.add(f"web {package} (exit {done.returncode})", False, done.stdout + done.stderr)
                continue
        tally.passed += result["numPassedTests"]
        for file in result["testResults"]:
            for test in file["assertionResults"]:
                if test["status"] != "passed":
                    tally.add(f"web {package}: {test['fullName']}", False, "\n".join(test.get("failureMessages", [])))
        if done.returncode and not result["numFailedTests"]:
            tally.add(f"web {package} (exit {done.returncode})", False, done.stdout + done.stderr)


def interop(preset, tally, all_tests, only, scripts):
    """Each script in tests/interop prints `ok NAME`, `FAIL NAME: why` or `cannot NAME: why` lines and exits 0 or 1."""
    for script in scripts:
        if only and only not in script.name:
            continue
        argv = [sys.executable, str(script), "--tandem", str(ROOT / DIRS[preset] / "tandem")] + (["--all"] if all_tests else [])
        start = time.monotonic()
        try:
            done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **SANITIZER_ENV}, capture_output=True, text=True,
                                  errors="replace", timeout=900 if all_tests else 420)
            out, code = done.stdout + done.stderr, done.returncode
        except subprocess.TimeoutExpired as late:
            out, code = (late.stdout or b"").decode(errors="replace") if isinstance(late.stdout, bytes) else (late.stdout or ""), 1
        seen = 0
        for line in out.splitlines():
            word, _, rest = line.partition(" ")
            if word == "ok":
                tally.passed += 1
                seen += 1
            elif word == "FAIL":
                tally.add(f"{script.stem} {rest}", False)
                seen += 1
            elif word == "cannot":
                tally.cannot.append(f"{script.stem} {rest}")
                seen += 1
        if seen == 0 or (code and not any(f.startswith(script.stem) for f in tally.failures)):
            tally.add(f"{script.stem} (exit {code})", False, out)
        elif any(f.startswith(script.stem) for f in tally.failures):
            print(out[-6000:])
        say(f"{script.stem}: {seen} checks, {time.monotonic() - start:.0f} s")


def npm(folder, tally):
    """What package-lock.json names, when it is not there yet."""
    lock, there = folder / "package-lock.json", folder / "node_modules/.package-lock.json"
    if not there.exists() or there.stat().st_mtime < lock.stat().st_mtime:
        command(f"npm ci in {folder.relative_to(ROOT)}", ["npm", "ci", "--no-audit", "--no-fund", "--prefix", str(folder)], tally)


def interop_scripts():
    """All, and of these the ones that want the machine for themselves: who counts retransmissions cannot share the disk."""
    scripts = sorted((ROOT / "tests/interop").glob("test_*.py"))
    return scripts, [s for s in scripts if s.name == "test_sipp.py"]


def without_pages(scripts):
    """The console is built for release alone, and Chromium beside a sanitized program takes its time for nothing that is new."""
    pages = ("test_browser.py", "test_channels.py", "test_console.py", "test_softphone.py", "test_video_loss.py")
    return [s for s in scripts if s.name not in pages]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--all", action="store_true", help="add tsan, long simulations and everything slow")
    args.add_argument("--only", default="", help="unit and interop programs whose name contains this; nothing else")
    args.add_argument("--fuzz-seconds", type=int, default=0)
    args = args.parse_args()
    tally, start = Tally(), time.monotonic()

    # By default the unit tests run sanitized only: compiling them twice is a sixth of the whole run.
    plain = args.all or args.only
    units = (["release"] if plain else []) + ["asan"] + (["tsan"] if args.all else [])
    tally.add("build release", build("release", () if plain else ["programs"]))
    with concurrent.futures.ThreadPoolExecutor(1) as builder:
        # Conversations with other programs are mostly waiting: the compiler has what they leave, and no more.
        others = [(p, builder.submit(build, p, (), 19)) for p in units if p != "release"]
        if not args.only:
            command("format", ["./dev", "fmt", "--check"], tally)
            command("layers", [sys.executable, "tools/check_layers.py"], tally)
            command("docs", [sys.executable, "tools/check_docs.py", "--tandem", "build/tandem"], tally)
        npm(ROOT / "tests/browser", tally)
        npm(ROOT / "tests/channels", tally)
        if args.only in "web":
            web_tests(tally)
        scripts, alone = interop_scripts()
        say("interop, release")
        interop("release", tally, args.all, args.only, [s for s in scripts if s not in alone])
        for preset, built in others:
            tally.add(f"build {preset}", built.result())
    interop("release", tally, args.all, args.only, alone)
    if args.all:
        command("self-contained headers", [sys.executable, "tools/lint.py", "--headers"], tally)

    say("unit tests")
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for preset in units:
            for binary in sorted((ROOT / DIRS[preset]).glob("test_*")):
                if binary.is_file() and os.access(binary, os.X_OK) and args.only in binary.name:
                    pool.submit(gtest, binary, preset, tally, 300 if preset == "release" else 900)

    if not args.only:
        say("simulation")
        seeds = "1000" if args.all else "20"
        command(f"simulation, release, {seeds} seeds", [str(ROOT / "build/tandem_sim"), "--seeds", seeds, "--jobs", str(JOBS)], tally,
                7200 if args.all else 600)
        command("simulation, asan, 3 seeds", [str(ROOT / "build-asan/tandem_sim"), "--seeds", "3"], tally, 900)
        command("simulation finds planted faults", [str(ROOT / "build/tandem_sim"), "--faults"], tally, 1200)
        say("fuzz")
        seconds = args.fuzz_seconds or (60 if args.all else 10)
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            for target in sorted((ROOT / DIRS["asan"]).glob("fuzz_*")):
                if target.is_file() and os.access(target, os.X_OK):
                    pool.submit(command, f"fuzz {target.name}, {seconds} s",
                                [sys.executable, "tools/run_fuzz.py", "--seconds", str(seconds), "--only", target.name], tally,
                                seconds * 3 + 120)
    if args.all:
        say("interop, asan")
        interop("asan", tally, True, args.only, without_pages(scripts))
        command("package installs and starts in a clean root", ["./dev", "package"], tally, 1800)

    for line in tally.cannot:
        print(f"this machine cannot run: {line}")
    for name in tally.failures:
        print(f"failed: {name}")
    say(f"took {time.monotonic() - start:.0f} s")
    print(f"{tally.passed} passed, {tally.failed} failed", flush=True)
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


sys.exit(main())
