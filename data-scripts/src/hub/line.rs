//! Requests to the Hub: redirects, statuses, and trying again.
//!
//! The token goes to the Hub's own host and nowhere else, and no further than the scheme it was meant for.

use std::time::Duration;

use hf_hub::Cache;
use hf_hub::api::sync::{Api, ApiBuilder};
use ureq::{Agent, Body, http::Response};

use super::Watch;
use super::error::HubError;
use super::id::HubId;
use super::listing;
use super::settings::Settings;

/// Attempts without progress before giving up.
const ATTEMPTS: u32 = 5;
/// The longest pause that is waited for, in seconds.
const LONGEST_PAUSE: u64 = 120;
/// Redirects that are followed for one file.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(30);
/// The longest silence on an open connection.
const SILENCE: Duration = Duration::from_secs(60);

/// An attempt that did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Trying again would change nothing.
    Final(HubError),
    /// It may pass.
    Passing {
        /// What went wrong.
        why: String,
        /// The status, 0 without one.
        status: u16,
        /// How long the Hub asks to wait, in seconds.
        wait: Option<u64>,
    },
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    /// Something that may pass, and no status.
    pub fn passing(why: impl Into<String>) -> Self {
        Self::Passing { why: why.into(), status: 0, wait: None }
    }
}

/// The line to the Hub.
pub(super) struct Line<'s> {
    settings: &'s Settings,
    api: Api,
    agent: Agent,
}

impl<'s> Line<'s> {
    pub fn new(settings: &'s Settings) -> Result<Self, HubError> {
        let api = ApiBuilder::from_cache(Cache::new(settings.cache.clone()))
            .with_endpoint(settings.endpoint.clone())
            .with_token(settings.token.clone())
            .with_progress(false)
            .with_user_agent("fedbench", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| HubError::answer(&settings.endpoint, format!("no client for it: {error}")))?;
        // A compressed body has another length than the file, and none of its ranges.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .accept_encoding("identity")
            .user_agent(concat!("fedbench/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build()
            .into();
        Ok(Self { settings, api, agent })
    }

    /// The address of a file of a commit.
    pub fn address(&self, id: &HubId, commit: &str, path: &str) -> String {
        self.api.repo(id.repo(commit)).url(&super::id::encoded(path))
    }

    /// The text of a repository's listing, and the address it came from.
    pub fn listing(&self, id: &HubId, watch: &dyn Watch) -> Result<(String, String), HubError> {
        let repo = id.repo(&id.revision);
        let url = format!("{}/api/{}", self.settings.endpoint, repo.api_url());
        let ask = || {
            let request = self.api.repo(repo.clone()).info_request().query("blobs", "true");
            let request = request.config().http_status_as_error(false).timeout_connect(Some(CONNECT));
            let answer = request.timeout_recv_response(Some(SILENCE)).timeout_per_read(Some(SILENCE)).build().call();
            let mut response = answer.map_err(|error| Failure::passing(error.to_string()))?;
            match response.status().as_u16() {
                200 => response
                    .body_mut()
                    .with_config()
                    .limit(listing::LARGEST)
                    .read_to_string()
                    .map_err(|error| Failure::passing(error.to_string())),
                _ => Err(self.refused(&url, id, &response, "repository or revision")),
            }
        };
        self.repeat(&url, watch, ask, || 0).map(|text| (url.clone(), text))
    }

    /// Asks for a file from a byte on. Every answer on the way is shown to `check` first.
    pub fn get(
        &self,
        url: &str,
        id: &HubId,
        from: u64,
        check: impl Fn(&Response<Body>) -> Result<(), HubError>,
    ) -> Result<Response<Body>, Failure> {
        let mut address = url.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(&address);
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            if let Some(token) = self.settings.token.as_ref().filter(|_| origin(&address) == origin(&self.settings.endpoint)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| Failure::passing(error.to_string()))?;
            check(&response)?;
            match response.status().as_u16() {
                200 | 206 | 416 => return Ok(response),
                301 | 302 | 303 | 307 | 308 => address = next(url, &address, header(&response, "location"))?,
                _ => return Err(self.refused(url, id, &response, "file")),
            }
        }
        Err(HubError::answer(url, format!("more than {REDIRECTS} redirects")).into())
    }

    /// What a status that is no success means.
    fn refused(&self, url: &str, id: &HubId, response: &Response<Body>, what: &str) -> Failure {
        let status = response.status().as_u16();
        let server = header(response, "x-error-message").unwrap_or_default();
        let server: String = server.chars().filter(|c| !c.is_control()).take(200).collect();
        match status {
            401 | 403 => HubError::Denied { url: url.into(), status, advice: self.advice(id, status) }.into(),
            404 => {
                let what = if what == "file" { format!("such file in `{id}`") } else { format!("{what} `{id}`") };
                HubError::Missing { url: url.into(), what }.into()
            }
            408 | 429 | 500 | 502 | 503 | 504 => {
                let wait = header(response, "retry-after").and_then(|seconds| seconds.trim().parse().ok());
                let reason = response.status().canonical_reason().unwrap_or("no reason given");
                Failure::Passing { why: format!("status {status} ({reason})"), status, wait }
            }
            _ => HubError::Status { url: url.into(), status, server }.into(),
        }
    }

    fn advice(&self, id: &HubId, status: u16) -> String {
        let name = &id.name;
        let page = format!("{}/{}", self.settings.endpoint, id.repo(&id.revision).url());
        match (status, &self.settings.token) {
            (401, None) => format!(
                "`{name}` does not exist, or is private or gated; if it is spelt right, set HF_TOKEN to a token that may read it"
            ),
            (401, Some(_)) => format!("the token at hand (HF_TOKEN, or the token file) is not valid, or may not read `{name}`"),
            (_, None) => format!("`{name}` is gated: accept its terms at {page}, then set HF_TOKEN to a token of that account"),
            (_, Some(_)) => format!("the token's account may not read `{name}`: accept its terms at {page}, or ask its owners"),
        }
    }

    /// Tries until it is done, or has made no progress for too many times. `reached` tells how far it is.
    pub fn repeat<T>(
        &self,
        url: &str,
        watch: &dyn Watch,
        mut attempt: impl FnMut() -> Result<T, Failure>,
        reached: impl Fn() -> u64,
    ) -> Result<T, HubError> {
        let (mut attempts, mut furthest) = (0, reached());
        loop {
            let (why, status, wait) = match attempt() {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { why, status, wait }) => (why, status, wait),
            };
            attempts = if reached() > furthest { 1 } else { attempts + 1 };
            furthest = furthest.max(reached());
            if let Some(seconds) = wait.filter(|seconds| *seconds > LONGEST_PAUSE) {
                return Err(HubError::Wait { url: url.into(), status, seconds });
            }
            if attempts >= ATTEMPTS {
                return Err(HubError::GivenUp { url: url.into(), attempts, why });
            }
            let doubled = Duration::from_millis(self.settings.pause_milliseconds << (attempts - 1));
            let pause = wait.map_or(doubled, Duration::from_secs);
            watch.waiting(pause.as_secs_f64(), &why);
            std::thread::sleep(pause);
        }
    }
}

