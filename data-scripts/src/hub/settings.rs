//! Where the Hub is, where its cache is and who asks: the environment variables of Python's huggingface_hub.

use std::path::PathBuf;
use std::time::Duration;

use super::error::HubError;

/// Where the Hub is without `HF_ENDPOINT`.
const ENDPOINT: &str = "https://huggingface.co";

/// What the environment says of the Hub.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// `HF_ENDPOINT`, without a slash at the end.
    pub endpoint: String,
    /// `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `huggingface/hub` in the user's cache folder.
    pub cache: PathBuf,
    /// `HF_TOKEN`, else what the file `HF_TOKEN_PATH` or `token` in `HF_HOME` holds.
    pub token: Option<String>,
    /// `HF_HUB_OFFLINE`: the network is not used at all.
    pub offline: bool,
    /// The first pause before trying again, in milliseconds; it doubles.
    pub pause_milliseconds: u64,
    /// How long a server may take.
    pub limits: Limits,
}

/// How long a server may take before an attempt has failed, so that none holds a command for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To find the server and to connect to it, each.
    pub connect: Duration,
    /// To take a request, and then for the whole head of the answer, each.
    pub head: Duration,
    /// Between two pieces of an answer.
    pub silence: Duration,
    /// In this time ...
    pub window: Duration,
    /// ... so many bytes of an answer must come, unless it ends.
    pub least: u64,
}

impl Default for Limits {
    /// Python's client waits 10 seconds for a head and between two pieces; the slowest line that is waited for brings 1 KiB a second.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), head: seconds(15), silence: seconds(15), window: seconds(15), least: 15 << 10 }
    }
}

impl Limits {
    /// The longest wait that `HF_HUB_DOWNLOAD_TIMEOUT` may ask for, in seconds.
    const LONGEST: u64 = 3600;

    /// Heads and silences as `HF_HUB_DOWNLOAD_TIMEOUT` says, where it says anything.
    fn stated(given: Option<String>) -> Result<Self, HubError> {
        let Some(given) = given else { return Ok(Self::default()) };
        match given.trim().parse() {
            Ok(seconds @ 1..=Self::LONGEST) => {
                let wait = Duration::from_secs(seconds);
                Ok(Self { head: wait, silence: wait, ..Self::default() })
            }
            _ => {
                let message = format!("expected whole seconds from 1 to {}", Self::LONGEST);
                Err(HubError::Variable { variable: "HF_HUB_DOWNLOAD_TIMEOUT", message })
            }
        }
    }
}

/// The longest file that holds a token.
const LONGEST_TOKEN_FILE: u64 = 16 << 10;

/// Says whether there is a token, never which.
impl std::fmt::Debug for Settings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = if self.token.is_some() { "set" } else { "none" };
        write!(
            out,
            "Settings {{ endpoint: {}, cache: {:?}, token: {token}, offline: {} }}",
            self.endpoint, self.cache, self.offline
        )
    }
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_env() -> Result<Self, HubError> {
        Self::read(|name| std::env::var_os(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty()))
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let path = |name: &str| variable(name).map(PathBuf::from);
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| path("HOME").or_else(|| path("USERPROFILE")).map(|home| home.join(".cache/huggingface")))
            .unwrap_or_else(|| PathBuf::from(".cache/huggingface"));
        let file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let written = || String::from_utf8(guard::files::read(&file, LONGEST_TOKEN_FILE).ok()?).ok();
        let token = variable("HF_TOKEN").or_else(written).map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let truths = ["1", "on", "yes", "true"];
        Ok(Self {
            endpoint: endpoint(variable("HF_ENDPOINT"))?,
            cache: path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| home.join("hub")),
            token: sound(token)?,
            offline: variable("HF_HUB_OFFLINE").is_some_and(|value| truths.contains(&value.to_lowercase().as_str())),
            pause_milliseconds: 1000,
            limits: Limits::stated(variable("HF_HUB_DOWNLOAD_TIMEOUT"))?,
        })
    }
}

fn endpoint(given: Option<String>) -> Result<String, HubError> {
    let endpoint = given.unwrap_or_else(|| ENDPOINT.into());
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://")).unwrap_or_default();
    if host.is_empty() || host.contains(['@', '?', '#']) || host.chars().any(char::is_whitespace) {
        let message = "expected an address such as https://huggingface.co, with neither user nor query".into();
        return Err(HubError::Variable { variable: "HF_ENDPOINT", message });
    }
    Ok(endpoint.trim_end_matches('/').into())
}

/// A token goes into a header, where it could otherwise write further ones.
fn sound(token: Option<String>) -> Result<Option<String>, HubError> {
    match token {
        Some(token) if !token.chars().all(|c| c.is_ascii_graphic()) => {
            let message = "the token holds characters that no token has (its value is not shown)".into();
            Err(HubError::Variable { variable: "HF_TOKEN", message })
        }
        token => Ok(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        Settings::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn the_variables_of_pythons_client() {
        let settings = read(&[("HOME", "/h")]).unwrap();
        assert_eq!(settings.cache, PathBuf::from("/h/.cache/huggingface/hub"));
        assert_eq!((settings.endpoint.as_str(), settings.token, settings.offline), (ENDPOINT, None, false));
        let given = [("HF_HOME", "/x"), ("HF_ENDPOINT", "http://127.0.0.1:9/"), ("HF_TOKEN", " t\n"), ("HF_HUB_OFFLINE", "True")];
        let settings = read(&given).unwrap();
        assert_eq!((settings.cache, settings.endpoint.as_str()), (PathBuf::from("/x/hub"), "http://127.0.0.1:9"));
        assert_eq!((settings.token.as_deref(), settings.offline), (Some("t"), true));
        assert_eq!(read(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/x")]).unwrap().cache, PathBuf::from("/c"));
        let limits = read(&[("HF_HUB_DOWNLOAD_TIMEOUT", "3")]).unwrap().limits;
        assert_eq!(
            (limits.head, limits.silence, limits.connect),
            (Duration::from_secs(3), Duration::from_secs(3), Limits::default().connect)
        );
        for wrong in ["0", "-1", "1e9", "9999", "soon"] {
            let error = read(&[("HF_HUB_DOWNLOAD_TIMEOUT", wrong)]).unwrap_err().to_string();
            assert!(error.contains("HF_HUB_DOWNLOAD_TIMEOUT: expected whole seconds from 1 to 3600"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_value() {
        for endpoint in ["huggingface.co", "https://user:secret@host", "https://"] {
            let error = read(&[("HF_ENDPOINT", endpoint)]).unwrap_err().to_string();
            assert!(error.contains("HF_ENDPOINT") && !error.contains("secret"), "{error}");
        }
        let error = read(&[("HF_TOKEN", "hf_secret\r\nx: y")]).unwrap_err().to_string();
        assert!(error.contains("HF_TOKEN") && !error.contains("secret"), "{error}");
        assert!(!format!("{:?}", read(&[("HF_TOKEN", "hf_secret")]).unwrap()).contains("secret"));
    }
}
