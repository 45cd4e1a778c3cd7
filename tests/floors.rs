//! The floors of ARCHITECTURE.md: what each crate of the workspace may see, and that no files of a crate import each other in a
//! circle.

mod files;
mod packages;

use std::fs;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use self::packages::{Floor, Packages};
use crate::support::Test;

/// The crate that sees all the others.
const TOP: &str = "fedbench";

/// All others.
const FLOORS: &[Floor] = &[
    ("seed", &[], &["candle", "arrow", "parquet", "polars"]),
    ("guard", &[], &["candle", "arrow", "parquet", "polars"]),
    ("line", &["guard"], &["candle", "arrow", "parquet", "polars"]),
    ("schema", &["guard"], &["candle", "arrow", "parquet", "polars"]),
    ("data-scripts", &["guard", "schema", "seed"], &["candle", "polars"]),
    ("reports", &["guard", "schema", "seed"], &["candle"]),
    ("machine", &[], &["candle", "arrow", "parquet", "polars"]),
    ("data", &["guard", "schema", "seed"], &["candle", "polars"]),
    ("models", &["data", "guard", "machine", "schema", "seed"], &["polars"]),
    ("decoder", &["data", "guard", "line", "machine", "models", "schema", "seed"], &["polars"]),
    ("tasks", &["data", "guard", "machine", "models", "schema", "seed"], &["polars"]),
    ("federation", &["data", "guard", "machine", "models", "schema", "seed", "tasks"], &["polars"]),
    ("remote", &["data", "federation", "guard", "line", "machine", "models", "schema", "seed", "tasks"], &["polars"]),
    ("study", &["data", "federation", "guard", "machine", "models", "schema", "seed", "tasks"], &["polars"]),
    ("baselines", &["data", "federation", "guard", "machine", "models", "schema", "seed", "tasks"], &["polars"]),
    (
        "bench",
        &["baselines", "data", "data-scripts", "federation", "guard", "machine", "models", "schema", "seed", "study", "tasks"],
        &["polars"],
    ),
];

