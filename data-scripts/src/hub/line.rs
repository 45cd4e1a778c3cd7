//! Requests to the Hub: redirects, statuses, and trying again.
//!
//! The token goes to the Hub's own host and nowhere else, and no further than the scheme it was meant for.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use guard::text;
use ureq::{Agent, Body, BodyReader, http::Response};

use super::error::HubError;
use super::id::HubId;
use super::listing::{self, Told};
use super::settings::{Limits, Settings};
use super::watch::Watch;

/// Attempts without progress before giving up.
const ATTEMPTS: u32 = 5;
/// The longest pause that is waited for, in seconds.
const LONGEST_PAUSE: u64 = 120;
/// Redirects that are followed for one file.
const REDIRECTS: usize = 5;
/// Fewer new bytes than these are no progress: a server that sends a little and breaks off would otherwise never be given up.
const PROGRESS: u64 = 16 << 10;
/// Characters of what a server or the system says in a message.
const SAID: usize = 200;

/// An attempt that did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Trying again would change nothing.
    Final(HubError),
    /// It may pass, so it is tried again.
    Passing {
        /// What a message says went wrong.
        why: String,
        /// The HTTP status, 0 where no answer came.
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

/// Requests to one Hub, within its settings' limits.
pub(super) struct Line<'s> {
    settings: &'s Settings,
    agent: Agent,
}

impl<'s> Line<'s> {
    pub fn new(settings: &'s Settings) -> Self {
        let Limits { connect, head, silence, .. } = settings.limits;
        // A compressed body has another length than the file, and none of its ranges.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .accept_encoding("identity")
            .user_agent(concat!("fedbench/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_send_request(Some(head))
            .timeout_recv_response(Some(head))
            .timeout_per_read(Some(silence))
            .build()
            .into();
        Self { settings, agent }
    }

    /// The address of a file of a commit.
    pub fn address(&self, id: &HubId, commit: &str, path: &str) -> String {
        let repo = id.repo(commit);
        format!("{}/{}/resolve/{}/{}", self.settings.endpoint, repo.url(), repo.url_revision(), super::id::encoded(path))
    }

    /// A repository's listing.
    pub fn listing(&self, id: &HubId, watch: &dyn Watch) -> Result<Told, HubError> {
        let url = format!("{}/api/{}?blobs=true", self.settings.endpoint, id.repo(&id.revision).api_url());
        let ask = || {
            let (response, host) = self.get(&url, id, None, "repository or revision", |_| Ok(()))?;
            let mut text = Vec::new();
            let (mut body, mut buffer) = (self.body(response), vec![0; 1 << 16]);
            loop {
                match body.read(&mut buffer).map_err(Failure::passing)? {
                    0 => break,
                    read => text.extend_from_slice(&buffer[..read]),
                }
                if text.len() as u64 > listing::LARGEST {
                    let message = format!("a listing of more than {} bytes; no larger one is read", listing::LARGEST);
                    return Err(HubError::answer(&url, message).into());
                }
            }
            let text = String::from_utf8(text).map_err(|_| HubError::answer(&url, "no listing: it is not text in UTF-8"))?;
            Ok(Told { url: url.clone(), host, text })
        };
        self.repeat(&url, watch, ask, || 0)
    }

    /// Asks for a file from a byte on, or (none) for an answer that is whole or nothing; `what` it is, for messages. Every answer on
    /// the way is shown to `check` first. Gives the answer and the host it came from.
    pub fn get(
        &self,
        url: &str,
        id: &HubId,
        from: Option<u64>,
        what: &str,
        check: impl Fn(&Response<Body>) -> Result<(), HubError>,
    ) -> Result<(Response<Body>, String), Failure> {
        let mut address = url.to_owned();
        for _ in 0..=REDIRECTS {
            let mut request = self.agent.get(&address);
            if let Some(from) = from.filter(|from| *from > 0) {
                request = request.header("Range", format!("bytes={from}-"));
            }
            if let Some(token) = self.settings.token.as_ref().filter(|_| origin(&address) == origin(&self.settings.endpoint)) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| self.trouble(url, &error))?;
            check(&response)?;
            match response.status().as_u16() {
                200 => return Ok((response, origin(&address).to_owned())),
                206 | 416 if from.is_some() => return Ok((response, origin(&address).to_owned())),
                301 | 302 | 303 | 307 | 308 => address = next(url, &address, header(&response, "location"))?,
                _ => return Err(self.refused(url, id, &response, what)),
            }
        }
        Err(HubError::answer(url, format!("more than {REDIRECTS} redirects")).into())
    }

    /// What an answer holds, as long as it comes fast enough.
    pub fn body(&self, response: Response<Body>) -> Paced<'s> {
        let reader = response.into_body().into_reader();
        Paced { reader, limits: &self.settings.limits, since: now(), bytes: 0 }
    }

    /// Whether trying again may help where no answer came. An address is not repeated: it may be signed.
    fn trouble(&self, url: &str, error: &ureq::Error) -> Failure {
        use ureq::Error;
        let Limits { connect, head, .. } = self.settings.limits;
        match error {
            Error::BadUri(_) | Error::Http(_) => HubError::answer(url, "an address, or a redirect's, that is none").into(),
            Error::Timeout(which) => Failure::passing(format!(
                "the server was silent for too long ({which}; {} s are waited for a connection, {} s for an answer's head)",
                connect.as_secs_f64(),
                head.as_secs_f64()
            )),
            Error::Io(io) if matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
                HubError::answer(url, text::line(&io.to_string(), SAID)).into()
            }
            Error::Io(_) | Error::HostNotFound | Error::ConnectionFailed | Error::Protocol(_) | Error::ConnectProxyFailed(_) => {
                Failure::passing(text::line(&error.to_string(), SAID))
            }
            // Among them what a certificate is refused for, and a head without end.
            _ => HubError::answer(url, text::line(&error.to_string(), SAID)).into(),
        }
    }

    /// What a status that is no success means.
    fn refused(&self, url: &str, id: &HubId, response: &Response<Body>, what: &str) -> Failure {
        let status = response.status().as_u16();
        let server = header(response, "x-error-message").unwrap_or_default();
        let server = text::line(server, SAID);
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
            let now = reached();
            if now >= furthest.saturating_add(PROGRESS) {
                (attempts, furthest) = (1, now);
            } else {
                attempts += 1;
            }
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

/// An answer that may neither fall silent nor trickle.
pub(super) struct Paced<'l> {
    reader: BodyReader<'static>,
    limits: &'l Limits,
    /// Since when bytes are counted.
    since: Instant,
    bytes: u64,
}

impl Paced<'_> {
    /// The next bytes, 0 at the end; otherwise why there are none.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        let read = self.reader.read(buffer).map_err(|error| text::line(&error.to_string(), SAID))?;
        self.bytes += read as u64;
        let Limits { window, least, .. } = *self.limits;
        if self.since.elapsed() >= window {
            if read > 0 && self.bytes < least {
                return Err(format!("{} bytes in {} s; fewer than {least} are too slow", self.bytes, window.as_secs_f64()));
            }
            (self.since, self.bytes) = (now(), 0);
        }
        Ok(read)
    }
}

/// When it is, for how fast an answer comes; nothing that is kept depends on it.
#[expect(clippy::disallowed_methods, reason = "the one clock of this crate, which does not see `accounting`")]
fn now() -> Instant {
    Instant::now()
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
