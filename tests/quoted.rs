//! `fedbench tables`: pages whose tables are made from runs, and those of this repository.

use std::path::Path;

use crate::cli::Desk;

fn root(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).to_string_lossy().into_owned()
}

/// Writes a page with one table of the gate's baseline.
fn page(desk: &Desk, asked: &str) -> String {
    let path = desk.path().join("PAGE.md");
    let runs = root("tests/gate-baseline");
    let text = format!("# Before\n\n<!-- table\nruns = ['{runs}']\n{asked}\n-->\n<!-- /table -->\n\nBehind.\n");
    std::fs::write(&path, text).expect("a page");
    path.to_string_lossy().into_owned()
}

const SOUND: &str = "rows = ['zero-shot', { title = 'Fisher', method = 'fednano' }]\ncolumns = [\n  { title = 'all (%)' },\n  \
                     { title = 'less', against = 'zero-shot' },\n  { title = 'own, less', metric = 'client_accuracy_mean', against = \
                     'zero-shot' },\n  { title = 'up', metric = 'uplink_bytes' },\n]\nguesses = true";

/// What the pages of this repository quote is what their runs give.
#[test]
fn quoted_tables_are_not_stale() {
    let (results, readme) = (root("reports/RESULTS.md"), root("README.md"));
    Desk::new().expect(&["tables", "--check", &results, &readme], 0, &["as their runs give them", "as its runs give them"]);
}

/// A page is renewed between its comments and nowhere else, and once is enough; a changed digit is found.
#[test]
fn a_table_is_made_and_a_changed_digit_found() {
    let desk = Desk::new();
    let path = page(&desk, SOUND);
    desk.expect(&["tables", "--check", &path], 1, &["line 3", "not what the runs give"]);
    desk.expect(&["tables", &path], 0, &["1 of 1 tables renewed (line 3)"]);
    let made = std::fs::read_to_string(&path).expect("a page");
    assert!(made.starts_with("# Before\n\n<!-- table\n") && made.ends_with("<!-- /table -->\n\nBehind.\n"), "{made}");
    let lines: Vec<&str> = made.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(lines.len(), 6, "{made}");
    let cells = |line: usize| lines[line].split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(cells(0)[1..6], ["method", "all (%)", "less", "own, less", "up"]);
    assert_eq!((cells(2)[1].as_str(), cells(2)[3].as_str(), cells(2)[5].as_str()), ("zero-shot", "–", "0 B"));
    assert!(cells(3)[1] == "Fisher" && cells(3)[3].contains("(p ") && !cells(3)[4].contains("(p "), "{made}");
    assert_eq!((cells(4)[1].as_str(), cells(4)[3].as_str(), cells(5)[1].as_str()), ("chance", "–", "majority"));
    let points = |cell: &str| cell.split(' ').next().and_then(|number| number.parse::<f64>().ok()).expect("a number");
    let apart = points(&cells(3)[2]) - points(&cells(2)[2]) - points(&cells(3)[3]);
    assert!(apart.abs() < 0.11, "{made}");

    desk.expect(&["tables", "--check", &path], 0, &["1 table, as its runs give them"]);
    let digit = made.replacen(&cells(3)[2], "99.9 ± 0.1", 1);
    std::fs::write(&path, digit).expect("a page");
    desk.expect(&["tables", "--check", &path], 1, &["line 3"]);
    desk.expect(&["tables", &path], 0, &["renewed"]);
    assert_eq!(std::fs::read_to_string(&path).expect("a page"), made);
}

