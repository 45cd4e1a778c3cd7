//! The whole crate on small run folders, made here.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use schema::metrics::Reported;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::Fixture;
use crate::{Format, Report, ReportError};

/// 2 methods x 2 datasets x 3 seeds.
fn study(root: &Path) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for (dataset, offset) in [("icongen", 0.0), ("shapes-qa", 0.1)] {
        for seed in 1..=3 {
            let spread = 0.1 * (seed as f64 - 2.0);
            dirs.push(Fixture::new(dataset, "fednano", seed, 0.6 + offset + spread).write(root));
            dirs.push(Fixture::new(dataset, "fedavg-nano", seed, 0.5 + offset).write(root));
        }
    }
    dirs
}

fn read(root: &TempDir) -> Report {
    Report::read(&[root.path().into()]).unwrap()
}

/// A section of the Markdown: what stands between its heading and the next.
fn section<'a>(markdown: &'a str, title: &str) -> &'a str {
    let start = markdown.find(&format!("# {title}\n")).unwrap_or_else(|| panic!("no section {title} in\n{markdown}"));
    let body = markdown[start..].split_once('\n').unwrap().1;
    body.split("\n#").next().unwrap()
}

fn table(markdown: &str, title: &str) -> String {
    section(markdown, title).lines().filter(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn accuracy_is_a_table_of_methods_and_datasets() {
    let root = TempDir::new().unwrap();
    study(root.path());
    let expect = "\
| method      |                  icongen (% ↑) |                shapes-qa (% ↑) |
| ----------- | -----------------------------: | -----------------------------: |
| fedavg-nano |  50.0 ± 0.0 \\[50.0, 50.0\\] (3) |  60.0 ± 0.0 \\[60.0, 60.0\\] (3) |
| fednano     | 60.0 ± 10.0 \\[35.2, 84.8\\] (3) | 70.0 ± 10.0 \\[45.2, 94.8\\] (3) |
| chance      |                           25.0 |                           25.0 |
| majority    |                           30.0 |                           30.0 |
";
    assert_eq!(table(&read(&root).markdown(), "Accuracy"), expect);
}

#[test]
fn the_other_tables() {
    let root = TempDir::new().unwrap();
    study(root.path());
    let markdown = read(&root).markdown();
    let row = |title: &str, row: usize| table(&markdown, title).lines().nth(row).unwrap().replace("  ", "").to_string();
    assert!(row("Clients", 2).contains("50.0 ± 0.0 |") && row("Clients", 2).contains("40.0 ± 0.0"), "{}", row("Clients", 2));
    assert!(row("Storage", 2).contains("304.56M") && row("Storage", 2).contains("4.31"), "{}", row("Storage", 2));
    assert!(row("Storage", 2).contains("456.61M") && row("Storage", 2).contains("6.46"), "{}", row("Storage", 2));
    for cell in ["1.05M", "2.0 MiB", "1.0 MiB", "1.0 KiB", "512 B", "3.0 MiB"] {
        assert!(row("Communication", 2).contains(cell), "{}", row("Communication", 2));
    }
    assert!(row("Cost", 2).contains("12.5 ± 0.0") && row("Cost", 2).contains("1.0 GiB"), "{}", row("Cost", 2));
    let expect = "\
| round | fedavg-nano | fednano |
| ----: | ----------: | ------: |
|     1 |        25.0 |    30.0 |
|     2 |        50.0 |    60.0 |
";
    let by_round = &markdown[markdown.find("# Accuracy by round").unwrap()..];
    assert_eq!(table(by_round, "icongen"), expect);
}

#[test]
fn comparisons_are_paired_by_seed_and_example() {
    let root = TempDir::new().unwrap();
    study(root.path());
    let header = "|dataset|method|reference|difference(points)|seeds|95%interval(points)|p(Holm)|verdict|detectable(points)|pairs|b|c|McNemarp(Holm)|";
    let report = read(&root);
    let shown = table(&report.markdown(), "Paired comparison");
    // fednano minus fedavg-nano on icongen: 0, +1 and +2 of ten right.
    assert!(
        shown.contains("| icongen   | fednano | fedavg-nano |        +10.0 ± 10.0 |     3 |         +0.0 to +33.3 |   0.5908 | no difference |                31.3 |    30 |   3 |   0 |           0.5000 |"),
        "{shown}"
    );
    assert_eq!(shown.lines().next().unwrap().replace(' ', ""), header);
    let counts = report.comparisons[0].paired.mcnemar.unwrap();
    assert_eq!((counts.pairs, counts.unpaired, counts.b, counts.c), (30, 0, 3, 0));
    assert!((counts.p.unwrap() - 0.25).abs() < 1e-12, "{:?}", counts.p);
}

/// 100 examples, three seeds: the method gets what the reference gets and `more` besides.
fn compared(more: usize, own: bool) -> crate::paired::Paired {
    let root = TempDir::new().unwrap();
    for seed in 1..=3 {
        for (method, right) in [("fedavg-nano", 40), ("fednano", 40 + more)] {
            let mut fixture = Fixture::new("icongen", method, seed, right as f64 / 100.0);
            fixture.correct = (0..100).map(|example| example < right).collect();
            fixture.scoring = vec!["option-likelihood"; 100];
            fixture.test_examples = 100;
            fixture.client = (own && method == "fednano").then_some(4);
            fixture.write(root.path());
        }
    }
    read(&root).comparisons.swap_remove(0).paired
}

#[test]
fn verdicts_need_an_interval_and_a_corrected_p() {
    use crate::paired::Verdict::{Better, NoDifference, NotAfterHolm, Worse};
    let sure = compared(20, false);
    assert_eq!(sure.verdict, Better);
    let interval = sure.interval.unwrap();
    assert!(interval.low > 0.1 && interval.high < 0.3, "{interval:?}");
    assert_eq!(compared(0, false).verdict, NoDifference);
    // A client's own answers are compared too, but no pairs of right and wrong are counted.
    let own = compared(20, true);
    assert_eq!((own.verdict, own.mcnemar, own.interval), (Better, None, sure.interval));
    // Five in a hundred are seen alone, and not among forty comparisons.
    let mut alone = compared(5, false);
    assert_eq!(alone.verdict, Better, "{alone:?}");
    let mut others: Vec<_> = (0..39).map(|_| compared(0, false)).collect();
    crate::paired::correct(&mut std::iter::once(&mut alone).chain(&mut others).collect::<Vec<_>>());
    assert_eq!(alone.verdict, NotAfterHolm, "{alone:?}");
    let mut worse = compared(20, false);
    worse.interval = worse.interval.map(|i| crate::bootstrap::Interval { low: -i.high, high: -i.low });
    crate::paired::correct(&mut [&mut worse]);
    assert_eq!(worse.verdict, Worse);
}

#[test]
fn a_good_study_has_no_warnings() {
    let root = TempDir::new().unwrap();
    study(root.path());
    assert_eq!(read(&root).warnings, []);
}

#[test]
fn one_seed_has_no_deviation() {
    let root = TempDir::new().unwrap();
    Fixture::new("icongen", "fednano", 1, 0.5).write(root.path());
    Fixture::new("icongen", "zero-shot", 1, 0.2).write(root.path());
    let report = read(&root);
    let markdown = report.markdown();
    assert!(table(&markdown, "Accuracy").contains("| 50.0 ±n/a (1) |"), "{markdown}");
    assert!(table(&markdown, "Paired comparison").contains("+30.0 ±n/a | 1 (fewer than 3) |"), "{markdown}");
    let shown = bare(&table(&markdown, "Paired comparison"));
    // No interval, p, or detectable difference; counts of pairs, and no p of these.
    assert!(shown.contains("|–|–|one seed: no verdict|–|10|3|0|–|"), "{shown}");
    assert!(markdown.contains("One seed says nothing of others"), "{markdown}");
    assert!(report.csv().contains(",accuracy,fraction,higher,0.5,,,,1\n"), "{}", report.csv());
    assert_eq!(report.warnings[0].message, "fewer than 3 seeds: zero-shot on icongen (1), fednano on icongen (1)");
}

/// A table without the room around its cells.
fn bare(table: &str) -> String {
    let line = |line: &str| line.split('|').map(str::trim).collect::<Vec<_>>().join("|");
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_guessing_pictures_and_lengths_are_worth_stands_beside_accuracies() {
    let root = TempDir::new().unwrap();
    for seed in 1..=3 {
        let blind = 0.125 * (1 + seed) as f64;
        let says = json!({ "lookup_accuracy": 0.45, "blind_accuracy": blind, "accuracy_per_byte": 0.6, "shortest_option_chosen": 0.7,
                           "shortest_option_right": 0.4, "client_accuracy_over_rows": 0.55 });
        let records = vec![(2, None, "blind_accuracy", blind)];
        Fixture { says, records, ..Fixture::new("icongen", "fednano", seed, 0.5) }.write(root.path());
        Fixture::new("icongen", "local", seed, 0.5).write(root.path());
        Fixture::new("shapes", "local", seed, 0.5).write(root.path());
    }
    let report = read(&root);
    let markdown = report.markdown();
    let plain = |title: &str| bare(&table(&markdown, title));
    assert!(plain("Accuracy").contains("|lookup|45.0|–|"), "{}", plain("Accuracy"));
    let shown = plain("Without pictures");
    assert!(shown.contains("|icongen|fednano|50.0 ± 0.0|37.5 ± 12.5|12.5 ± 12.5|-18.6 to +43.6|"), "{shown}");
    assert!(shown.contains("|icongen|local|–|–|–|–|"), "{shown}");
    assert!(plain("Ranking of options").contains("|60.0 ± 0.0|70.0 ± 0.0|40.0 ± 0.0|"), "{}", plain("Ranking of options"));
    assert!(plain("Clients").contains("|5.0 ± 0.0|55.0 ± 0.0|"), "{}", plain("Clients"));
    assert!(report.json().contains("\"pictures_worth\""), "{}", report.json());
}

#[test]
fn unequal_numbers_of_parameters_are_a_warning() {
    let said = |of_rival: u64| {
        let root = TempDir::new().unwrap();
        let rival = Fixture::new("icongen", "local", 1, 0.5);
        Fixture { says: json!({ "trainable_parameters": of_rival }), ..rival }.write(root.path());
        Fixture { says: json!({ "trainable_parameters": 4096 }), ..Fixture::new("icongen", "fednano", 1, 0.5) }
            .write(root.path());
        read(&root).warnings.into_iter().find(|warning| warning.kind == "unequal-parameters")
    };
    assert_eq!(said(6144), None);
    let warning = said(6145).unwrap();
    let message = "trained parameters differ by more than 1.5 times on icongen: local 6145, fednano 4096";
    assert_eq!((warning.message.as_str(), warning.concerns.len()), (message, 2));
}

const SEARCH: &str = "[tuned]\nchosen = { \"optimizer.learning_rate\" = 0.003 }\nsplit = \"validation\"\nseeds = [101]\nscore = \"accuracy\"\n\
                      value = 0.5\nsettings = 6\nruns = 23\nclient_steps = 100\nprotocol = \"five rates\"\n";

#[test]
fn methods_that_were_not_tuned_alike_are_a_warning_and_rates_are_shown() {
    let report = |rival: &'static str| {
        let root = TempDir::new().unwrap();
        Fixture { tuned: rival, ..Fixture::new("icongen", "local", 1, 0.5) }.write(root.path());
        Fixture { tuned: SEARCH, ..Fixture::new("icongen", "fednano", 1, 0.5) }.write(root.path());
        read(&root)
    };
    let said =
        |report: &Report| report.warnings.iter().find(|warning| warning.kind == "not-tuned-alike").map(|w| w.message.clone());
    let alike = report(SEARCH);
    assert_eq!(said(&alike), None);
    let shown = bare(&table(&alike.markdown(), "Tuning"));
    assert!(shown.contains("|on validation: 6 settings, 23 runs|"), "{shown}");
    let unlike = report("");
    assert_eq!(said(&unlike).unwrap(), "not tuned alike on icongen: local not at all, fednano on validation");
    assert!(bare(&table(&unlike.markdown(), "Tuning")).contains("|no|"), "{}", unlike.markdown());
    // The same words by another protocol, and a value at the end of what was tried.
    let other = Box::leak(SEARCH.replace("five rates", "six rates").into_boxed_str());
    assert!(said(&report(other)).is_some());
    let edge = report(Box::leak(format!("{SEARCH}at_edge = true\n").into_boxed_str()));
    assert!(
        edge.warnings.iter().any(|w| w.kind == "tuned-at-edge" && w.message.ends_with("local on icongen")),
        "{:?}",
        edge.warnings
    );
}

#[test]
fn the_order_of_folders_changes_nothing() {
    let root = TempDir::new().unwrap();
    let mut dirs = study(root.path());
    let forward = Report::read(&dirs).unwrap();
    dirs.reverse();
    dirs.push(root.path().into()); // every run a second time
    let backward = Report::read(&dirs).unwrap();
    assert_eq!(forward.markdown(), backward.markdown());
    assert_eq!(forward.json(), backward.json());
    assert_eq!(forward.runs_csv(), backward.runs_csv());
}

#[test]
fn methods_stand_in_their_order() {
    let root = TempDir::new().unwrap();
    for method in ["centralized", "fedprox", "local", "other", "fedavg-lora", "zero-shot"] {
        Fixture::new("icongen", method, 1, 0.5).write(root.path());
    }
    let shown = table(&read(&root).markdown(), "Accuracy");
    let methods: Vec<&str> = shown.lines().skip(2).map(|line| line.split('|').nth(1).unwrap().trim()).collect();
    assert_eq!(methods, ["zero-shot", "local", "fedavg-lora", "fedprox", "other", "centralized", "chance", "majority"]);
}

#[test]
fn different_experiments_are_not_averaged_and_say_what_differs() {
    let root = TempDir::new().unwrap();
    for rounds in [2, 5] {
        let base = Fixture::new("icongen", "fednano", 1, 0.1 * f64::from(rounds));
        Fixture { rounds, ..base }.write(root.path());
    }
    let shown = table(&read(&root).markdown(), "Accuracy");
    assert!(shown.contains("| fednano (federation.rounds=2) | 20.0 ±n/a (1) |"), "{shown}");
    assert!(shown.contains("| fednano (federation.rounds=5) | 50.0 ±n/a (1) |"), "{shown}");
}

#[test]
fn doubts_are_warnings() {
    let root = TempDir::new().unwrap();
    let base = Fixture::new("icongen", "fednano", 1, 0.5);
    let mut scoring = vec!["option-likelihood"; 10];
    scoring[..2].fill("generation");
    let skipped = json!([{ "split": "test", "row": 3, "reason": "no image" }]);
    Fixture { steps: 31, scoring, skipped, dirty: true, data_keys: "test_limit = 10", ..base }.write(root.path());
    Fixture::new("icongen", "local", 1, 0.5).write(root.path());
    let unfinished = root.path().join("unfinished");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("experiment.toml"), "").unwrap();
    let markdown = read(&root).markdown();
    let warnings = section(&markdown, "Warnings");
    for line in [
        "- unfinished runs, not reported: ",
        "- fewer than 3 seeds: local on icongen (1), fednano on icongen (1)",
        "- unequal optimizer steps on icongen: local 30, fednano 31",
        "- answered by option likelihood and by generation in one run: icongen (8 and 2)",
        "- only a part of the data: test_limit = 10 on icongen",
        "- rows of the data left out: icongen (1)",
        "- answers that could not be parsed (counted as wrong): fednano on icongen (2 of 10)",
        "- 1 of 2 runs were made by a build with uncommitted changes",
    ] {
        assert!(warnings.contains(line), "no {line:?} in\n{warnings}");
    }
}

/// Only where runs of one dataset say that different kernels multiplied; what old runs went through nobody knows.
#[test]
fn mixed_kernels_are_a_warning() {
    let root = TempDir::new().unwrap();
    for (seed, kernel) in [(1, Some("avx512-bf16")), (2, Some("avx512-bf16")), (3, None)] {
        Fixture { kernel, ..Fixture::new("icongen", "fednano", seed, 0.5) }.write(root.path());
    }
    Fixture { kernel: Some("gemm-fma, widened"), ..Fixture::new("shapes", "fednano", 1, 0.5) }.write(root.path());
    let said = |root: &TempDir| read(root).warnings.iter().find(|warning| warning.kind == "mixed-kernels").cloned();
    assert_eq!(said(&root), None);
    Fixture { kernel: Some("avx512, widened"), ..Fixture::new("icongen", "local", 1, 0.5) }.write(root.path());
    let warning = said(&root).unwrap();
    assert!(warning.message.contains("on icongen") && warning.message.ends_with(": bf16 weights (avx512, widened; avx512-bf16)"));
    assert_eq!(warning.concerns.len(), 2, "{warning:?}: both groups of icongen");
    let provenance = section(&read(&root).markdown(), "Provenance").to_owned();
    assert!(provenance.contains("- kernels: bf16 weights by avx512, widened, bf16 weights by avx512-bf16"), "{provenance}");
}

#[test]
fn a_repeated_seed_counts_once() {
    let root = TempDir::new().unwrap();
    Fixture::new("icongen", "fednano", 1, 0.5).write(&root.path().join("a"));
    Fixture::new("icongen", "fednano", 1, 0.6).write(&root.path().join("b"));
    let report = read(&root);
    assert_eq!((report.runs.len(), report.groups[0].stat(Reported::Accuracy).mean), (1, 0.5));
    assert!(report.warnings[0].message.ends_with("(DIFFERENT accuracy)"), "{:?}", report.warnings);
}

#[test]
fn hostile_names_stay_in_their_cells() {
    let root = TempDir::new().unwrap();
    Fixture::new("ic|on\n# <b>gen", "fed\u{1b}[31m`x`", 1, 0.5).write(root.path());
    let report = read(&root);
    let shown = table(&report.markdown(), "Accuracy");
    assert!(shown.starts_with("| method         | ic\\|on # &lt;b&gt;gen (% ↑) |\n"), "{shown}");
    assert!(shown.contains("| fed \\[31m\\`x\\` |"), "{shown}");
    assert!(!report.terminal().contains('\u{1b}'));
    let csv = report.runs_csv();
    let rows: Vec<_> = csv::Reader::from_reader(csv.as_bytes()).into_records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[0][5]), (1, "ic|on\\n# <b>gen"), "the name's line break is spelled out");
}

