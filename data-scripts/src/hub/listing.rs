//! What a repository holds at a revision: the Hub's API, `/api/{models,datasets}/<name>/revision/<revision>?blobs=true`.

use serde::Deserialize;

use super::error::HubError;
use super::id::{Etag, HubId, fits, is_commit, is_inside};

/// The largest listing that is read.
pub(super) const LARGEST: u64 = 64 << 20;
/// Files that a message names.
const SHOWN: usize = 8;

/// What a repository holds at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The commit that the revision is.
    pub commit: String,
    /// The licence that its card states; none where it states none.
    pub license: Option<String>,
    /// Its files.
    pub files: Vec<Remote>,
}

/// A file on the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its path in the repository.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksum.
    pub etag: Etag,
}

/// The answer, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default)]
    card_data: Option<CardData>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct CardData {
    #[serde(default)]
    license: Option<serde_json::Value>,
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

impl Listing {
    /// Reads an answer: the files that fit one of the patterns; each of the needed ones must have some. `url` is for messages.
    pub(super) fn read(url: &str, id: &HubId, text: &str, needed: &[String], patterns: &[&str]) -> Result<Self, HubError> {
        let answer: Answer = serde_json::from_str(text).map_err(|error| HubError::answer(url, format!("no listing: {error}")))?;
        if !is_commit(&answer.sha) {
            return Err(HubError::answer(url, format!("`sha` is `{}`, which is no commit", shortened(&answer.sha))));
        }
        let license = license(&answer);
        let there: Vec<String> = answer.siblings.iter().map(|file| file.rfilename.clone()).collect();
        let wanted = answer.siblings.into_iter().filter(|file| patterns.iter().any(|pattern| fits(pattern, &file.rfilename)));
        let files: Vec<Remote> = wanted.map(|file| remote(url, file)).collect::<Result<_, _>>()?;
        if let Some(pattern) = needed.iter().find(|pattern| !there.iter().any(|path| fits(pattern, path))) {
            return Err(no_file(id, pattern, &there));
        }
        if files.is_empty() {
            return Err(no_file(id, &patterns.join("`, `"), &there));
        }
        Ok(Self { commit: answer.sha, license, files })
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

fn remote(url: &str, file: Sibling) -> Result<Remote, HubError> {
    let path = file.rfilename;
    let bad = |message: &str| HubError::answer(url, format!("file `{}` {message}", shortened(&path)));
    if !is_inside(&path) {
        return Err(bad("would lie outside the folder that it belongs in"));
    }
    let (digits, size) = match (file.lfs, file.blob_id) {
        (Some(lfs), _) => (Some(lfs.sha256), Some(lfs.size)),
        (None, digits) => (digits, file.size),
    };
    let etag = digits.as_deref().and_then(Etag::parse).ok_or_else(|| bad("has no checksum; nothing is fetched unchecked"))?;
    let size = size.ok_or_else(|| bad("has no size"))?;
    Ok(Remote { path, size, etag })
}

/// From the card's head, else from the tags.
fn license(answer: &Answer) -> Option<String> {
    let stated = match answer.card_data.as_ref().and_then(|card| card.license.as_ref()) {
        Some(serde_json::Value::String(license)) => Some(license.clone()),
        Some(serde_json::Value::Array(all)) => {
            Some(all.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    };
    stated.or_else(|| answer.tags.iter().find_map(|tag| tag.strip_prefix("license:").map(str::to_owned)))
}

fn no_file(id: &HubId, pattern: &str, there: &[String]) -> HubError {
    let nearest = schema::nearest(pattern, there.iter().map(String::as_str));
    let shown: Vec<String> = nearest.iter().take(SHOWN).map(|path| format!("`{}`", shortened(path))).collect();
    let there = if shown.is_empty() { "none".into() } else { shown.join(", ") };
    HubError::NoFile { repo: id.to_string(), patterns: format!("`{pattern}`"), there }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use schema::record::RepoKind;

    use super::*;

    fn read(files: &str, patterns: &[&str]) -> Result<Listing, HubError> {
        let id = HubId::parse(RepoKind::Dataset, "a/b").unwrap();
        let text = format!(r#"{{"sha": "{}", "siblings": [{files}], "tags": ["license:mit"]}}"#, "0".repeat(40));
        let needed: Vec<String> = patterns.iter().filter(|pattern| !pattern.contains('*')).map(ToString::to_string).collect();
        Listing::read("http://h/api", &id, &text, &needed, patterns)
    }

    fn file(path: &str) -> String {
        format!(r#"{{"rfilename": "{path}", "size": 3, "blobId": "{}"}}"#, "a".repeat(40))
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
            (r#"{"rfilename": "x", "size": 3}"#.into(), "has no checksum"),
            (r#"{"rfilename": "x", "size": 3, "blobId": "../../x"}"#.into(), "has no checksum"),
            (format!(r#"{{"rfilename": "x", "blobId": "{}"}}"#, "a".repeat(40)), "has no size"),
            ("3".into(), "no listing"),
        ] {
            let error = read(&files, &["*", "../*", "/*"]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_lists_what_is() {
        let error = read(&file("train.parquet"), &["tran.parquet"]).unwrap_err().to_string();
        assert!(error.contains("`a/b@main` has no file that fits `tran.parquet`; there are: `train.parquet`"), "{error}");
    }
}