/// A header's value, if it is text.
pub(super) fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    address[host..].find(['/', '?', '#']).map_or(address, |end| &address[..host + end])
}

/// Where a redirect leads; `url`, the address asked for at first, is for messages.
fn next(url: &str, address: &str, location: Option<&str>) -> Result<String, HubError> {
    let location = location.ok_or_else(|| HubError::answer(url, "a redirect that says not where"))?;
    let target = match location {
        path if path.starts_with("//") => format!("{}{path}", &address[..address.find("//").unwrap_or(0)]),
        path if path.starts_with('/') => format!("{}{path}", origin(address)),
        whole if whole.starts_with("https://") || whole.starts_with("http://") => whole.into(),
        _ => return Err(HubError::answer(url, "a redirect that leads nowhere")),
    };
    match address.starts_with("https://") && !target.starts_with("https://") {
        true => Err(HubError::answer(url, "a redirect from https to http; it is not followed")),
        false => Ok(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_addresses() {
        let from = "https://h:1/a/b?c";
        for (location, target) in [
            (Some("/x"), Some("https://h:1/x")),
            (Some("https://cdn/x?sign=1"), Some("https://cdn/x?sign=1")),
            (Some("//cdn/x"), Some("https://cdn/x")),
            (Some("http://cdn/x"), None),
            (Some("ftp://cdn/x"), None),
            (None, None),
        ] {
            assert_eq!(next(from, from, location).ok().as_deref(), target, "{location:?}");
        }
        assert_eq!([origin("https://h:1/a"), origin("http://h"), origin("http://h?x")], ["https://h:1", "http://h", "http://h"]);
    }
}
