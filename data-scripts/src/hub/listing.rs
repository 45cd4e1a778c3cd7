//! What a repository holds at a revision: the Hub's API, `/api/{models,datasets}/<name>/revision/<revision>?blobs=true`.

use std::collections::BTreeSet;
use std::fmt;

use guard::text;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::HubError;
use super::id::{DEEPEST, Etag, HubId, fits, is_commit, is_inside};

/// Bytes of a listing; a longer answer is an error.
pub(super) const LARGEST: u64 = 64 << 20;
/// The most files of one: the Hub advises against more than half as many.
const MOST_FILES: usize = 200_000;
/// The largest file that is believed in, 16 TiB: so the sum of all fits its type.
const LARGEST_FILE: u64 = 1 << 44;
/// Files that a message names, out of so many that it looks at.
const SHOWN: usize = 8;
const LOOKED_AT: usize = 2000;
/// Characters of a name that a message shows.
const NAME: usize = 120;

/// A listing as it came.
pub(super) struct Told {
    /// What was asked for; for messages.
    pub url: String,
    /// Scheme, host and port of who answered.
    pub host: String,
    /// The answer's body, JSON.
    pub text: String,
}

/// What a repository holds at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The commit that the revision is.
    pub commit: String,
    /// The licence that its card states; none where it states none.
    pub license: Option<String>,
    /// Scheme, host and port of who says all this: not the Hub's own where that sent the question on.
    pub host: String,
    /// Those of its files that are wanted, by path.
    pub files: Vec<Remote>,
}

/// A file on the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// The checksum by which its content is known: of large files SHA-256, of others git's.
    pub etag: Etag,
}

/// The answer, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Siblings,
    #[serde(default)]
    card_data: Option<CardData>,
    #[serde(default)]
    tags: Texts,
}

#[derive(Deserialize)]
struct CardData {
    #[serde(default)]
    license: Texts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    blob_id: Option<String>,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// Not more files than are believed in.
#[derive(Default)]
struct Siblings(Vec<Sibling>);

impl<'de> Deserialize<'de> for Siblings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counted;
        impl<'de> Visitor<'de> for Counted {
            type Value = Siblings;
            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                write!(out, "a list of files")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Siblings, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = list.next_element()? {
                    if files.len() == MOST_FILES {
                        return Err(serde::de::Error::custom(format!("more than {MOST_FILES} files")));
                    }
                    files.push(file);
                }
                Ok(Siblings(files))
            }
        }
        deserializer.deserialize_seq(Counted)
    }
}

/// The first texts of a list, or one; nothing where something else stands.
#[derive(Default)]
struct Texts(Vec<String>);

/// Texts that are kept of a list; the Hub puts the licence among the first tags.
const TEXTS: usize = 1000;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Texts;
            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                write!(out, "texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.into()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while texts.len() < TEXTS
                    && let Some(text) = list.next_element()?
                {
                    texts.push(text);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Texts(texts))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Texts::default())
            }
            fn visit_unit<E>(self) -> Result<Texts, E> {
                Ok(Texts::default())
            }
            fn visit_bool<E>(self, _: bool) -> Result<Texts, E> {
                Ok(Texts::default())
            }
            fn visit_u64<E>(self, _: u64) -> Result<Texts, E> {
                Ok(Texts::default())
            }
            fn visit_i64<E>(self, _: i64) -> Result<Texts, E> {
                Ok(Texts::default())
            }
            fn visit_f64<E>(self, _: f64) -> Result<Texts, E> {
                Ok(Texts::default())
            }
        }
        deserializer.deserialize_any(First)
    }
}

impl Listing {
    /// Reads an answer: the files that fit one of the patterns; each of the needed ones must have some.
    pub(super) fn read(told: &Told, id: &HubId, needed: &[String], patterns: &[&str]) -> Result<Self, HubError> {
        let url = &told.url;
        let answer: Answer =
            serde_json::from_str(&told.text).map_err(|error| HubError::answer(url, format!("no listing: {error}")))?;
        if !is_commit(&answer.sha) {
            return Err(HubError::answer(url, format!("`sha` is `{}`, which is no commit", text::line(&answer.sha, NAME))));
        }
        let (license, siblings) = (license(&answer), answer.siblings.0);
        if let Some(pattern) = needed.iter().find(|pattern| !siblings.iter().any(|file| fits(pattern, &file.rfilename))) {
            return Err(no_file(id, pattern, &siblings));
        }
        let is_wanted = |file: &&Sibling| patterns.iter().any(|pattern| fits(pattern, &file.rfilename));
        let files: Vec<Remote> = siblings.iter().filter(is_wanted).map(|file| remote(url, file)).collect::<Result<_, _>>()?;
        if files.is_empty() {
            return Err(no_file(id, &patterns.join("`, `"), &siblings));
        }
        each_in_its_place(url, &files)?;
        Ok(Self { commit: answer.sha, license, host: told.host.clone(), files })
    }