#[test]
fn errors_name_the_file() {
    let check = |spoil: &dyn Fn(&Path), expect: &str| {
        let root = TempDir::new().unwrap();
        let dir = Fixture::new("icongen", "fednano", 1, 0.5).write(root.path());
        spoil(&dir);
        let error = Report::read(&[root.path().into()]).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    for file in ["experiment.toml", "environment.json", "records.parquet", "predictions.parquet", "skipped.json"] {
        check(&|dir| fs::remove_file(dir.join(file)).unwrap(), file);
    }
    check(&|dir| fs::write(dir.join("summary.json"), "{}").unwrap(), "summary.json: missing field");
    check(&|dir| fs::write(dir.join("records.parquet"), "x").unwrap(), "records.parquet: ");
    let swapped = |dir: &Path| assert!(fs::copy(dir.join("records.parquet"), dir.join("predictions.parquet")).unwrap() > 0);
    check(&swapped, "no column `example`");
    check(&|dir| fs::remove_file(dir.join("summary.json")).unwrap(), "no finished run");
    let missing = Report::read(&["/nonexistent/runs".into()]).unwrap_err();
    assert!(matches!(missing, ReportError::NoFolder { .. }) && missing.to_string().contains("/nonexistent/runs"), "{missing}");
}

#[test]
fn files_are_written_whole() {
    let root = TempDir::new().unwrap();
    study(&root.path().join("runs"));
    let report = read(&root);
    let out = root.path().join("report");
    let files = report.write(&out, Format::ALL).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    let sheets =
        |ending: &str| ["report", "configurations", "targets", "rounds", "clients"].map(|name| format!("{name}.{ending}"));
    let text = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let files = [
        &text(&["report.md"])[..],
        &sheets("csv"),
        &text(&["runs.csv", "report.json"]),
        &sheets("parquet"),
        &text(&["report.tex", "report.html"]),
    ];
    let files = files.concat();
    assert_eq!(names[..files.len()], files);
    assert_eq!(fs::read_dir(&out).unwrap().count(), files.len() + 1, "nothing is left aside");
    let drawn = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).count();
    assert!(drawn(".svg") > 3 && drawn(".svg") == drawn(".png"), "{names:?}");
    let markdown = fs::read_to_string(out.join("report.md")).unwrap();
    for link in markdown.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(out.join(link).is_file(), "{link}");
    }
    assert_eq!(report.runs_csv().lines().count(), 13);
    for (csv, columns) in [
        (report.runs_csv(), [",rounds,", ",accuracy_fraction,", ",uplink_bytes,", ",privacy_epsilon_nats,"]),
        (
            report.configurations_csv(),
            [",seeds,", ",accuracy_fraction_mean,", ",wall_seconds_sd,", ",client_share_paper_fraction_sd,"],
        ),
    ] {
        let header = csv.lines().next().unwrap();
        assert!(columns.iter().all(|column| header.contains(column)), "{header}");
        assert!(!header.contains("fraction_fraction") && !header.contains("bytes_bytes"), "{header}");
    }
    assert_eq!(report.csv().lines().count(), 1 + 4 * Reported::ALL.len());
    assert!(report.csv().contains("icongen,nano,fednano,,"), "{}", report.csv());
    assert!(report.csv().contains(",total_bytes,bytes,lower,3147264,0,3147264,3147264,3\n"), "{}", report.csv());
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["groups"][1]["metrics"]["accuracy"]["values"], json!([0.5, 0.6, 0.7]));
    assert_eq!(json["groups"][1]["seeds"], json!([1, 2, 3]));
}

