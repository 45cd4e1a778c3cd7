//! The program as a user meets it: exit codes, messages for bad input, and the whole way from config to report.

use std::path::Path;
use std::process::{Command, Output};

/// A fresh folder and the program run in it.
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path().join(name), text).expect("a file in the temporary folder");
        self
    }

    pub fn fedbench(&self, arguments: &[&str]) -> Output {
        self.fedbench_with(arguments, &[])
    }

    fn fedbench_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_fedbench"))
            .args(arguments)
            .current_dir(self.path())
            .env("FEDBENCH_DATA", self.path().join("no-data"))
            .envs(variables.iter().copied())
            .output()
            .expect("the program starts")
    }

    /// Expects this exit code, and every one of these texts in what was said.
    pub fn expect(&self, arguments: &[&str], code: i32, texts: &[&str]) -> String {
        self.expect_with(arguments, &[], code, texts)
    }

    /// The same under these environment variables.
    pub fn expect_with(&self, arguments: &[&str], variables: &[(&str, &str)], code: i32, texts: &[&str]) -> String {
        let output = self.fedbench_with(arguments, variables);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?} said:\n{said}");
        // Where lines break is the terminal's.
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in texts {
            assert!(said.contains(text) || flat(&said).contains(&flat(text)), "{arguments:?}: expected {text:?} in:\n{said}");
        }
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// `fedbench validate` of an experiment with `extra` below the minimum.
    fn refuses(&self, extra: &str, texts: &[&str]) {
        self.write("x.toml", &format!("{extra}\n{MINIMAL}"));
        self.expect(&["validate", "x.toml"], 2, texts);
    }
}

pub const MINIMAL: &str = "[data]\ndataset = \"icongen\"\ntrain_limit = 40\ntest_limit = 20\n[method]\nname = \"fednano\"\n";

#[test]
fn lists_have_a_sentence_and_a_source() {
    let desk = Desk::new();
    for what in ["methods", "adapters", "backbones", "datasets", "metrics"] {
        let output = desk.fedbench(&["list", what, "--format", "json"]);
        let items: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(!items.is_empty());
        for item in items {
            for key in ["name", "sentence", "source"] {
                assert!(item[key].as_str().is_some_and(|text| !text.is_empty()), "{what}: {item}");
            }
        }
    }
}

#[test]
fn cost_meets_the_anchors_without_weights() {
    let desk = Desk::new();
    let output = desk.fedbench(&["cost", "--backbone", "llava-1.5-7b", "--method", "fednano", "--format", "json"]);
    let cost: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(cost["model_parameters"], 7_063_427_072_u64);
    assert_eq!(cost["client_parameters"]["paper"], 304_556_032_u64);
    assert_eq!(cost["uploaded_parameters_paper"], 1_048_576_u64);
    assert_eq!(cost["uploaded_parameters_deployed"], 2 * 1_048_576_u64);
}

#[test]
fn usage_errors_exit_with_2() {
    let desk = Desk::new();
    desk.expect(&["runn"], 2, &["unrecognized subcommand 'runn'"]);
    desk.expect(&["run"], 2, &["<EXPERIMENT>"]);
    desk.expect(&["list", "metods"], 2, &["invalid value 'metods'", "methods"]);
    desk.expect(&["--version"], 0, &["fedbench"]);
}

#[test]
fn unknown_names_list_what_exists_nearest_first() {
    let desk = Desk::new();
    desk.expect(&["cost", "--backbone", "nanoo", "--method", "fednano"], 2, &["unknown backbone `nanoo`", "there are: `nano`"]);
    desk.expect(&["cost", "--backbone", "nano", "--method", "fedano"], 2, &["unknown method `fedano`", "there are: `fednano`"]);
    desk.expect(&["suite", "quickstrt"], 2, &["unknown suite `quickstrt`", "`quickstart`"]);
    desk.expect(&["data", "inspect", "icongn"], 2, &["unknown dataset `icongn`", "there are: `icongen`"]);
    desk.expect(&["data", "prepare", "scigenn"], 2, &["unknown generator `scigenn`", "`scigen`"]);
    desk.expect(
        &["data", "partition", "scigen", "--scheme", "dirichlett"],
        2,
        &["unknown partition scheme `dirichlett`", "there are: `dirichlet`"],
    );
    desk.expect(&["eval", "--backbone", "nano", "--dataset", "icongen", "--split", "tset", "--out", "o"], 1, &["tset", "test"]);
}

