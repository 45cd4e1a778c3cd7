//! Servers that keep the Hub's client waiting, listings that mean harm, and caches that somebody else wrote to.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use data_scripts::hub::{Hub, HubError, Limits, Settings, Wanted};
use machine::clock::Stopwatch;
use serde_json::{Value, json};

use crate::hub::{BYTES, COMMIT, Desk, LARGE, Program, SMALL, TOKEN, id};
use crate::hub_site::{Fault, SIGNATURE, Site, SiteFile};
use crate::support::Test;

fn impatient() -> Desk {
    let mut desk = Desk::new();
    let wait = Duration::from_millis(150);
    desk.settings.limits = Limits { connect: wait, head: wait, silence: wait, window: Duration::from_millis(250), least: 4096 };
    desk
}

fn pipe(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder");
    assert!(std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

/// Silence, heads and bodies that trickle: each attempt ends by itself, and after five without progress the command does.
#[test]
fn slow_servers_are_given_up() -> Test {
    for (path, fault, says) in [
        ("/api/", Fault::Silent, "the server was silent for too long"),
        ("/api/", Fault::SlowHead(60), "the server was silent for too long"),
        ("/api/", Fault::Trickle(5), "bytes in 0.25 s; fewer than 4096 are too slow"),
        ("/resolve/", Fault::Silent, "the server was silent for too long"),
        ("/lfs/", Fault::Trickle(5), "fewer than 4096 are too slow"),
        ("/lfs/", Fault::Trickle(400), "of 600000 bytes"),
    ] {
        let (desk, began) = (impatient(), Stopwatch::start());
        for _ in 0..5 {
            desk.site.fault(path, fault.clone());
        }
        let error = desk.fetch().expect_err("a failure").to_string();
        // A byte an attempt is no progress: there is no sixth.
        ensure!(error.contains("given up after 5 attempts without progress"), "{error}");
        ensure!(error.contains(says), "{error}");
        ensure!(began.seconds() < 10.0, "{path}: {} s", began.seconds());
        desk.assert_no_whole();
    }
    Ok(())
}

/// One slow answer costs an attempt and nothing else; what is small may be slow.
#[test]
fn a_slow_moment_passes() -> Test {
    let desk = impatient();
    desk.site.fault("/api/", Fault::Silent).fault("/lfs/", Fault::Trickle(5)).fault(SMALL, Fault::Trickle(20));
    desk.assert_whole()
}

#[test]
fn redirects_without_end_are_not_tried_again() {
    let desk = Desk::new();
    for _ in 0..20 {
        desk.site.fault("/api/", Fault::Status(302, "Location", "/api/datasets/owner/name/revision/main?blobs=true"));
    }
    desk.fails(&["/api/", "more than 5 redirects"]);
    assert_eq!(desk.site.seen("/api/").len(), 6);
    let desk = Desk::new();
    desk.site.fault("/api/", Fault::Status(302, "Location", "http://[nowhere"));
    desk.fails(&["/api/", "an address, or a redirect's, that is none"]);
    assert_eq!(desk.site.seen("/api/").len(), 1);
}

/// Sizes that would wrap are not believed, and large ones that would not are asked about.
#[test]
fn no_size_passes_for_a_small_one() -> Test {
    let folder = tempfile::tempdir()?;
    let desk = Desk::new();
    let program = Program { folder: folder.path(), endpoint: &desk.site.endpoint };
    let fetch = ["data", "fetch", "owner/name", "--include", LARGE, "--include", SMALL];
    desk.site.list_size(1 << 63);
    program.expect(&fetch, &[], 1, &["is said to have 9223372036854775808 bytes", "are not believed"]);
    desk.site.list_size(1 << 44);
    program.expect(&fetch, &[], 2, &["32.0 TiB to download in 2 of 2 files", "`--yes` downloads it"]);
    assert!(desk.site.seen("/resolve/").is_empty());
    Ok(())
}

/// Another host that answers for the Hub is named when something is fetched, and in the records of runs; it never sees the token.
#[test]
fn a_listing_from_elsewhere_says_so() -> Test {
    let mut desk = Desk::new();
    desk.settings.token = Some(TOKEN.into());
    desk.site.fault("/api/", Fault::Elsewhere);
    let plan = desk.plan()?;
    assert_eq!(plan.listing.host, desk.site.other_host);
    let asked = desk.site.seen("/api/");
    assert_eq!((asked.len(), asked[0].authorization.is_some(), asked[1].authorization.is_some()), (2, true, false));
    let snapshot = desk.hub().fetch(&plan, &())?;
    assert_eq!(snapshot.record(&id())?.host, Some(desk.site.other_host.clone()));
    // Whoever confirms the files later takes the word over.
    desk.fetch()?;
    assert_eq!(snapshot.record(&id())?.host, Some(desk.site.endpoint.clone()));

    let folder = tempfile::tempdir()?;
    let program = Program { folder: folder.path(), endpoint: &desk.site.endpoint };
    desk.site.fault("/api/", Fault::Elsewhere);
    let says = format!("sent the question on; what follows is listed by {}", desk.site.other_host);
    program.expect(&["data", "fetch", "owner/name", "--include", LARGE], &[], 0, &[&says, &desk.site.endpoint]);
    Ok(())
}

/// Names that a terminal would obey, a folder would not hold or another file has.
#[test]
fn bad_names_are_refused() {
    for (name, says) in [
        ("a\u{1b}]0;title\u{7}b", "file `a\\u{1b}]0;title\\u{7}b` would lie outside"),
        ("../../x", "would lie outside the folder"),
        ("/etc/x", "would lie outside the folder"),
        ("a\\b", "would lie outside the folder"),
        ("a\nb", "file `a\\nb` would lie outside"),
        (&"x".repeat(300), "[... 180 characters ...]"),
        (LARGE, "is listed twice"),
    ] {
        let desk = Desk::new();
        desk.site.list_besides(json!({ "rfilename": name, "size": 1, "blobId": "a".repeat(40) }));
        let all = ["*", "*/*", "*/*/*", "*/*/*/*"].map(String::from).to_vec();
        let error = desk.hub().plan(&id(), &Wanted { needed: vec![], also: all }, &()).expect_err("refused").to_string();
        assert!(error.contains(says) && !error.contains(|c: char| c.is_control()), "{name:?}: {error}");
    }
}

/// Length is not content: what lies under a checksum's name is read whenever it is fetched.
#[test]
fn a_spoiled_cache_is_mended() -> Test {
    let desk = Desk::new();
    desk.assert_whole()?;
    let blob = desk.blob().0;
    std::fs::write(&blob, vec![7; BYTES])?;
    let snapshot = desk.hub().cached(&id()).context("at hand")?;
    let error = snapshot.check(|_, _| ()).expect_err("another content");
    ensure!(matches!(&error, HubError::Spoiled { wanted, .. } if *wanted == desk.large().sha256()), "{error}");
    ensure!(error.to_string().contains("remove the file and fetch it again"), "{error}");
    let plan = desk.plan()?;
    assert_eq!((plan.missing.len(), plan.spoiled.as_slice()), (1, [LARGE.to_owned()].as_slice()));
    desk.assert_whole()?;
    assert_eq!(std::fs::read(&blob)?, desk.large().content);
    snapshot.check(|_, _| ())?;

    // A run compares what git's checksum names as it writes down what it read.
    let small = std::fs::canonicalize(snapshot.folder.join(SMALL))?;
    std::fs::write(&small, "# Lies!\n")?;
    let error = snapshot.record(&id()).expect_err("another content");
    ensure!(matches!(&error, HubError::Spoiled { path, .. } if *path == small), "{error}");
    desk.fetch()?;
    snapshot.record(&id())?;

    // A blob without a snapshot's link, as another commit may have left it.
    let desk = Desk::new();
    std::fs::create_dir_all(desk.folder().join("blobs"))?;
    std::fs::write(desk.blob().0, vec![7; BYTES])?;
    desk.assert_whole()
}

/// Weights whose content is another than their name in the cache says are not judged, and fetching mends them.
#[test]
fn a_spoiled_backbone_is_not_judged() -> Test {
    let folder = tempfile::tempdir()?;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/assets/nano");
    let mut files = Vec::new();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        files.push(SiteFile { path: name.into(), content: std::fs::read(assets.join(name))?, large: name.starts_with("model") });
    }
    let site = Site::new("models/owner/tiny", COMMIT, files);
    let program = Program { folder: folder.path(), endpoint: &site.endpoint };
    program.expect(&["model", "fetch", "owner/tiny"], &[], 0, &[]);
    let snapshot = folder.path().join("hf/hub/models--owner--tiny/snapshots").join(COMMIT);
    let weights = std::fs::canonicalize(snapshot.join("model.safetensors"))?;
    let mut bytes = std::fs::read(&weights)?;
    // The sign of one weight.
    *bytes.last_mut().context("weights")? ^= 0x80;
    std::fs::write(&weights, bytes)?;
    let eval = ["eval", "--backbone", "owner/tiny", "--dataset", "icongen", "--limit", "4", "--out", "judged"];
    program.expect(
        &eval,
        &[],
        1,
        &["model.safetensors: its content has SHA-256", &format!("`fedbench model fetch owner/tiny@{COMMIT}`")],
    );
    program.expect(&["model", "fetch", "owner/tiny"], &[], 0, &["model.safetensors in the cache is not what the Hub lists"]);
    program.expect(&eval, &[], 0, &["accuracy"]);
    Ok(())
}

/// Whatever lies where we write is neither followed nor waited for.
#[test]
fn links_and_pipes_in_the_cache_lead_nowhere() -> Test {
    let desk = Desk::new();
    let theirs = desk.cache.path().join("theirs");
    std::fs::write(&theirs, "theirs")?;
    std::fs::create_dir_all(desk.folder().join("blobs"))?;
    std::os::unix::fs::symlink(&theirs, desk.blob().1)?;
    std::fs::create_dir_all(desk.folder().join("refs"))?;
    std::os::unix::fs::symlink(&theirs, desk.folder().join("refs/main"))?;
    std::os::unix::fs::symlink(&theirs, desk.folder().join("refs/.main.part"))?;
    desk.assert_whole()?;
    assert_eq!(std::fs::read_to_string(&theirs)?, "theirs");
    assert_eq!(std::fs::read_to_string(desk.folder().join("refs/main"))?, COMMIT);

    let desk = Desk::new();
    pipe(&desk.blob().1);
    pipe(&desk.folder().join("refs/main"));
    assert!(desk.hub().cached(&id()).is_none());
    desk.assert_whole()?;

    let desk = Desk::new();
    let lock = desk.cache.path().join(".locks/datasets--owner--name").join(format!("{}.lock", desk.large().sha256()));
    pipe(&lock);
    desk.fails(&["the Hub's cache cannot be used", ".lock", "a pipe, a socket or a device", "HF_HUB_CACHE"]);
    Ok(())
}

/// A link to a folder above would otherwise be walked through.
#[test]
fn a_snapshot_holds_what_lies_in_it() -> Test {
    let desk = Desk::new();
    desk.assert_whole()?;
    let snapshot = desk.folder().join("snapshots").join(COMMIT);
    std::os::unix::fs::symlink("/", snapshot.join("all"))?;
    std::fs::write(snapshot.join("a\u{1b}b"), "x")?;
    pipe(&snapshot.join("pipe"));
    assert_eq!(desk.hub().cached(&id()).context("at hand")?.files, [SMALL, LARGE]);
    Ok(())
}

#[test]
fn a_cache_that_cannot_be_written_is_found_first() -> Test {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("hf"), "a file where the cache would be")?;
    let desk = Desk::new();
    let program = Program { folder: folder.path(), endpoint: &desk.site.endpoint };
    let says = ["the Hub's cache cannot be used", "HF_HUB_CACHE, or HF_HOME, names another folder"];
    program.expect(&["data", "fetch", "owner/name"], &[], 1, &says);
    program.expect(&["model", "fetch", "owner/name"], &[], 1, &says);
    assert!(desk.site.seen("").is_empty(), "nobody was asked");
    Ok(())
}

