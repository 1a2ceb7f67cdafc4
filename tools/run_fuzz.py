#!/usr/bin/env python3
"""Runs the libFuzzer targets, each for a while over a copy of its corpus; a crash is kept in build-asan/crashes."""
import argparse
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--seconds", type=int, default=10)
    args.add_argument("--only", default="")
    args = args.parse_args()
    crashes = ROOT / "build-asan/crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    bad = ran = 0
    for target in sorted((ROOT / "build-asan").glob("fuzz_*")):
        if not target.is_file() or args.only not in target.name:
            continue
        name = target.name[len("fuzz_"):]
        seeds = ROOT / "fuzz/corpus" / name
        with tempfile.TemporaryDirectory() as work:
            argv = [str(target), f"-max_total_time={args.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192",
                    "-print_final_stats=1", f"-artifact_prefix={crashes}/{name}-", work] + ([str(seeds)] if seeds.is_dir() else [])
            done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
        ran += 1
        runs = next((l.split()[-1] for l in done.stderr.splitlines() if "number_of_executed_units" in l), "0")
        print(f"{'ok' if done.returncode == 0 else 'CRASH'} {target.name}: {runs} inputs in {args.seconds} s", flush=True)
        if done.returncode:
            bad += 1
            print(done.stderr[-5000:])
    if ran == 0:
        print("no fuzz target was built")
    return 1 if bad or ran == 0 else 0


sys.exit(main())
