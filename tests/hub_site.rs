//! A server that speaks the Hub's API and resolve routes, over plain sockets, and misbehaves when told to.
//!
//! As the Hub does, it redirects large files to another host (here: another port), under an address that is signed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What a signed address holds and no message may.
pub const SIGNATURE: &str = "Signature=s1gned";

/// A file of the repository.
#[derive(Clone)]
pub struct SiteFile {
    pub path: String,
    pub content: Vec<u8>,
    /// In large file storage, hence behind a redirect.
    pub large: bool,
}

impl SiteFile {
    pub fn sha256(&self) -> String {
        hexadecimal(&Sha256::digest(&self.content))
    }

    pub fn git_blob(&self) -> String {
        let head = format!("blob {}\0", self.content.len());
        hexadecimal(&Sha1::new().chain_update(head).chain_update(&self.content).finalize())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How the server misbehaves.
#[derive(Clone)]
pub enum Fault {
    /// A status with a header.
    Status(u16, &'static str, &'static str),
    /// The connection ends after so many bytes of the body.
    Break(usize),
    /// The body's first byte is another.
    Garble,
    /// The whole file, whatever was asked for.
    NoRanges,
    /// A header says something else.
    Header(&'static str, &'static str),
    /// Nothing is said for a while, then the connection ends.
    Silent,
    /// The head comes byte by byte, so many milliseconds apart.
    SlowHead(u64),
    /// The body comes byte by byte, so many milliseconds apart.
    Trickle(u64),
    /// The question is sent on to the other host.
    Elsewhere,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Default)]
struct State {
    repository: String,
    commit: String,
    files: Vec<SiteFile>,
    other_host: String,
    /// The size that the listing says, instead of each file's.
    listed_size: Option<u64>,
    /// Entries that the listing has besides.
    listed_besides: Vec<Value>,
    faults: Vec<(String, Fault)>,
    seen: Vec<Seen>,
}

/// A server of one repository, until the process ends.
pub struct Site {
    pub endpoint: String,
    pub other_host: String,
    state: Arc<Mutex<State>>,
}

impl Site {
    /// Serves `models/owner/name` or `datasets/owner/name`.
    pub fn new(repository: &str, commit: &str, files: Vec<SiteFile>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let other_host = serve(&state);
        let endpoint = serve(&state);
        let kept = other_host.clone();
        *lock(&state) = State { repository: repository.into(), commit: commit.into(), files, other_host, ..State::default() };
        Self { endpoint, other_host: kept, state }
    }

    /// The next request whose path holds `path` is answered so.
    pub fn fault(&self, path: &str, fault: Fault) -> &Self {
        lock(&self.state).faults.push((path.into(), fault));
        self
    }

    /// The listing says that every file has this size.
    pub fn list_size(&self, size: u64) {
        lock(&self.state).listed_size = Some(size);
    }

    /// The listing has this entry, too.
    pub fn list_besides(&self, entry: Value) {
        lock(&self.state).listed_besides.push(entry);
    }

    /// The requests so far whose path holds `path`; they are forgotten.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        lock(&self.state).seen.drain(..).filter(|seen| seen.path.contains(path)).collect()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no handler panics")
}

/// Answers connections on a free port of this machine; gives its address.
fn serve(state: &Arc<Mutex<State>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let state = state.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = state.clone();
            // A client that hangs up is part of the tests.
            std::thread::spawn(move || drop(answer(stream, &state)));
        }
    });
    address
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let Some(seen) = request(&stream)? else { return Ok(()) };
    let (mut reply, fault) = {
        let mut state = lock(state);
        state.seen.push(seen.clone());
        let at = state.faults.iter().position(|(path, _)| seen.path.contains(path.as_str()));
        let fault = at.map(|at| state.faults.remove(at).1);
        (reply(&state, &seen, &fault), fault)
    };
    let mut sent = reply.body.len();
    let (mut head_pause, mut body_pause) = (0, 0);
    match fault {
        Some(Fault::Silent) => {
            std::thread::sleep(std::time::Duration::from_secs(3));
            return Ok(());
        }
        Some(Fault::SlowHead(pause)) => head_pause = pause,
        Some(Fault::Trickle(pause)) => body_pause = pause,
        Some(Fault::Elsewhere) => {
            let target = format!("{}{}", lock(state).other_host, seen.path);
            reply = Reply { status: 307, headers: vec![("Location".into(), target)], body: Vec::new() };
            sent = 0;
        }
        Some(Fault::Status(status, name, value)) => {
            reply = Reply { status, headers: vec![(name.into(), value.into())], body: Vec::new() };
            sent = 0;
        }
        Some(Fault::Break(bytes)) => sent = bytes.min(sent),
        Some(Fault::Garble) => reply.body[0] ^= 1,
        Some(Fault::Header(name, value)) => {
            reply.headers.retain(|(known, _)| known != name);
            reply.headers.push((name.into(), value.into()));
        }
        Some(Fault::NoRanges) | None => {}
    }
    let length = reply.body.len();
    let mut head = format!("HTTP/1.1 {} Whatever\r\nConnection: close\r\nContent-Length: {length}\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    send(&mut stream, head.as_bytes(), head_pause)?;
    send(&mut stream, &reply.body[..sent], body_pause)
}

