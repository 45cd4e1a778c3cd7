#!/usr/bin/env bash
# A newcomer's way from a table and pictures to a report, in eight commands: tests/newcomer.sh PROGRAM FOLDER [MORE...]
#
# FOLDER has questions.csv (columns picture, question, answer, and others if one likes) with the pictures below it. MORE goes to the suite, so
# that a test can make it small. tests/newcomer.rs runs this, and counts the commands and the minutes.
set -euo pipefail
fedbench=$(realpath "$1")
cd "$2"
shift 2

# 1. Make a dataset of the table; what was guessed is said.
"$fedbench" data import csv questions.csv --out mine
# 2. Look at it.
"$fedbench" data inspect mine
# 3. Can the embedded backbone do it without learning?
"$fedbench" eval --backbone nano --dataset ./mine --out zero-shot
# 4. A comparison of methods to begin with,
"$fedbench" init suite --out mine.toml
# 5. about this dataset:
sed -i 's|dataset = "icongen"|dataset = "./mine"|' mine.toml
# 6. Is it sound, and what would it take?
"$fedbench" validate mine.toml
# 7. Run it: three methods, two partitions, three seeds.
"$fedbench" suite mine.toml --out runs "$@"
# 8. Tables, pictures and a page.
"$fedbench" report runs --out report
