//! Names on the Hub: `owner/name@revision`, and the paths and checksums that its answers hold.
//!
//! All of them become paths in the cache, so none is taken as it comes.

use hf_hub::{Repo, RepoType};
use schema::record::RepoKind;

use super::error::HubError;

/// The branch that is meant without a revision.
pub const MAIN: &str = "main";

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    /// Which of the Hub's two namespaces it is in: a model and a dataset may share a name.
    pub kind: RepoKind,
    /// `owner/name`; a few old models have no owner.
    pub name: String,
    /// A branch, a tag or (pinned) a commit.
    pub revision: String,
}

impl HubId {
    /// Reads `owner/name` or `owner/name@revision`.
    pub fn parse(kind: RepoKind, text: &str) -> Result<Self, HubError> {
        let (name, revision) = text.split_once('@').unwrap_or((text, MAIN));
        Self::new(kind, name, revision)
    }

    /// A repository's name and a revision.
    pub fn new(kind: RepoKind, name: &str, revision: &str) -> Result<Self, HubError> {
        match wrong_name(name).or_else(|| wrong_revision(revision)) {
            Some(why) => Err(HubError::Id { text: guard::text::line(&format!("{name}@{revision}"), 120), why }),
            None => Ok(Self { kind, name: name.into(), revision: revision.into() }),
        }
    }

    /// The same in hf-hub's words.
    pub(super) fn repo(&self, revision: &str) -> Repo {
        let kind = match self.kind {
            RepoKind::Model => RepoType::Model,
            RepoKind::Dataset => RepoType::Dataset,
        };
        Repo::with_revision(self.name.clone(), kind, revision.into())
    }
}

impl std::fmt::Display for HubId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}@{}", self.name, self.revision)
    }
}

/// What the Hub forbids in names, and what would leave the cache's folder.
fn wrong_name(name: &str) -> Option<&'static str> {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 2 {
        return Some("a name has at most one `/`");
    }
    let wrong = |part: &&str| {
        part.is_empty()
            || part.starts_with(['-', '.'])
            || part.ends_with(['-', '.'])
            || part.contains("..")
            || part.contains("--")
            || part.len() > 96
            || !part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    parts
        .iter()
        .any(wrong)
        .then_some("a name has letters, digits, `-`, `_` and `.`, and neither begins, ends nor doubles in `-` or `.`")
}

fn wrong_revision(revision: &str) -> Option<&'static str> {
    (!is_inside(revision) || !revision.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)))
        .then_some("a revision is a branch, a tag or a commit")
}

/// The longest name of a file or folder that file systems take, in bytes.
const LONGEST_PART: usize = 255;
/// How many folders deep a file may lie: so deep is searched for it again.
pub(super) const DEEPEST: usize = 8;

/// Whether a path from an answer stays inside the folder it is put in, under names that a file system takes and that a terminal
/// shows as they are.
pub(super) fn is_inside(path: &str) -> bool {
    let sound = |part: &str| {
        !part.is_empty()
            && part.len() <= LONGEST_PART
            && part != "."
            && part != ".."
            && !part.contains(|c| matches!(c, '\\' | ':') || guard::text::is_treacherous(c))
    };
    path.split('/').all(sound) && path.split('/').nth(DEEPEST + 1).is_none()
}

/// Whether a text is a full commit: 40 hexadecimal digits.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_hexadecimal(text)
}

fn is_hexadecimal(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// A file's checksum, by which the Hub and the cache name its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Etag {
    /// SHA-256, for files in large file storage.
    Sha256(String),
    /// git's blob id (SHA-1 over a header and the content), for the others.
    Git(String),
}

impl Etag {
    /// Reads an etag as the Hub writes it, quotes or not; none for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches("W/").trim_matches('"');
        match text.len() {
            64 if is_hexadecimal(text) => Some(Self::Sha256(text.into())),
            40 if is_hexadecimal(text) => Some(Self::Git(text.into())),
            _ => None,
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::Git(digits) => digits,
        }
    }
}

/// Percent-encodes what may not stand in an address's path; `/` stays.
pub(super) fn encoded(path: &str) -> String {
    let mut address = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => address.push(char::from(byte)),
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address
}

/// Whether a file's path fits a pattern, whose `*` stand for any characters but `/`.
pub fn fits(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if guard::stars::fits(pattern, part) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_an_owner_a_name_and_a_revision() {
        let id = HubId::parse(RepoKind::Model, "llava-hf/llava-1.5-7b-hf@v1.0").unwrap();
        assert_eq!((id.name.as_str(), id.revision.as_str()), ("llava-hf/llava-1.5-7b-hf", "v1.0"));
        assert_eq!(HubId::parse(RepoKind::Dataset, "a/b").unwrap().revision, MAIN);
        assert_eq!(HubId::parse(RepoKind::Dataset, "a/b@refs/convert/parquet").unwrap().revision, "refs/convert/parquet");
        for text in ["", "a/b/c", "../b", "a/..", "a/b c", "a/b@", "a/b@../x", "a/b@/x", "a//b", "a/b@x y", "-a/b", "a--b/c"] {
            let error = HubId::parse(RepoKind::Model, text).unwrap_err().to_string();
            assert!(error.contains("is no Hub id") && error.contains("owner/name@revision"), "{text}: {error}");
        }
    }

    #[test]
    fn paths_of_answers_stay_inside() {
        assert!(is_inside("data/train-00000-of-00001.parquet"));
        assert!(is_inside("ü/数据-é.parquet"));
        for path in ["", "/etc/passwd", "../x", "a/../x", "a//b", "a\\b", "C:x", ".", "a\u{1b}[31m", "a\nb", "a\u{202e}b", "a\0"]
        {
            assert!(!is_inside(path), "{path}");
        }
        assert!(is_inside(&"x".repeat(255)) && !is_inside(&"x".repeat(256)));
        assert!(is_inside(&format!("{}x", "a/".repeat(8))) && !is_inside(&format!("{}x", "a/".repeat(9))));
    }

    #[test]
    fn stars_stand_for_anything_but_a_slash() {
        for (pattern, path, expect) in [
            ("data/test-*.parquet", "data/test-00000-of-00002.parquet", true),
            ("data/test-*.parquet", "data/testdev-00000-of-00002.parquet", false),
            ("*.json", "config.json", true),
            ("*.json", "onnx/config.json", false),
            ("model*.safetensors", "model.safetensors", true),
            ("*/*.parquet", "a/b.parquet", true),
            ("ab*ba", "aba", false),
            ("a*a", "a", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("a**b", "ab", true),
            ("**/x", "a/x", true),
            ("**/x", "a/b/x", false),
            ("*", "", true),
            ("*b", "abab", true),
            ("é*é", "éé", true),
        ] {
            assert_eq!(fits(pattern, path), expect, "{pattern} {path}");
        }
        assert!(!fits(&"*a".repeat(10_000), &"a".repeat(9_999)), "and at once");
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(encoded("a b/ü#?.json"), "a%20b/%C3%BC%23%3F.json");
    }
}
