//! The Hub's client against a server of our own: what is whole is kept, what is not never passes for it, and every failure says
//! what it was.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use data_scripts::hub::{Hub, HubError, HubId, Limits, Plan, Settings, Snapshot, Wanted};
use schema::record::RepoKind;
use serde_json::Value;

use crate::hub_site::{Fault, SIGNATURE, Site, SiteFile};
use crate::support::Test;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const LARGE: &str = "data/test-00000-of-00001.parquet";
pub const SMALL: &str = "README.md";
pub const TOKEN: &str = "hf_topsecret";
pub const BYTES: usize = 600_000;

/// A dataset with a large and a small file, and an empty cache.
pub struct Desk {
    pub cache: tempfile::TempDir,
    pub site: Site,
    pub settings: Settings,
}

impl Desk {
    pub fn new() -> Self {
        let content: Vec<u8> = (0..BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let large = SiteFile { path: LARGE.into(), content, large: true };
        let small = SiteFile { path: SMALL.into(), content: b"# About\n".to_vec(), large: false };
        let site = Site::new("datasets/owner/name", COMMIT, vec![large, small]);
        let cache = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings {
            endpoint: site.endpoint.clone(),
            cache: cache.path().into(),
            token: None,
            offline: false,
            pause_milliseconds: 1,
            limits: Limits::default(),
        };
        Self { cache, site, settings }
    }

    pub fn hub(&self) -> Hub {
        Hub::new(self.settings.clone())
    }

    pub fn plan(&self) -> Result<Plan, HubError> {
        self.hub().plan(&id(), &Wanted::exactly(vec![LARGE.into(), SMALL.into()]), &())
    }

    pub fn fetch(&self) -> Result<Snapshot, HubError> {
        self.hub().fetch(&self.plan()?, &())
    }

    /// Expects a failure that says all of this, and nothing that is nobody's business.
    pub fn fails(&self, texts: &[&str]) {
        let error = self.fetch().expect_err("a failure").to_string();
        for text in texts {
            assert!(error.contains(text), "expected {text:?} in: {error}");
        }
        assert!(!error.contains(TOKEN) && !error.contains(SIGNATURE), "{error}");
    }

    pub fn folder(&self) -> PathBuf {
        self.cache.path().join("datasets--owner--name")
    }

    /// The large file's blob, and the part of it that has come.
    pub fn blob(&self) -> (PathBuf, PathBuf) {
        let digits = "blobs/".to_owned() + &self.large().sha256();
        (self.folder().join(&digits), self.folder().join(digits + ".incomplete"))
    }

    pub fn large(&self) -> SiteFile {
        let content = (0..BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        SiteFile { path: LARGE.into(), content, large: true }
    }

    /// The large file is not there under any name that says it is whole.
    pub fn assert_no_whole(&self) {
        let snapshot = self.folder().join("snapshots").join(COMMIT).join(LARGE);
        assert!(!self.blob().0.exists() && snapshot.symlink_metadata().is_err());
        assert!(self.hub().cached_whole(&id(), &Wanted::exactly(vec![LARGE.into()])).is_ok_and(|found| found.is_none()));
    }

    pub fn assert_whole(&self) -> Test {
        let snapshot = self.fetch()?;
        assert_eq!(std::fs::read(snapshot.folder.join(LARGE))?, self.large().content);
        Ok(())
    }
}

pub fn id() -> HubId {
    HubId::parse(RepoKind::Dataset, "owner/name").expect("an id")
}

/// The folders are those of Python's huggingface_hub, the record has commit and checksums, and the second time nothing is asked.
#[test]
fn a_download_lies_where_python_looks_for_it() -> Test {
    let desk = Desk::new();
    let plan = desk.plan()?;
    assert_eq!((plan.missing.len(), plan.missing_bytes()), (2, BYTES as u64 + 8));
    assert_eq!((plan.listing.commit.as_str(), plan.listing.license.as_deref()), (COMMIT, Some("cc-by-4.0")));
    let snapshot = desk.hub().fetch(&plan, &())?;

    assert_eq!(snapshot.folder, desk.folder().join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read_to_string(desk.folder().join("refs/main"))?, COMMIT);
    assert_eq!(std::fs::read(snapshot.folder.join(SMALL))?, b"# About\n");
    let link = std::fs::read_link(snapshot.folder.join(LARGE))?;
    assert_eq!(link, Path::new("../../../blobs").join(desk.large().sha256()));
    assert!(!desk.blob().1.exists());

    desk.site.seen("");
    let found = desk.hub().cached(&id()).context("the snapshot")?;
    assert_eq!(found.files, [SMALL, LARGE]);
    let record = found.record(&id())?;
    assert_eq!((record.commit.as_str(), record.revision.as_str()), (COMMIT, "main"));
    // `printf '# About\n' | git hash-object --stdin`
    assert_eq!(record.files[0].git_blob.as_deref(), Some("4b51d644bdf73d201a21f3dc98b63b3dddfc48de"));
    assert_eq!(record.files[1].sha256, Some(desk.large().sha256()));
    assert_eq!(desk.site.seen("").len(), 0, "what is at hand asks no network");
    assert!(desk.plan()?.missing.is_empty());
    Ok(())
}

/// A broken transfer goes on at the byte where it broke, in the same command.
#[test]
fn a_broken_transfer_goes_on_where_it_broke() -> Test {
    let desk = Desk::new();
    desk.site.fault("/lfs/", Fault::Break(100_000)).fault("/lfs/", Fault::Break(0)).fault("/lfs/", Fault::Break(50_000));
    desk.assert_whole()?;
    let ranges: Vec<Option<String>> = desk.site.seen("/lfs/").into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges[0], None);
    assert_eq!(ranges.len(), 4);
    let begins = |range: &Option<String>| range.as_ref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let begins: Vec<u64> = ranges[1..].iter().filter_map(begins).collect();
    ensure!(begins.len() == 3 && begins[0] == begins[1] && begins[1] < begins[2], "{ranges:?}");
    Ok(())
}

/// A half file has a name that says so, and the next command goes on with it.
#[test]
fn a_half_file_is_never_taken_for_a_whole_one() -> Test {
    let desk = Desk::new();
    desk.site.fault("/lfs/", Fault::Break(200_000));
    for _ in 0..5 {
        desk.site.fault("/lfs/", Fault::Break(0));
    }
    desk.fails(&["/datasets/owner/name/resolve/", LARGE, "given up after 5 attempts without progress", "of 600000 bytes"]);
    desk.assert_no_whole();
    let part = desk.blob().1.metadata()?.len();
    ensure!(part > 0 && part < BYTES as u64, "{part}");
    desk.site.seen("");
    desk.assert_whole()?;
    assert_eq!(desk.site.seen("/lfs/")[0].range, Some(format!("bytes={part}-")));
    Ok(())
}

#[test]
fn a_wrong_checksum_is_thrown_away() -> Test {
    let desk = Desk::new();
    desk.site.fault("/lfs/", Fault::Garble);
    desk.fails(&["/resolve/", "600000 bytes", "have the checksum", &desk.large().sha256(), "thrown away"]);
    desk.assert_no_whole();
    assert!(!desk.blob().1.exists());
    desk.site.fault(SMALL, Fault::Garble);
    desk.fails(&[SMALL, "have the checksum"]);
    desk.assert_whole()
}

/// A damaged beginning of an earlier command costs a second transfer, and no one's attention.
#[test]
fn a_damaged_beginning_is_fetched_again() -> Test {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.folder().join("blobs"))?;
    std::fs::write(desk.blob().1, vec![7; 1000])?;
    desk.assert_whole()?;
    let ranges: Vec<_> = desk.site.seen("/lfs/").into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges, [Some("bytes=1000-".to_owned()), None]);

    let desk = Desk::new();
    std::fs::create_dir_all(desk.folder().join("blobs"))?;
    std::fs::write(desk.blob().1, vec![7; BYTES + 1])?;
    desk.assert_whole()
}