    /// Bytes of all files together, at hand or not.
    pub fn bytes(&self) -> u64 {
        sum(&self.files)
    }
}

/// The files' bytes; never less than there are.
pub(super) fn sum(files: &[Remote]) -> u64 {
    files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
}

fn remote(url: &str, file: &Sibling) -> Result<Remote, HubError> {
    let path = &file.rfilename;
    let bad = |message: &str| HubError::answer(url, format!("file `{}` {message}", text::line(path, NAME)));
    if !is_inside(path) {
        return Err(bad(&format!(
            "would lie outside the folder that it belongs in, or under a name that is none: expected at most {DEEPEST} folders \
             deep, each name at most 255 bytes, without `\\`, `:` and control characters"
        )));
    }
    let (digits, size) = match (&file.lfs, &file.blob_id) {
        (Some(lfs), _) => (Some(&lfs.sha256), Some(lfs.size)),
        (None, digits) => (digits.as_ref(), file.size),
    };
    let etag =
        digits.and_then(|digits| Etag::parse(digits)).ok_or_else(|| bad("has no checksum; nothing is fetched unchecked"))?;
    let size = size.ok_or_else(|| bad("has no size"))?;
    if size > LARGEST_FILE {
        return Err(bad(&format!("is said to have {size} bytes; more than {LARGEST_FILE} are not believed")));
    }
    Ok(Remote { path: path.clone(), size, etag })
}

/// No file may have another one's place, or stand where another one's folder does.
fn each_in_its_place(url: &str, files: &[Remote]) -> Result<(), HubError> {
    let mut places = BTreeSet::new();
    let twice = files.iter().find(|file| !places.insert(file.path.as_str()));
    let above = |path: &str| path.match_indices('/').any(|(at, _)| places.contains(&path[..at]));
    match twice.or_else(|| files.iter().find(|file| above(&file.path))) {
        Some(file) => {
            let message = format!("file `{}` is listed twice, or below another file", text::line(&file.path, NAME));
            Err(HubError::answer(url, message))
        }
        None => Ok(()),
    }
}

/// From the card's head, else from the tags.
fn license(answer: &Answer) -> Option<String> {
    let stated = answer.card_data.as_ref().map(|card| card.license.0.join(", ")).filter(|license| !license.is_empty());
    let tagged = || answer.tags.0.iter().find_map(|tag| tag.strip_prefix("license:").map(str::to_owned));
    stated.or_else(tagged).map(|license| text::line(&license, NAME))
}

fn no_file(id: &HubId, pattern: &str, there: &[Sibling]) -> HubError {
    let nearest = schema::nearest(pattern, there.iter().take(LOOKED_AT).map(|file| file.rfilename.as_str()));
    let shown: Vec<String> = nearest.iter().take(SHOWN).map(|path| format!("`{}`", text::line(path, NAME))).collect();
    let there = if shown.is_empty() { "none".into() } else { shown.join(", ") };
    HubError::NoFile { repo: id.to_string(), patterns: format!("`{}`", text::line(pattern, 4 * NAME)), there }
}

#[cfg(test)]
mod tests {
    use schema::record::RepoKind;

    use super::*;

    fn read_text(text: String, patterns: &[&str]) -> Result<Listing, HubError> {
        let id = HubId::parse(RepoKind::Dataset, "a/b").unwrap();
        let needed: Vec<String> = patterns.iter().filter(|pattern| !pattern.contains('*')).map(ToString::to_string).collect();
        Listing::read(&Told { url: "http://h/api".into(), host: "http://h".into(), text }, &id, &needed, patterns)
    }