/// Sends bytes at once, or one by one.
fn send(stream: &mut TcpStream, bytes: &[u8], pause: u64) -> std::io::Result<()> {
    if pause == 0 {
        return stream.write_all(bytes);
    }
    for byte in bytes {
        stream.write_all(&[*byte])?;
        std::thread::sleep(std::time::Duration::from_millis(pause));
    }
    Ok(())
}

fn request(stream: &TcpStream) -> std::io::Result<Option<Seen>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(path) = line.split(' ').nth(1) else { return Ok(None) };
    let mut seen = Seen { path: path.into(), range: None, authorization: None };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            return Ok(Some(seen));
        }
        let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
        match name.to_lowercase().as_str() {
            "range" => seen.range = Some(value.into()),
            "authorization" => seen.authorization = Some(value.into()),
            _ => {}
        }
    }
}

fn reply(state: &State, seen: &Seen, fault: &Option<Fault>) -> Reply {
    let resolve = format!("/{}/resolve/", state.repository.trim_start_matches("models/"));
    let file = |path: &str| state.files.iter().find(|file| file.path == path);
    if seen.path.starts_with(&format!("/api/{}/revision/", state.repository)) {
        return Reply { status: 200, headers: vec![], body: listing(state).to_string().into_bytes() };
    }
    if let Some((_, path)) = seen.path.strip_prefix(&resolve).and_then(|rest| rest.split_once('/')) {
        return match file(path) {
            Some(file) if file.large => redirect(state, file),
            Some(file) => content(&file.content, seen, fault, vec![("X-Repo-Commit".into(), state.commit.clone())]),
            None => missing(),
        };
    }
    let stored = seen.path.strip_prefix("/lfs/").and_then(|path| path.split('?').next());
    match stored.and_then(|sha256| state.files.iter().find(|file| file.sha256() == sha256)) {
        Some(file) => content(&file.content, seen, fault, vec![]),
        None => missing(),
    }
}

fn missing() -> Reply {
    Reply { status: 404, headers: vec![("X-Error-Code".into(), "EntryNotFound".into())], body: b"Entry not found".to_vec() }
}

fn listing(state: &State) -> Value {
    let files = state.files.iter().map(|file| {
        let size = state.listed_size.unwrap_or(file.content.len() as u64);
        let lfs = json!({ "sha256": file.sha256(), "size": size, "pointerSize": 130 });
        let mut entry = json!({ "rfilename": file.path, "size": size, "blobId": file.git_blob() });
        if file.large {
            entry["lfs"] = lfs;
        }
        entry
    });
    json!({
        "id": "owner/name", "sha": state.commit, "private": false, "gated": false,
        "cardData": { "license": "cc-by-4.0" }, "siblings": files.chain(state.listed_besides.iter().cloned()).collect::<Vec<_>>()
    })
}

/// To the other host, with what the Hub says of the file in the headers.
fn redirect(state: &State, file: &SiteFile) -> Reply {
    let target = format!("{}/lfs/{}?{SIGNATURE}", state.other_host, file.sha256());
    let headers = [
        ("Location", target),
        ("X-Repo-Commit", state.commit.clone()),
        ("X-Linked-Etag", format!("\"{}\"", file.sha256())),
        ("X-Linked-Size", file.content.len().to_string()),
    ];
    Reply { status: 302, headers: headers.map(|(name, value)| (name.into(), value)).to_vec(), body: b"Found".to_vec() }
}

fn content(bytes: &[u8], seen: &Seen, fault: &Option<Fault>, mut headers: Vec<(String, String)>) -> Reply {
    let from = seen.range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match from.filter(|_| !matches!(fault, Some(Fault::NoRanges))) {
        Some(from) if from >= bytes.len() => Reply { status: 416, headers, body: vec![] },
        Some(from) => {
            headers.push(("Content-Range".into(), format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())));
            Reply { status: 206, headers, body: bytes[from..].to_vec() }
        }
        None => Reply { status: 200, headers, body: bytes.to_vec() },
    }
}