/// A part that is complete is only checked; a server that knows no ranges starts over.
#[test]
fn whole_parts_and_servers_without_ranges() -> Test {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.folder().join("blobs"))?;
    std::fs::write(desk.blob().1, desk.large().content)?;
    desk.assert_whole()?;
    assert!(desk.site.seen("/lfs/").is_empty());

    let desk = Desk::new();
    desk.site.fault("/lfs/", Fault::Break(300_000)).fault("/lfs/", Fault::NoRanges);
    desk.assert_whole()
}

#[test]
fn refusals_say_what_may_help() {
    let mut desk = Desk::new();
    desk.site.fault("/api/", Fault::Status(401, "X-Error-Code", "RepoNotFound"));
    desk.fails(&[
        "/api/datasets/owner/name/revision/main",
        "401",
        "`owner/name` does not exist, or is private or gated",
        "HF_TOKEN",
    ]);
    desk.site.fault("/api/", Fault::Status(404, "X-Error-Code", "RevisionNotFound"));
    desk.fails(&["404: there is no repository or revision `owner/name@main`"]);
    desk.site.fault("/resolve/", Fault::Status(404, "X-Error-Code", "EntryNotFound"));
    desk.fails(&["/resolve/", "404: there is no such file in `owner/name@main`"]);
    desk.site.fault("/resolve/", Fault::Status(418, "X-Error-Message", "I am a teapot"));
    desk.fails(&["unexpected status 418: I am a teapot"]);
    desk.settings.token = Some(TOKEN.into());
    desk.site.fault("/api/", Fault::Status(401, "X", "y"));
    desk.fails(&["401", "the token at hand", "may not read `owner/name`"]);
    desk.site.fault("/resolve/", Fault::Status(403, "X-Error-Code", "GatedRepo"));
    desk.fails(&["403", "accept its terms at", "/datasets/owner/name"]);
    desk.site.fault("/lfs/", Fault::Status(403, "X", "y"));
    desk.fails(&["/resolve/", "403"]);
    desk.assert_no_whole();
}