/// What a comment gets wrong is said with page, line and what would be right; nothing is written.
#[test]
fn what_cannot_be_made_is_refused() {
    let desk = Desk::new();
    let columns = "columns = [{ title = 'all' }]";
    for (asked, words) in [
        ("rows = []\ncolumns = []".to_owned(), "at least one of `rows`"),
        (format!("rows = ['fednanoo']\n{columns}"), "no run is of method `fednanoo`"),
        (format!("rows = ['fednano']\n{columns}\nguess = true"), "unknown key `guess`"),
        (
            format!("rows = [{{ title = 'x', method = 'fednano', where = {{ \"federation.rounds\" = \"77\" }} }}]\n{columns}"),
            "row `x`",
        ),
        (
            "rows = ['fednano']\ncolumns = [{ title = 'a', metric = 'acuracy' }]".into(),
            "no metric `acuracy`; nearest first, there are: accuracy",
        ),
        ("rows = ['fednano']\ncolumns = [{ title = 'a', against = 'fedavg' }]".into(), "no row `fedavg`"),
        (
            "rows = ['fednano', 'zero-shot']\ncolumns = [{ title = 'a', metric = 'uplink_bytes', against = 'zero-shot' }]".into(),
            "is no fraction",
        ),
        ("rows = ['fednano']\ncolumns = [{ title = 'a', runs = ['nowhere'] }]".into(), "does not exist"),
        (format!("rows = ['fednano', 'fednano']\n{columns}"), "row `fednano` is there twice"),
        (
            "rows = ['fednano']\ncolumns = [{ title = 'a' }, { title = 'b', dataset = 'icongn' }]".into(),
            "no run has the dataset `icongn`",
        ),
        (
            "rows = ['fednano']\ncolumns = [{ title = 'a' }, { title = 'b', where = { 'federation.round' = '3' } }]".into(),
            "no run has a key `federation.round`; nearest first, there are: federation.rounds",
        ),
        (
            "rows = ['fednano']\ncolumns = [{ title = 'a' }, { title = 'b', where = { 'federation.rounds' = '77' } }]".into(),
            "no run has `federation.rounds = 77`",
        ),
        ("rows = ['fednano'\n".into(), "the table's comment: "),
    ] {
        let path = page(&desk, &asked);
        let before = std::fs::read_to_string(&path).expect("a page");
        desk.expect(&["tables", &path], 1, &["PAGE.md, line 3", words]);
        assert_eq!(std::fs::read_to_string(&path).expect("a page"), before);
    }
    let path = desk.path().join("PAGE.md").to_string_lossy().into_owned();
    for (text, words) in [
        ("# Nothing\n", "no table in it"),
        ("<!-- table\nrows = []\n", "has no end"),
        ("<!-- table\nrows = []\n-->\n| a |\n", "no `<!-- /table -->`"),
        ("<!-- table\n-->\n<!-- table\n-->\n<!-- /table -->\n", "no `<!-- /table -->`"),
    ] {
        std::fs::write(&path, text).expect("a page");
        desk.expect(&["tables", &path], 1, &[words]);
    }
    desk.expect(&["tables", "no-such.md"], 1, &["no-such.md"]);
}

/// A pair that has a name of its own is the method on that kind, too, and two kinds of one method are not taken for each other.
#[test]
fn a_method_on_a_kind_is_the_pair() {
    let desk = Desk::new();
    for kind in ["lora", "prompt"] {
        let text = format!(
            "[data]\ndataset = 'icongen'\ntrain_limit = 12\ntest_limit = 6\n[partition]\nclients = 2\nmin_examples = 1\n[federation]\nrounds = 1\n\
             [method]\nname = 'fedavg'\n[adapter]\nkind = '{kind}'\n"
        );
        desk.write("x.toml", &text).expect(&["run", "x.toml", "--out", "runs", "--quiet"], 0, &[]);
    }
    let page = |rows: &str| {
        let text =
            format!("<!-- table\nruns = ['runs']\nrows = [{rows}]\ncolumns = [{{ title = 'all' }}]\n-->\n<!-- /table -->\n");
        desk.write("PAGE.md", &text);
    };
    page(
        "{ title = 'LoRA', method = 'fedavg', where = { adapter = 'lora' } }, { title = 'prompt', method = 'fedavg', where = { adapter = 'prompt' } }, 'fedavg-lora'",
    );
    desk.expect(&["tables", "PAGE.md"], 0, &["renewed"]);
    let made = std::fs::read_to_string(desk.path().join("PAGE.md")).expect("a page");
    let cell = |title: &str| {
        made.lines().find(|line| line.starts_with(&format!("| {title} "))).map(|line| line[title.len() + 2..].trim().to_owned())
    };
    assert!(cell("LoRA").is_some_and(|cell| cell.contains('±')), "{made}");
    assert_eq!(cell("LoRA").map(|cell| cell.replace(' ', "")), cell("fedavg-lora").map(|cell| cell.replace(' ', "")), "{made}");
    page("'fedavg'");
    desk.expect(&["tables", "PAGE.md"], 1, &["2 configurations fit"]);
}

/// Line ends, permissions and what is quoted as code stay; of several pages none is written unless all can be.
#[test]
fn the_rest_of_a_page_stays() {
    let desk = Desk::new();
    let path = page(&desk, SOUND);
    let text = std::fs::read_to_string(&path).expect("a page");
    let fence = "```\n<!-- table\nrows = []\n```\n";
    std::fs::write(&path, format!("\u{feff}{fence}{text}").replace('\n', "\r\n")).expect("a page");
    desk.write("bad.md", "nothing\n").expect(&["tables", &path, "bad.md"], 1, &["no table in it"]);
    desk.expect(&["tables", "--check", &path], 1, &["line 7"]);
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("permissions");
    desk.expect(&["tables", &path], 0, &["1 of 1 tables renewed"]);
    let made = std::fs::read_to_string(&path).expect("a page");
    assert!(made.contains("```\r\n<!-- table\r\nrows = []\r\n```\r\n") && !made.replace("\r\n", "").contains('\n'), "{made:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str| std::fs::metadata(path).expect("a page").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        std::fs::write(&path, made.replace("fednano", "zero-shot")).expect("a page");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o444)).expect("permissions");
        desk.expect(&["tables", &path], 1, &["read-only"]);
    }
}