/// Python's variable is obeyed, and a server that says nothing is not waited for longer.
#[test]
fn the_time_limit_is_pythons() -> Test {
    let folder = tempfile::tempdir()?;
    let desk = Desk::new();
    let program = Program { folder: folder.path(), endpoint: &desk.site.endpoint };
    program.expect(
        &["data", "fetch", "owner/name"],
        &[("HF_HUB_DOWNLOAD_TIMEOUT", "soon")],
        2,
        &["HF_HUB_DOWNLOAD_TIMEOUT: expected whole seconds from 1 to 3600"],
    );
    desk.site.fault("/api/", Fault::Silent);
    let says = ["the server was silent for too long", "1 s for an answer's head", "1 files in"];
    program.expect(&["data", "fetch", "owner/name", "--include", LARGE], &[("HF_HUB_DOWNLOAD_TIMEOUT", "1")], 0, &says);
    Ok(())
}

/// What a server says in a header is shown in part, and on one line.
#[test]
fn what_a_server_says_is_short() -> Test {
    let desk = Desk::new();
    let long: &'static str = Box::leak("x".repeat(30_000).into_boxed_str());
    for (path, fault) in [
        ("/resolve/", Fault::Status(418, "X-Error-Message", long)),
        ("/resolve/", Fault::Header("X-Repo-Commit", long)),
        ("/resolve/", Fault::Header("X-Linked-Etag", long)),
        ("/resolve/", Fault::Header("X-Linked-Size", long)),
    ] {
        desk.site.fault(path, fault);
        let error = desk.fetch().expect_err("refused").to_string();
        ensure!(error.len() < 1000 && error.contains("characters"), "{} characters", error.len());
    }
    Ok(())
}

/// A listing of another shape, too long or too deep is an error at once.
#[test]
fn nonsense_is_no_listing() {
    let deep: Value = (0..100).fold(Value::Null, |inner, _| json!([inner]));
    let desk = Desk::new();
    desk.site.list_besides(json!({ "rfilename": "x", "size": 1, "blobId": "a".repeat(40), "lfs": deep }));
    desk.fails(&["/api/", "no listing"]);
    let desk = Desk::new();
    desk.site.list_besides(json!({ "rfilename": "x", "size": -1, "blobId": "a".repeat(40) }));
    desk.fails(&["/api/", "no listing"]);
    let nobody = Settings { endpoint: format!("{}/nothing", desk.site.endpoint), ..desk.settings.clone() };
    let error = Hub::new(nobody).plan(&id(), &Wanted::parquet(), &()).expect_err("nothing there").to_string();
    assert!(error.contains("404") && !error.contains(SIGNATURE), "{error}");
}