#[test]
fn what_may_pass_is_tried_again_a_bounded_number_of_times() -> Test {
    let desk = Desk::new();
    desk.site.fault("/api/", Fault::Status(429, "Retry-After", "0")).fault("/resolve/", Fault::Status(503, "X", "y"));
    desk.site.fault("/lfs/", Fault::Status(500, "X", "y")).fault("/lfs/", Fault::Status(502, "Retry-After", "0"));
    desk.assert_whole()?;

    let desk = Desk::new();
    for _ in 0..5 {
        desk.site.fault("/api/", Fault::Status(503, "X", "y"));
    }
    desk.fails(&["/api/", "given up after 5 attempts", "status 503 (Service Unavailable)"]);
    assert_eq!(desk.site.seen("/api/").len(), 5);
    desk.site.fault("/api/", Fault::Status(429, "Retry-After", "3600"));
    desk.fails(&["429: the Hub asks to wait 3600 seconds"]);
    assert_eq!(desk.site.seen("/api/").len(), 1);

    let nobody = Settings { endpoint: "http://127.0.0.1:9".into(), ..desk.settings.clone() };
    let error = Hub::new(nobody).plan(&id(), &Wanted::parquet(), &()).expect_err("nobody listens").to_string();
    ensure!(error.contains("http://127.0.0.1:9/api/") && error.contains("given up after 5 attempts"), "{error}");
    Ok(())
}

/// The token goes to the Hub and not to the host that it redirects to.
#[test]
fn the_token_stays_with_the_hub() -> Test {
    let mut desk = Desk::new();
    desk.settings.token = Some(TOKEN.into());
    desk.assert_whole()?;
    let seen = desk.site.seen("");
    for request in &seen {
        let wanted = if request.path.starts_with("/lfs/") { None } else { Some(format!("Bearer {TOKEN}")) };
        assert_eq!(request.authorization, wanted, "{}", request.path);
    }
    ensure!(seen.iter().any(|request| request.path.starts_with("/lfs/")), "{seen:?}");
    Ok(())
}

#[test]
fn answers_that_do_not_fit_the_listing_are_refused() {
    for (path, name, value, texts) in [
        ("/resolve/", "X-Repo-Commit", "ffff", ["the server has commit ffff", COMMIT]),
        ("/resolve/", "X-Linked-Size", "7", ["a size of 7", "600000"]),
        ("/resolve/", "X-Linked-Etag", "\"abc\"", ["the checksum \"abc\"", "the Hub lists"]),
        ("/resolve/", "Location", "ftp://elsewhere/x", ["a redirect that leads nowhere", "/resolve/"]),
    ] {
        let desk = Desk::new();
        desk.site.fault(path, Fault::Header(name, value));
        desk.fails(&texts);
        desk.assert_no_whole();
    }
    let desk = Desk::new();
    desk.site.fault("/lfs/", Fault::Break(100_000)).fault("/lfs/", Fault::Header("Content-Range", "bytes 5-9/10"));
    desk.fails(&["asked for 600000 bytes from byte", "the server sends `bytes 5-9/10`"]);
    desk.assert_no_whole();
}