    fn read(files: &str, patterns: &[&str]) -> Result<Listing, HubError> {
        let text = format!(r#"{{"sha": "{}", "siblings": [{files}], "tags": ["license:mit"]}}"#, "0".repeat(40));
        read_text(text, patterns)
    }

    fn file(path: &str) -> String {
        format!(r#"{{"rfilename": "{path}", "size": 3, "blobId": "{}"}}"#, "a".repeat(40))
    }

    fn sized(path: &str, size: u64) -> String {
        format!(r#"{{"rfilename": "{path}", "size": {size}, "blobId": "{}"}}"#, "a".repeat(40))
    }

    #[test]
    fn files_have_a_size_and_a_checksum() {
        let lfs = format!(
            r#"{{"rfilename": "x.bin", "size": 9, "blobId": "b", "lfs": {{"sha256": "{}", "size": 9}}}}"#,
            "c".repeat(64)
        );
        let listing = read(&format!("{},{lfs}", file("x.json")), &["x.*"]).unwrap();
        assert_eq!((listing.bytes(), listing.license.as_deref()), (12, Some("mit")));
        assert_eq!(listing.files[1].etag, Etag::Sha256("c".repeat(64)));
    }

    #[test]
    fn hostile_answers_are_refused() {
        for (files, message) in [
            (file("../x"), "outside the folder"),
            (file("/x"), "outside the folder"),
            (
                file("a\\u001b[31mb"),
                "file `a\\u{1b}[31mb` would lie outside the folder that it belongs in, or under a name that is none",
            ),
            (file(&"x".repeat(256)), "each name at most 255 bytes"),
            (file(&format!("{}x", "a/".repeat(9))), "at most 8 folders deep"),
            (r#"{"rfilename": "x", "size": 3}"#.into(), "has no checksum"),
            (r#"{"rfilename": "x", "size": 3, "blobId": "../../x"}"#.into(), "has no checksum"),
            (format!(r#"{{"rfilename": "x", "blobId": "{}"}}"#, "a".repeat(40)), "has no size"),
            ("3".into(), "no listing"),
            (sized("x", u64::MAX), "file `x` is said to have 18446744073709551615 bytes; more than 17592186044416"),
            (format!("{},{}", file("x"), file("x")), "file `x` is listed twice, or below another file"),
            (format!("{},{}", file("x"), file("x/y")), "file `x/y` is listed twice, or below another file"),
            (vec!["{\"rfilename\":\"\"}"; MOST_FILES + 1].join(","), "more than 200000 files"),
            (format!(r#"{{"rfilename": "x", "deep": {}"#, "[".repeat(1_000_000)), "no listing"),
        ] {
            let error = read(&files, &["*", "*/*", "../*", "/*", &format!("{}*", "a/".repeat(9))]).unwrap_err().to_string();
            assert!(error.contains(message) && error.len() < 1000, "{message}: {error}");
        }
    }

    #[test]
    fn no_sum_of_sizes_wraps() {
        let most: Vec<String> = (0..3).map(|i| sized(&format!("{i}"), LARGEST_FILE)).collect();
        assert_eq!(read(&most.join(","), &["*"]).unwrap().bytes(), 3 * LARGEST_FILE);
        assert!(LARGEST_FILE.checked_mul(MOST_FILES as u64).is_some());
    }

    #[test]
    fn licences_are_stated_in_many_ways() {
        for (card, license) in [
            (r#"{"license": "mit"}"#, Some("mit")),
            (r#"{"license": ["mit", "x"], "other": {"a": [1]}}"#, Some("mit, x")),
            (r#"{"license": null}"#, Some("tagged")),
            (r#"{"license": {"a": 1}}"#, Some("tagged")),
            (r#"{"license": 7}"#, Some("tagged")),
            ("null", Some("tagged")),
        ] {
            let text = format!(
                r#"{{"sha": "{}", "siblings": [{}], "cardData": {card}, "tags": ["a", "license:tagged"]}}"#,
                "0".repeat(40),
                file("x")
            );
            assert_eq!(read_text(text, &["x"]).unwrap().license.as_deref(), license, "{card}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_lists_what_is() {
        let error = read(&file("train.parquet"), &["tran.parquet"]).unwrap_err().to_string();
        assert!(error.contains("`a/b@main` has no file that fits `tran.parquet`; there are: `train.parquet`"), "{error}");
    }
}