fn workspace() -> Result<Packages> {
    Packages::read(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// Nobody sees up or sideways, and neither candle nor polars crosses its floor.
#[test]
fn nobody_sees_up_or_sideways() -> Test {
    let faults = workspace()?.faults(FLOORS, TOP)?;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// The test sees dependencies at all: models compute with candle, reports with polars.
#[test]
fn floors_are_seen() -> Test {
    let packages = workspace()?;
    for (name, library) in
        [("models", "candle-core"), ("baselines", "candle-core"), ("reports", "polars"), ("data-scripts", "arrow-array")]
    {
        assert!(packages.below(name)?.contains(library), "`{name}` no longer depends on {library}: is this test still right?");
    }
    Ok(())
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() -> Test {
    for (name, root) in &workspace()?.roots {
        let circles = files::circles(root)?;
        assert!(circles.is_empty(), "circles in `{name}`, each by its arrows:\n\n{}", circles.join("\n"));
    }
    Ok(())
}

/// Writes files, with their folders.
fn write(root: &Path, files: &[(&str, &str)]) -> Test {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// A workspace of two floors and a library, with a line planted into the lower one's dependencies.
#[test]
fn a_planted_arrow_between_crates_is_found() -> Test {
    let manifest = |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\n{rest}\n");
    let floors: [Floor; 2] = [("low", &[], &["candle"]), ("high", &["low"], &["polars"])];
    for (planted, expected) in [
        ("", None),
        ("high = { path = \"../high\" }", Some("`low` depends on `high`; it may see [] of ours")),
        ("candle-core = { path = \"../candle-core\" }", Some("`low` depends on candle-core, which it may not see")),
        ("unnamed = { path = \"../unnamed\" }", Some("on which floor is `unnamed`? The table of floors does not say")),
    ] {
        let root = TempDir::new()?;
        let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"low\", \"high\"]\nexclude = [\"candle-core\"]\n";
        let down = if planted.is_empty() { "low = { path = \"../low\" }" } else { "" };
        write(root.path(), &[("Cargo.toml", workspace), ("low/Cargo.toml", &manifest("low", planted))])?;
        write(root.path(), &[("high/Cargo.toml", &manifest("high", down))])?;
        for name in ["candle-core", "unnamed"] {
            write(root.path(), &[(&format!("{name}/Cargo.toml"), &manifest(name, ""))])?;
        }
        for name in ["low", "high", "candle-core", "unnamed"] {
            write(root.path(), &[(&format!("{name}/src/lib.rs"), "")])?;
        }
        let faults = Packages::read(root.path())?.faults(&floors, "top")?;
        assert_eq!(faults.contains(&expected.unwrap_or_default().to_owned()), expected.is_some(), "{planted}: {faults:?}");
        assert_eq!(faults.is_empty(), expected.is_none(), "{planted}: {faults:?}");
    }
    Ok(())
}

/// The circles of a crate of these files, as they are told.
fn circles(files: &[(&str, &str)]) -> Result<String> {
    let root = TempDir::new()?;
    write(root.path(), files)?;
    Ok(files::circles(&root.path().join("lib.rs"))?.join("\n"))
}

#[test]
fn a_planted_circle_of_files_is_found() -> Test {
    let face = ("lib.rs", "mod a;\nmod b;\npub use a::A;\n");
    // Through a face that re-exports, in a path, in a macro's words, for serde, through a glob, from a function's body.
    for back in [
        "pub fn b() -> crate::A { todo!() }",
        "use crate::A; pub fn b() -> A { todo!() }",
        "pub fn b() { println!(\"{:?}\", [crate::A]) }",
        "#[derive(Deserialize)] pub struct b { #[serde(default = \"crate::a::A\")] x: u8 }",
        "use crate::a::*; pub fn b() -> Option<A> { None }",
        "pub fn b() { use super::a as other; drop(other::A) }",
    ] {
        let told = circles(&[face, ("a.rs", "use crate::b; pub struct A; fn a() { b::b() }"), ("b.rs", back)])?;
        assert_eq!(told, "a.rs -> b.rs: b\nb.rs -> a.rs: A\n", "{back}");
    }
    // A parent defines what its child takes, and takes what its child defines.
    let parent = ("lib.rs", "mod child; pub struct Own; pub use child::made;");
    let told = circles(&[parent, ("child.rs", "pub fn made() -> super::Own { super::Own }")])?;
    assert_eq!(told, "lib.rs -> child.rs: made\nchild.rs -> lib.rs: Own\n");
    // A macro makes what is taken.
    let maker = ("b.rs", "made! { pub struct Made; }\npub fn b() -> crate::A { todo!() }");
    assert_eq!(
        circles(&[face, ("a.rs", "use crate::b::Made; pub struct A(Made);"), maker])?,
        "a.rs -> b.rs: Made\nb.rs -> a.rs: A\n"
    );
    // Three in a row, in folders.
    let files = [
        ("lib.rs", "mod x; mod z;"),
        ("x/mod.rs", "mod y; pub struct X(pub y::Y);"),
        ("x/y.rs", "pub struct Y(pub crate::z::Z);"),
        ("z.rs", "pub struct Z(pub Vec<crate::x::X>);"),
    ];
    assert_eq!(circles(&files)?, "x/mod.rs -> x/y.rs: Y\nx/y.rs -> z.rs: Z\nz.rs -> x/mod.rs: X\n");
    Ok(())
}

#[test]
fn what_is_no_circle_is_none() -> Test {
    let face = ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::b;\n");
    let a = ("a.rs", "pub struct A;\n#[cfg(test)]\nmod tests { use crate::b; fn t() { b() } }\n");
    // Down through a face; up in tests alone, or in words that name nothing.
    assert_eq!(circles(&[face, a, ("b.rs", "pub fn b() -> crate::A { crate::A }")])?, "");
    assert_eq!(
        circles(&[face, ("a.rs", "/// [`crate::b`]\npub struct A;"), ("b.rs", "pub fn b() -> crate::A { todo!() }")])?,
        ""
    );
    let apart = ("lib.rs", "mod a;\n#[cfg(test)]\nmod elsewhere;\n");
    assert_eq!(circles(&[apart, ("a.rs", "pub struct A;\n#[cfg(test)]\nuse crate::elsewhere;\n")])?, "");
    // Where the reader does not follow, it says so.
    let error =
        circles(&[("lib.rs", "mod a;"), ("a.rs", "use crate::nowhere; pub struct A;")]).expect_err("no such name").to_string();
    assert!(error.contains("`a.rs`: `crate::nowhere` leads nowhere"), "{error}");
    Ok(())
}
