//! Does a newcomer find what there is, and is it said what a file is that was given in another's place?

use crate::cli::Desk;

#[test]
fn what_init_writes_validates() {
    let desk = Desk::new();
    for what in ["experiment", "suite", "card"] {
        let file = format!("{what}.toml");
        desk.expect(&["init", what], 0, &[&format!("now `fedbench validate {file}`")]);
        desk.expect(&["validate", &file], 0, &["valid"]);
        desk.expect(&["init", what], 2, &["is there already"]);
        desk.expect(&["init", what, "--out", "-"], 0, &["# "]);
    }
    desk.expect(&["validate", "suite.toml"], 0, &["suite.toml is a valid suite: 15 runs (5 experiments x 3 seeds)"]);
    desk.expect(&["validate", "card.toml"], 0, &["is a valid card; its files are not there yet"]);
}

#[test]
fn a_file_of_another_kind_is_named() {
    let desk = Desk::new();
    ["experiment", "suite", "card"].iter().for_each(|what| drop(desk.expect(&["init", what], 0, &[])));
    desk.expect(&["run", "suite.toml"], 2, &["this is a suite: `fedbench suite suite.toml` runs it; expected an experiment"]);
    desk.expect(&["run", "card.toml"], 2, &["this is a card: an experiment names it by `dataset = \"card.toml\"`"]);
    desk.expect(
        &["suite", "experiment.toml"],
        2,
        &["this is an experiment: `fedbench run experiment.toml` runs it; expected a suite"],
    );
    desk.expect(&["suite", "suite.toml", "--set", "federation.round=1", "--plan"], 2, &["unknown key `round`"]);
}

#[test]
fn a_card_says_all_that_it_lacks() {
    let desk = Desk::new();
    desk.write("card.toml", "name = \"mine\"\n[columns]\nquestion = \"q\"\n");
    let texts = [
        "keys are missing",
        "`columns.answer` (a text)",
        "`metric` (a text)",
        "`splits` (a section)",
        "`scoring` (`option-likelihood`",
    ];
    desk.expect(&["validate", "card.toml"], 2, &texts);
}

#[test]
fn suites_are_listed_printed_and_validated() {
    let desk = Desk::new();
    let listed = desk.expect(&["list", "suites"], 0, &["quickstart\n", "24 runs", "baselines/configs/suites/ci.toml"]);
    assert!(baselines::SUITES.iter().all(|(name, _)| listed.contains(&format!("{name}\n"))), "{listed}");
    let (_, text) = baselines::SUITES.iter().find(|(name, _)| *name == "ci").expect("a suite");
    assert!(desk.expect(&["suite", "ci", "--print"], 0, &[]).starts_with(text.trim_end()));
    desk.expect(&["validate", "ci"], 0, &["ci is a valid suite"]);
    let planned = desk.expect(&["suite", "ci", "tune", "--split", "validation", "--plan"], 0, &["plan: ", "search"]);
    assert!(!desk.path().join("runs").exists(), "{planned}");
}

#[test]
fn shells_and_manuals_know_the_commands() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        desk.expect(&["completions", shell], 0, &["validate", "quickstart", "no-verify"]);
    }
    desk.expect(&["man"], 0, &[".TH fedbench 1", "quickstart"]);
    desk.expect(&["man", "--out", "pages"], 0, &["pages in pages"]);
    let page = std::fs::read_to_string(desk.path().join("pages/fedbench-data-import.1")).expect("a page");
    assert!(page.contains("\\-\\-test\\-share"), "{page}");
    desk.expect(&["help", "validate"], 0, &["Everything that can be known", "--set <KEY=VALUE>"]);
    desk.expect(&["help", "data", "import"], 0, &["--pictures <FOLDER>"]);
}

/// Lines that wrap are read by nobody: what a run says while it runs has 80 columns, whatever it moves.
#[test]
fn an_evaluation_says_how_far_it_is_and_how_sure() {
    let desk = Desk::new();
    let eval = ["eval", "--backbone", "nano", "--dataset", "icongen", "--limit", "30", "--out", "eval"];
    let said = desk.expect(&eval, 0, &["30 examples, ", "pictures to see", "(standard error) on 30 examples"]);
    assert!(said.contains(" ± "), "{said}");
    let quiet = desk.expect(&[&eval[..7], &["--out", "again", "--quiet"]].concat(), 0, &["accuracy"]);
    assert!(!quiet.contains("to see"), "{quiet}");
    let kept = std::fs::read_to_string(desk.path().join("eval/evaluation.json")).expect("kept");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    let (p, n) = (kept["accuracy"].as_f64().expect("a share"), 30.0_f64);
    let error = kept["standard_error"].as_f64().expect("an error");
    assert!((error - (p * (1.0 - p) / (n - 1.0)).sqrt()).abs() < 1e-12, "that of a share: {error}");
    desk.write("x.toml", crate::cli::MINIMAL);
    let run = desk.expect(&["run", "x.toml", "--set", "federation.rounds=1"], 0, &["round   1"]);
    let round = run.lines().find(|line| line.contains("round   1")).expect("a line");
    assert!(round.chars().count() <= 80, "{round}");
}

/// What is written from the types is what they say now: `fedbench reference --out docs`.
#[test]
fn the_reference_is_not_stale() {
    let desk = Desk::new();
    desk.expect(&["reference", "--out", "docs"], 0, &["docs/REFERENCE.md"]);
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for file in ["REFERENCE.md", "schema/card.schema.json", "schema/experiment.schema.json", "schema/suite.schema.json"] {
        let read = |root: &std::path::Path| std::fs::read_to_string(root.join(file)).expect(file);
        assert!(read(&kept) == read(&desk.path().join("docs")), "docs/{file} is stale: `fedbench reference --out docs`");
    }
    desk.expect(&["reference", "card"], 0, &["## The card", "`closed-set`", "needed"]);
    let schema = desk.expect(&["reference", "experiment", "--json-schema"], 0, &["local_steps"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    assert_eq!(schema["required"], serde_json::json!(["data", "method"]));
    desk.expect(&["reference", "outputs", "--json-schema"], 2, &["card, experiment, suite"]);
}