#[test]
fn unknown_keys_and_values_name_the_file_and_the_key() {
    let desk = Desk::new();
    desk.refuses("[federation]\nround = 3", &["x.toml", "unknown key `round`", "`rounds`"]);
    desk.refuses("[partition]\nscheme = \"dirichlett\"", &["x.toml", "unknown value `dirichlett`", "`dirichlet`"]);
    desk.refuses("[adapter]\nsites = [\"imgae\"]", &["imgae", "`image`"]);
    desk.refuses("sed = 3", &["unknown key `sed`", "`seed`"]);
    desk.write("y.toml", &format!("{MINIMAL}floorr = 1.0\n")).expect(
        &["validate", "y.toml"],
        2,
        &["fednano", "unknown key `floorr`", "`floor`"],
    );
}

#[test]
fn values_out_of_range_say_what_would_be_right() {
    let desk = Desk::new();
    desk.refuses("[federation]\nrounds = 0", &["federation.rounds = 0", "at least 1"]);
    desk.refuses("[federation]\ncohort = 1.5", &["federation.cohort = 1.5", "(0, 1]"]);
    desk.refuses("[federation]\nbatch_size = 0", &["batch_size = 0"]);
    desk.refuses("[partition]\nclients = 0", &["partition.clients = 0"]);
    desk.refuses("[optimizer]\nlearning_rate = -1.0", &["optimizer.learning_rate = -1"]);
    desk.refuses("[federation]\ndropout = 1.0", &["federation.dropout = 1", "[0, 1)"]);
    desk.refuses("[federation]\nstragglers = 2.0", &["federation.stragglers = 2", "[0, 1]"]);
    desk.refuses("[federation]\nstraggler_steps = 0.0", &["federation.straggler_steps = 0", "(0, 1]"]);
    desk.refuses("[federation]\nbudget = \"flop\"", &["x.toml", "unknown value `flop`", "`flops`"]);
    desk.refuses("[adapter]\nrank = 0", &["adapter.rank = 0", "expected 1..="]);
    desk.refuses("[adapter]\nkind = \"loro\"", &["adapter.kind `loro`", "`lora`"]);
    desk.refuses("[partition]\nscheme = \"dirichlet\"\nkey = \"skils\"", &["partition.key", "skils", "`skills`"]);
    desk.refuses("[backbone]\ndevice = \"gpu\"", &["device `gpu`", "cuda:N"]);
}

#[test]
fn keys_of_methods_say_what_would_be_right() {
    let desk = Desk::new();
    for (method, key, texts) in [
        ("fedprox", "mu = -1.0", ["fedprox", "mu = -1", "expected 0, or a finite number"]),
        ("feddyn", "alpha = 0.0", ["feddyn", "alpha = 0", "above 0"]),
        ("fedadam", "beta1 = 1.0", ["fedadam", "beta1 = 1", "[0, 1)"]),
        ("fedavgm", "tau = 0.1", ["fedavgm", "tau", "leave it out"]),
        ("fedtrimmedmean", "trim = 0.5", ["fedtrimmedmean", "trim = 0.5", "[0, 0.5)"]),
        ("feddpa-t", "local_weight = 2.0", ["feddpa-t", "local_weight = 2", "[0, 1]"]),
        ("feddpa-f", "local_rounds = 0", ["feddpa-f", "local_rounds = 0", "at least 1"]),
        ("feddat", "temperature = 0.0", ["feddat", "temperature = 0", "above 0"]),
        ("hetlora", "ranks = [4, 0]", ["hetlora", "ranks = [4, 0]", "from 1 to adapter.rank"]),
        ("fedavg-lora", "weights = \"example\"", ["fedavg", "unknown value `example`", "`examples`"]),
        ("scaffold", "mu = 1.0", ["scaffold", "unknown key `mu`", "`weights`"]),
    ] {
        let text = MINIMAL.replace("fednano", method);
        desk.write("x.toml", &format!("{text}{key}\n")).expect(&["validate", "x.toml"], 2, &texts);
    }
    let flora = MINIMAL.replace("fednano", "flora");
    desk.write("x.toml", &format!("[federation]\ncohort = 0.5\n{flora}"));
    desk.expect(&["validate", "x.toml"], 2, &["federation.cohort = 0.5", "flora", "needs all of them"]);
}

