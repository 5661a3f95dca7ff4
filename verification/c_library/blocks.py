#!/usr/bin/env python3
"""Takes the programs out of a page, and compiles and runs each: blocks.py PAGE.md LIBFORQ.a DIRECTORY

A block of python, rust or c is a program; one marked "prelude" stands before all blocks of its language. In DIRECTORY/target cargo builds."""

import pathlib
import re
import shutil
import subprocess
import sys

page, library, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3])
root = pathlib.Path(__file__).resolve().parents[2]
text = page.read_text()
prelude = {"python": "", "rust": "", "c": ""}
programs = []
heading = ""
for found in re.finditer(r"^## (?P<heading>[^\n]*)$|^```(?P<language>python|rust|c)(?P<prelude> prelude)?\n(?P<code>.*?)^```$", text, re.M | re.S):
    if found["heading"]:
        heading = found["heading"]
    elif found["prelude"]:
        prelude[found["language"]] += found["code"]
    else:
        programs.append((heading, found["language"], prelude[found["language"]] + found["code"]))

sections = len(re.findall(r"^## ", text, re.M))
for language in prelude:
    here = sum(language == l for _, l, _ in programs)
    assert here == sections, f"{page}: {here} blocks of {language} in {sections} sections"

(folder / "src/bin").mkdir(parents=True, exist_ok=True)
(folder / "Cargo.toml").write_text(
    f'[package]\nname = "blocks"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\nforq = {{ path = "{root}" }}\n\n'
    "[profile.dev]\nopt-level = 1\ndebug = false\n\n[workspace]\n"
)
# The versions that forq is tested with.
shutil.copy(root / "Cargo.lock", folder)
commands = []
for number, (heading, language, code) in enumerate(programs):
    name = f"b{number}"
    if language == "rust":
        (folder / f"src/bin/{name}.rs").write_text(code)
        command = [folder / "target/debug" / name]
    elif language == "c":
        (folder / f"{name}.c").write_text(code)
        command = [folder / name]
        strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"]
        subprocess.run(["gcc", *strict, f"-I{root}/include", f"{folder}/{name}.c", library, "-pthread", "-o", command[0]], check=True)
    else:
        (folder / f"{name}.py").write_text(code)
        command = [sys.executable, folder / f"{name}.py"]
    commands.append((heading, language, command))
subprocess.run(["cargo", "build", "--quiet", "-j2", "--manifest-path", folder / "Cargo.toml", "--target-dir", folder / "target"], check=True)

failed = 0
for heading, language, command in commands:
    # Far above what any takes: it only ends what hangs.
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if ran.returncode != 0:
        failed += 1
        print(f"FAIL {heading}, {language}: {ran.returncode}\n{ran.stdout}{ran.stderr}")
    elif "speed-up" in ran.stdout or "wait" in ran.stdout:
        print(f"   {heading}, {language}: {ran.stdout.strip().splitlines()[0]}")
print(f"   {page.name}: {len(commands)} programs, {failed} failed")
sys.exit(failed > 0)