#[test]
fn unknown_formats_list_what_exists() {
    assert_eq!("md".parse::<Format>().unwrap(), Format::Markdown);
    let error = "jsn".parse::<Format>().unwrap_err().to_string();
    assert!(error.starts_with("unknown format `jsn`; nearest first, there are: json, csv, md, "), "{error}");
}

/// Runs that read other rows, or another backbone, under one name are no repeats of each other and share no mean; those that read the
/// same are, whatever their folders were called.
#[test]
fn contents_group_runs_and_names_do_not() {
    let report = |runs: &[Fixture]| {
        let root = TempDir::new().unwrap();
        runs.iter().enumerate().for_each(|(i, run)| drop(run.write(&root.path().join(i.to_string()))));
        Report::read(&[root.path().into()]).unwrap()
    };
    let of = |seed, inputs| Fixture { inputs: Some(inputs), ..Fixture::new("icongen", "fednano", seed, 0.5) };
    let same = report(&[of(1, ["aa", "bb"]), of(2, ["aa", "bb"])]);
    assert_eq!((same.groups.len(), same.groups[0].dataset.as_str(), same.groups[0].setting.as_str()), (1, "icongen", ""));
    let text = |report: &Report| {
        report.warnings.iter().map(|warning| format!("{} {}", warning.kind, warning.message)).collect::<String>()
    };
    assert!(!text(&same).contains("mixed-rows") && !text(&same).contains("unrecorded"), "{}", text(&same));

    let rows = report(&[of(1, ["aa", "bb"]), of(2, ["cc", "bb"])]);
    let names: Vec<&str> = rows.groups.iter().map(|group| group.dataset.as_str()).collect();
    assert!(names.len() == 2 && names[0] != names[1] && names.iter().all(|name| name.starts_with("icongen [rows ")), "{names:?}");
    let mark = names[0].trim_end_matches(']').rsplit(' ').next().unwrap();
    assert!(text(&rows).contains("mixed-rows") && rows.markdown().contains(mark), "{}", text(&rows));

    let backbones = report(&[of(1, ["aa", "bb"]), of(1, ["aa", "dd"])]);
    let names: Vec<&str> = backbones.groups.iter().map(|group| group.backbone.as_str()).collect();
    assert_eq!(names, ["nano [bb]", "nano [dd]"]);
    assert!(text(&backbones).contains("mixed-backbones") && !text(&backbones).contains("repeated"), "{}", text(&backbones));

    let mixed = report(&[of(1, ["aa", "bb"]), Fixture::new("icongen", "fednano", 1, 0.5)]);
    let mut settings: Vec<&str> = mixed.groups.iter().map(|group| group.setting.as_str()).collect();
    settings.sort_unstable();
    assert_eq!(settings.len(), 2, "{settings:?}");
    assert!(settings[0].contains("inputs=not recorded") && settings[1].contains("inputs=recorded"), "{settings:?}");
    assert!(text(&mixed).contains("unrecorded-inputs"), "{}", text(&mixed));
}