#[test]
fn broken_files_are_named() {
    let desk = Desk::new();
    desk.expect(&["run", "absent.toml"], 2, &["cannot read absent.toml"]);
    desk.write("broken.toml", "[data\n").expect(&["run", "broken.toml"], 2, &["broken.toml"]);
    desk.write("card.toml", "name = \"x\"\n").expect(&["data", "inspect", "card.toml"], 2, &["card.toml", "keys are missing"]);
    desk.expect(&["data", "inspect", "easy-vqa"], 2, &["easy-vqa", "not at hand", "FEDBENCH_DATA"]);
    desk.expect(&["report", "nowhere"], 1, &["nowhere"]);
    desk.write("x.toml", MINIMAL).expect(&["run", "x.toml", "--set", "rounds"], 2, &["--set rounds", "KEY=VALUE"]);
    desk.write("adapters.safetensors", "junk");
    desk.expect(
        &["eval", "--backbone", "nano", "--dataset", "icongen", "--adapters", "adapters.safetensors", "--out", "o"],
        2,
        &["experiment.toml"],
    );
}

#[test]
fn a_run_is_complete_is_skipped_and_is_reported() {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[federation]\nrounds = 1\n[partition]\nclients = 2\n{MINIMAL}"));
    let said = desk.expect(
        &["run", "x.toml", "--seed", "4"],
        0,
        &["2 clients, 40 training and 20 test examples", "round   1", "accuracy"],
    );
    assert!(said.contains("runs/icongen-fednano-s4-"), "{said}");
    desk.expect(&["run", "x.toml", "--seed", "4"], 0, &["complete already"]);
    desk.expect(&["report", "runs", "--out", "tables", "--format", "md,csv"], 0, &["fednano"]);
    assert!(desk.path().join("tables/report.md").is_file());
    desk.expect(&["report", "runs", "--out", "tables"], 0, &["pictures: ", "page: tables/report.html"]);
    let page = std::fs::read_to_string(desk.path().join("tables/report.html")).expect("a page");
    assert!(page.contains("src=\"data:image/"), "the data are at hand, so examples have their pictures");
    assert!(desk.path().join("tables/figures/partition.svg").is_file(), "and partitions their labels");
    desk.expect(&["report", "runs", "--out", "bare", "--format", "html", "--no-data"], 0, &["page: bare/report.html"]);
    let page = std::fs::read_to_string(desk.path().join("bare/report.html")).expect("a page");
    assert!(!page.contains("src=\"data:image/") && page.contains("the report was made without the data"));
    desk.expect(&["report", "runs", "--out", "tables", "--format", "pdf"], 2, &["unknown report format `pdf`", "`md`"]);

    let run = std::fs::read_dir(desk.path().join("runs")).expect("runs").next().expect("one run").expect("readable").path();
    for name in [
        "experiment.toml",
        "card.toml",
        "environment.json",
        "partition.json",
        "records.parquet",
        "predictions.parquet",
        "summary.json",
    ] {
        assert!(run.join(name).is_file(), "{name}");
    }
    saved_adapters_judge_the_same(&desk, &run);
}

/// A run asked for on a GPU does not quietly go to the CPU.
#[test]
#[cfg(not(feature = "cuda"))]
fn a_missing_device_is_said() {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[backbone]\ndevice = \"cuda\"\n{MINIMAL}"));
    desk.expect(&["run", "x.toml"], 1, &["cannot use device cuda:0", "built without CUDA", "`--device cpu` always works"]);
}

