"""What answering without pictures reaches on real data: the most frequent training answer to the same question.

Where a question has options, the one that was right most often for this question in train; of equals the one that was right the most
often when it was shown, then the first. Needs pyarrow. FOLDER is the one that FEDBENCH_DATA names.

    python lookup.py FOLDER > lookup.csv
"""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as parquet


def rows(folder: Path, split: str, columns: list[str]) -> list[dict]:
    return [row for path in sorted(folder.glob(f"{split}-*.parquet")) for row in parquet.read_table(path, columns=columns).to_pylist()]


def text(row: dict) -> str:
    return row["choices"][row["answer"]] if "choices" in row else row["answer"]


def lookup(folder: Path, columns: list[str]) -> tuple[int, int, int]:
    """Test rows, those whose question stands in train, those answered right."""
    train, test = rows(folder, "train", columns), rows(folder, "test", columns)
    answers, right, shown = defaultdict(Counter), Counter(), Counter()
    for row in train:
        answers[row["question"]][text(row)] += 1
        right[text(row)] += 1
        shown.update(row.get("choices", []))
    hits = 0
    for row in test:
        known = answers.get(row["question"], Counter())
        if "choices" in row:
            options = row["choices"]
            prior = [(right[option] + 0.5) / (shown[option] + 1) for option in options]
            best = max(range(len(options)), key=lambda i: (known[options[i]], prior[i], -i))
            hits += best == row["answer"]
        else:
            hits += bool(known) and known.most_common(1)[0][0] == row["answer"]
    return len(test), sum(row["question"] in answers for row in test), hits


if __name__ == "__main__":
    print("dataset,test_rows,questions_in_train,right,accuracy_fraction")
    for name, columns in [("scienceqa-img-resplit", ["question", "choices", "answer"]), ("easy-vqa", ["question", "answer"])]:
        count, known, hits = lookup(Path(sys.argv[1]) / name, columns)
        print(f"{name},{count},{known},{hits},{hits / count:.6f}")