#[test]
fn offline_nothing_is_asked() -> Test {
    let mut desk = Desk::new();
    desk.settings.offline = true;
    desk.fails(&["HF_HUB_OFFLINE is set", "`owner/name@main`", "datasets--owner--name"]);
    desk.settings.offline = false;
    desk.assert_whole()?;
    desk.site.seen("");
    desk.settings.offline = true;
    assert_eq!(desk.hub().cached(&id()).context("at hand")?.files, [SMALL, LARGE]);
    assert!(desk.site.seen("").is_empty());
    Ok(())
}

/// The program, in a folder and with a cache of its own.
pub struct Program<'a> {
    pub folder: &'a Path,
    pub endpoint: &'a str,
}

impl Program<'_> {
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedbench"));
        for name in
            ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN_PATH", "http_proxy", "HTTP_PROXY", "ALL_PROXY"]
        {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.folder.join("hf")).env("HF_ENDPOINT", self.endpoint).env("HF_TOKEN", TOKEN);
        command.env("FEDBENCH_DATA", self.folder.join("no-data")).envs(variables.iter().copied());
        command.args(arguments).current_dir(self.folder).output().expect("the program starts")
    }

    pub fn expect(&self, arguments: &[&str], variables: &[(&str, &str)], code: i32, texts: &[&str]) -> String {
        let output = self.run(arguments, variables);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?} said:\n{said}");
        for text in texts {
            assert!(said.contains(text), "{arguments:?}: expected {text:?} in:\n{said}");
        }
        assert!(!said.contains(TOKEN) && !said.contains(SIGNATURE) && !said.contains("panicked"), "{said}");
        said
    }
}