/// A run says what multiplied with its weights; variables of the environment forbid units.
#[test]
fn a_run_says_which_kernels_multiplied() {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[backbone]\ndtype = \"bf16\"\n[federation]\nrounds = 1\nlocal_steps = 1\n{MINIMAL}"));
    let kernel = |forbidden: &[&str], out: &str| {
        let variables: Vec<_> = forbidden.iter().map(|name| (*name, "1")).collect();
        desk.expect_with(&["run", "x.toml", "--out", out, "--quiet"], &variables, 0, &[]);
        let run = std::fs::read_dir(desk.path().join(out)).expect("runs").next().expect("one run").expect("readable").path();
        let text = std::fs::read(run.join("environment.json")).expect("an environment");
        let environment: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert!(environment["kernels"]["other products"].as_str().is_some_and(|name| name.starts_with("gemm")));
        let by_gemm = environment["kernels"]["attention"].as_str().is_some_and(|name| name.starts_with("gemm"));
        assert!(by_gemm || !forbidden.contains(&"FEDBENCH_NO_AVX512"), "{}", environment["kernels"]);
        environment["kernels"]["bf16 weights"].as_str().expect("a kernel").to_owned()
    };
    let here = kernel(&[], "all");
    assert!(["avx512-bf16", "avx512, widened"].contains(&&*here) || here.starts_with("gemm"), "{here}");
    let without = kernel(&["FEDBENCH_NO_AVX512_BF16"], "without-pairs");
    assert_eq!(without, if here == "avx512-bf16" { "avx512, widened" } else { &here });
    let gemm = kernel(&["FEDBENCH_NO_AVX512"], "without-avx512");
    assert!(gemm.starts_with("gemm") && gemm.ends_with(", widened"), "{gemm}");
}

/// Adapters of other shapes than the fresh ones, and changes merged into frozen weights, are judged again as well.
#[test]
fn every_kind_of_saved_adapters_can_be_judged() {
    let desk = Desk::new();
    for method in ["flora", "fedex-lora", "flexlora"] {
        let text = MINIMAL.replace("fednano", method);
        desk.write(
            "x.toml",
            &format!("[federation]\nrounds = 2\n[partition]\nclients = 3\n[optimizer]\nlearning_rate = 0.02\n{text}"),
        );
        desk.expect(&["run", "x.toml", "--out", method], 0, &["accuracy"]);
        let run = std::fs::read_dir(desk.path().join(method)).expect("runs").next().expect("one run").expect("readable").path();
        saved_adapters_judge_the_same(&desk, &run);
        std::fs::remove_dir_all(desk.path().join("judged")).expect("an evaluation");
    }
}

fn saved_adapters_judge_the_same(desk: &Desk, run: &Path) {
    let adapters = run.join("adapters.safetensors");
    let adapters = adapters.to_str().expect("a UTF-8 path");
    let judge =
        ["eval", "--backbone", "nano", "--dataset", "icongen", "--limit", "20", "--adapters", adapters, "--out", "judged"];
    desk.expect(&judge, 0, &["accuracy"]);
    let summary: serde_json::Value = read_json(&run.join("summary.json"));
    let judged: serde_json::Value = read_json(&desk.path().join("judged/evaluation.json"));
    assert_eq!(summary["accuracy"], judged["accuracy"], "saved adapters judge as they did in the run");
}

fn read_json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