fn json(path: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// From a card that names a repository to a run whose folder says what it ran on.
#[test]
fn a_dataset_of_the_hub_is_fetched_and_run() -> Test {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let offline = Program { folder: path, endpoint: "http://127.0.0.1:9" };
    offline.expect(&["data", "prepare", "icongen", "--rows", "40", "20", "--out", "made"], &[], 0, &["train: 40 rows"]);
    let mut files = Vec::new();
    for split in ["train", "test"] {
        let name = format!("{split}-00000-of-00001.parquet");
        files.push(SiteFile {
            path: format!("data/{name}"),
            content: std::fs::read(path.join("made").join(&name))?,
            large: true,
        });
    }
    let sum: u64 = files.iter().map(|file| file.content.len() as u64).sum();
    let site = Site::new("datasets/owner/icons", COMMIT, files);
    let program = Program { folder: path, endpoint: &site.endpoint };

    let card = std::fs::read_to_string(path.join("made/card.toml"))?;
    let mut card: toml::Table = toml::from_str(&card)?;
    card.insert("hub".into(), "owner/icons".into());
    card.insert("revision".into(), "main".into());
    card.insert("license".into(), "CC-BY-NC-4.0".into());
    let splits = card["splits"].as_table_mut().context("splits")?;
    splits.remove("validation");
    for (split, entry) in splits.iter_mut() {
        let entry = entry.as_table_mut().context("a split")?;
        entry.insert("files".into(), toml::Value::Array(vec![format!("data/{split}-*.parquet").into()]));
    }
    std::fs::write(path.join("icons.toml"), toml::to_string(&card)?)?;
    std::fs::write(
        path.join("x.toml"),
        "[data]\ndataset = \"icons.toml\"\n[method]\nname = \"fednano\"\n[federation]\nrounds = 1\n[partition]\nclients = 2\n",
    )?;

    program.expect(&["data", "inspect", "icons.toml"], &[], 2, &["is not at hand", "owner/icons@main", "`fedbench data fetch"]);
    program.expect(&["data", "fetch", "icons.toml"], &[("HF_HUB_OFFLINE", "1")], 1, &["HF_HUB_OFFLINE is set"]);
    let licence = "licence CC-BY-NC-4.0 (the Hub says cc-by-4.0)";
    program.expect(&["data", "fetch", "icons.toml", "--splits", "tset"], &[], 2, &["unknown split", "`test`"]);
    program.expect(&["data", "fetch", "icons.toml"], &[], 0, &["in 2 of 2 files", licence, COMMIT, "snapshots"]);
    ensure!(sum > 0);

    // Nobody answers any more: runs use what is at hand.
    offline.expect(&["data", "inspect", "icons.toml"], &[], 0, &["rows      40"]);
    offline.expect(&["run", "x.toml", "--out", "runs", "--quiet"], &[], 0, &["accuracy"]);
    let run = std::fs::read_dir(path.join("runs"))?.next().context("a run")??.path();
    let environment = json(&run.join("environment.json"))?;
    assert_eq!(environment["downloads"][0]["id"], "owner/icons");
    assert_eq!(environment["downloads"][0]["commit"], COMMIT);
    assert_eq!(environment["downloads"][0]["files"][0]["sha256"].as_str().map(str::len), Some(64));
    assert!(std::fs::read_to_string(run.join("card.toml"))?.contains(&format!("revision = \"{COMMIT}\"")));
    Ok(())
}

/// What is large is not downloaded unasked.
#[test]
fn large_downloads_want_a_yes() -> Test {
    let folder = tempfile::tempdir()?;
    let content = vec![1; 1000];
    let site = Site::new("datasets/owner/name", COMMIT, vec![SiteFile { path: LARGE.into(), content, large: true }]);
    site.list_size(3 << 30);
    let program = Program { folder: folder.path(), endpoint: &site.endpoint };
    let texts = ["owner/name@main", "3.0 GiB to download in 1 of 1 files", "licence cc-by-4.0", "`--yes` downloads it"];
    program.expect(&["data", "fetch", "owner/name"], &[], 2, &texts);
    assert!(site.seen("/resolve/").is_empty());
    program.expect(&["data", "fetch", "owner/name", "--yes"], &[], 1, &["a size of 1000, but the Hub lists 3221225472"]);
    program.expect(&["data", "fetch", "owner/name@../x"], &[], 2, &["is no Hub id", "owner/name@revision"]);
    program.expect(&["data", "fetch", "scigen"], &[], 2, &["dataset `scigen` is not from the Hub", "generator"]);
    program.expect(
        &["data", "fetch", "owner/name", "--include", "x.parquet"],
        &[],
        1,
        &["has no file that fits `x.parquet`", LARGE],
    );
    program.expect(
        &["data", "fetch", "owner/name"],
        &[("HF_ENDPOINT", "nowhere")],
        2,
        &["HF_ENDPOINT", "https://huggingface.co"],
    );
    Ok(())
}

/// A backbone by its id is the same as by its folder.
#[test]
fn a_backbone_of_the_hub_is_fetched_and_judged() -> Test {
    let folder = tempfile::tempdir()?;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/assets/nano");
    let mut files = vec![SiteFile { path: "onnx/model.onnx".into(), content: b"other".to_vec(), large: true }];
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let large = name.ends_with("safetensors");
        files.push(SiteFile { path: name.into(), content: std::fs::read(assets.join(name))?, large });
    }
    let site = Site::new("models/owner/tiny", COMMIT, files);
    let program = Program { folder: folder.path(), endpoint: &site.endpoint };
    let judge = |backbone, out| ["eval", "--backbone", backbone, "--dataset", "icongen", "--limit", "20", "--out", out];
    program.expect(
        &judge("owner/tiny", "a"),
        &[],
        2,
        &["backbone `owner/tiny` is not at hand", "`fedbench model fetch owner/tiny`"],
    );
    program.expect(&["model", "fetch", "owner/tiny"], &[], 0, &["in 3 of 3 files", COMMIT, "models--owner--tiny"]);
    let offline = Program { folder: folder.path(), endpoint: "http://127.0.0.1:9" };
    for (backbone, out) in [("owner/tiny", "a"), (&format!("hf:owner/tiny@{COMMIT}"), "b"), ("nano", "c")] {
        offline.expect(&judge(backbone, out), &[], 0, &["accuracy"]);
    }
    let [a, b, c] = ["a", "b", "c"].map(|out| std::fs::read(folder.path().join(out).join("predictions.parquet")));
    let (a, b, c) = (a?, b?, c?);
    ensure!(a == b && b == c, "one backbone, three names");
    let environment = json(&folder.path().join("a/environment.json"))?;
    assert_eq!(environment["downloads"][0]["kind"], "model");
    assert_eq!(environment["downloads"][0]["files"].as_array().map(Vec::len), Some(3));
    Ok(())
}