#[test]
fn quiet_is_quiet() {
    let desk = Desk::new();
    desk.write("x.toml", &format!("[federation]\nrounds = 1\n[partition]\nclients = 2\n{MINIMAL}"));
    let output = desk.fedbench(&["run", "x.toml", "--quiet"]);
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_storage_table_comes_out() {
    let output = Desk::new().fedbench(&["reproduce", "storage", "--format", "json"]);
    let table: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let llava = &table["sizes"][0];
    assert_eq!((&llava["backbone"], &llava["model"]), (&"llava-1.5-7b".into(), &7_063_427_072_u64.into()));
    assert_eq!(llava["components"]["vision"], 303_507_456_u64);
    assert_eq!(llava["components"]["connector"], 20_979_712_u64);
    assert_eq!(llava["nano_adapters"], 1_048_576_u64);
    assert_eq!(
        (&llava["nano_edge"]["paper"], &llava["nano_edge"]["deployed"]),
        (&304_556_032_u64.into(), &456_869_888_u64.into())
    );
    assert_eq!((&llava["lora"], &llava["lora_with_connector"]), (&159_907_840_u64.into(), &180_887_552_u64.into()));
    let claims = table["claims"].as_array().expect("claims");
    let verdicts: Vec<&serde_json::Value> =
        claims.iter().take(3).flat_map(|claim| claim["verdicts"].as_array()).flatten().collect();
    assert_eq!(verdicts, ["holds", "does not hold", "holds", "does not hold", "holds", "does not hold"]);
    assert_eq!(format!("{:.1}", claims[2]["paper"].as_f64().expect("a number")), "99.4");
}

/// `examples/my_method.rs`: a method from outside runs beside the suite's own, with its own keys, and without stragglers it is FedAvg.
#[test]
fn a_method_of_ones_own() {
    let desk = Desk::new();
    // Tests lie in `deps`, examples beside that.
    let tests = std::env::current_exe().expect("a path");
    let example = tests.ancestors().nth(2).expect("a target folder").join("examples/my_method");
    let run = |method: &str| -> f64 {
        let data = "[data]\ndataset = \"icongen\"\ntrain_limit = 40\ntest_limit = 20\n";
        let text = format!("{data}[federation]\nrounds = 1\nlocal_steps = 2\n[method]\nname = \"{method}\"\n");
        desk.write("mine.toml", &text);
        let output =
            Command::new(&example).args(["run", "mine.toml", "--out", method, "--quiet"]).current_dir(desk.path()).output();
        let output = output.expect("cargo test builds the example");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let folder = std::fs::read_dir(desk.path().join(method)).expect("a run").next().expect("a run").expect("a run").path();
        let summary = std::fs::read(folder.join("summary.json")).expect("a summary");
        let summary: serde_json::Value = serde_json::from_slice(&summary).expect("JSON");
        summary["accuracy"].as_f64().expect("a number")
    };
    assert_eq!(run("fednova"), run("fedavg-lora"));
    let listed = Command::new(&example).args(["list", "methods"]).output().expect("it starts");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("fednova"));
}

/// What a suite takes elsewhere is counted from shapes: linear in the speed, twice a step's work for twice the rounds, and no weights at hand.
#[test]
fn a_suite_is_counted_for_another_machine() {
    let desk = Desk::new();
    let seconds = |arguments: &[&str]| {
        let given = [&["suite", "llava-7b", "--plan", "--tflops"], arguments].concat();
        let output = desk.fedbench(&given);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let petaflops = said.split("all: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        (petaflops.expect("a total"), said)
    };
    let (total, said) = seconds(&["250"]);
    // 1,280 examples a method, two passes of 2 x 6.5e9 operations a token over some 680 tokens, FedNano four with its Fisher: about 95 PFLOP.
    assert!((60.0..120.0).contains(&total), "{said}");
    assert!(said.contains("zero-shot: 0 steps, 0.00 PFLOP of training") && said.contains("fednano: 160 steps"), "{said}");
    let (twice, _) = seconds(&["250", "--set", "federation.rounds=4"]);
    assert!((1.7..2.0).contains(&(twice / total)), "{total} {twice}");
    desk.expect(&["suite", "llava-7b", "--tflops", "250"], 2, &["--plan"]);
    desk.expect(&["suite", "llava-7b", "--plan", "--tflops", "0"], 2, &["from 0.001 to 1000000"]);
    desk.expect(&["suite", "llava-7b", "--plan", "--tflops", "1", "--set", "data.dataset=\"nothing\""], 2, &["nothing"]);
}
