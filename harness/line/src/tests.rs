//! Both ends of lines on this machine: who is let in, and what becomes of frames that are not what they say.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Address, Carried, Error, Line, Listener, Result, Security};

type Test = Result<(), Box<dyn std::error::Error>>;

const TOKEN: &str = "0123456789abcdef";
const NOT_LONG: Duration = Duration::from_millis(50);
const MOST: u64 = 1 << 22;

fn anywhere() -> Address {
    Address::Tcp("127.0.0.1".into(), 0)
}

fn papers(name: &str) -> Security {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    Security { tls: Some(folder), token: None }
}

fn token_file(folder: &TempDir, name: &str, text: &str, mode: u32) -> Result<PathBuf, std::io::Error> {
    let path = folder.path().join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

fn token(folder: &TempDir, name: &str, text: &str) -> Result<Security, std::io::Error> {
    Ok(Security { tls: None, token: Some(token_file(folder, name, text, 0o600)?) })
}

/// What either end says when somebody calls: the listener's end first.
fn meet(address: &Address, ours: &Security, theirs: &Security) -> Result<(Result<Line>, Result<Line>)> {
    let listener = Listener::bind(address, ours)?;
    let (address, theirs) = (listener.address().clone(), theirs.clone());
    let calling = thread::spawn(move || Line::connect(&address, &theirs, Duration::ZERO));
    let called = listener.accept();
    Ok((called, calling.join().expect("no panic")))
}

/// A line's listening end, and the bare socket of a caller who has been accepted and may say what it likes.
fn bare() -> Result<(Line, TcpStream), Box<dyn std::error::Error>> {
    let listener = Listener::bind(&anywhere(), &Security::default())?;
    let Address::Tcp(host, port) = listener.address().clone() else { unreachable!("it was tcp") };
    let mut socket = TcpStream::connect((host.as_str(), port))?;
    let hello = b"fedbench line 1\n";
    socket.write_all(&(hello.len() as u64).to_le_bytes())?;
    socket.write_all(hello)?;
    let line = listener.accept()?;
    let mut answer = [0; 16];
    socket.read_exact(&mut answer)?;
    assert_eq!(&answer, b"\x08\0\0\0\0\0\0\0accepted");
    Ok((line, socket))
}

fn told<T>(result: Result<T>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn addresses_are_read_as_they_are_written() {
    for text in ["tcp://localhost:80", "tls://[::1]:0", "tls://gpu.example.org:65535", "unix:/tmp/a socket"] {
        assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
    }
    for (text, why) in [
        ("localhost:80", "no scheme"),
        ("http://localhost:80", "the scheme is tcp, tls or unix"),
        ("tcp://localhost", "no port"),
        ("tcp://localhost:65536", "up to 65535"),
        ("tcp://::1:80", "brackets"),
        ("tcp://:80", "the host is a name"),
        ("tcp://user@host:80", "the host is a name"),
        ("unix:", "no path"),
    ] {
        assert!(told(text.parse::<Address>()).contains(why), "{text}");
    }
    let long = format!("unix:/{}", "a".repeat(107));
    assert!(told(long.parse::<Address>()).contains("108 bytes, and a socket's at most 107"));
}

#[test]
fn plain_tcp_stays_on_this_machine() -> Test {
    let folder = TempDir::new()?;
    let token = token(&folder, "token", TOKEN)?;
    for address in ["tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://192.0.2.1:9"] {
        let address: Address = address.parse()?;
        for told in [told(Listener::bind(&address, &token)), told(Line::connect(&address, &token, Duration::ZERO))] {
            assert!(told.contains(&address.to_string()) && told.contains("--tls DIR"), "{told}");
        }
    }
    Ok(())
}

#[test]
fn frames_arrive_whole_and_are_counted() -> Test {
    let folder = TempDir::new()?;
    let unix = Address::Unix(folder.path().join("socket"));
    let tls = Address::Tls("localhost".into(), 0);
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    for (address, security) in [(anywhere(), Security::default()), (unix, Security::default()), (tls, papers("tls"))] {
        let (called, calling) = meet(&address, &security, &security)?;
        let (mut called, mut calling) = (called?, calling?);
        let before = (called.carried(), calling.carried());
        assert_eq!((before.0.sent, before.0.received), (before.1.received, before.1.sent));
        let frames = [long.clone(), Vec::new(), vec![7]];
        let sender = thread::spawn({
            let frames = frames.clone();
            move || -> Result<Line> {
                frames.iter().try_for_each(|frame| calling.send(frame))?;
                assert_eq!(calling.receive(MOST)?.as_deref(), Some(b"all".as_slice()));
                Ok(calling)
            }
        });
        for frame in &frames {
            assert_eq!(called.receive(MOST)?.as_ref(), Some(frame));
        }
        called.send(b"all")?;
        let calling = sender.join().expect("no panic")?;
        let after = called.carried();
        let (sent, received) = (after.sent - before.0.sent, after.received - before.0.received);
        let plain = 3 * 8 + 3_000_001;
        match address {
            // 22 bytes for each record of at most 16 KiB.
            Address::Tls(..) => assert!(sent == 33 && received > plain && received < plain + plain / 500, "{sent}, {received}"),
            _ => assert_eq!((sent, received), (11, plain)),
        }
        assert_eq!(calling.carried(), Carried { sent: after.received, received: after.sent });
        drop(calling);
        assert_eq!(called.receive(MOST)?, None, "{address}: closed between frames");
    }
    Ok(())
}

#[test]
fn a_token_opens_the_line_and_no_other_does() -> Test {
    let folder = TempDir::new()?;
    let ours = token(&folder, "ours", &format!("{TOKEN}\n"))?;
    let (called, calling) = meet(&anywhere(), &ours, &token(&folder, "same", TOKEN)?)?;
    assert!(called.is_ok() && calling.is_ok());
    for (theirs, why) in [
        (Security::default(), "asks for a token: --token FILE"),
        (token(&folder, "other", "0123456789abcdeF")?, "the token is not the one"),
        (token(&folder, "longer", "0123456789abcdef0")?, "the token is not the one"),
    ] {
        let (called, calling) = meet(&anywhere(), &ours, &theirs)?;
        let (called, calling) = (told(called), told(calling));
        assert!(called.starts_with("refused 127.0.0.1") && called.contains(why), "{called}");
        assert!(calling.starts_with("tcp://127.0.0.1") && calling.contains(why), "{calling}");
        assert!(!format!("{called}{calling}").contains("0123456789"), "no secret in a message");
    }
    assert!(!format!("{:?}", Listener::bind(&anywhere(), &ours)?).contains(TOKEN));
    Ok(())
}

#[test]
fn a_token_is_long_and_its_owners_alone() -> Test {
    let folder = TempDir::new()?;
    for (text, mode, why) in [
        (TOKEN, 0o640, "its mode is 640"),
        ("", 0o600, "this has 0"),
        (" 0123456789abcde\n", 0o600, "this has 15"),
        ("0123456789\nabcdef", 0o600, "one line"),
    ] {
        let path = token_file(&folder, "token", text, mode)?;
        let told = told(Listener::bind(&anywhere(), &Security { tls: None, token: Some(path.clone()) }));
        assert!(told.contains(&path.display().to_string()) && told.contains(why), "{told}");
        assert!(!told.contains("0123456789"), "{told}");
    }
    Ok(())
}

#[test]
fn both_sides_show_a_certificate_of_one_authority() -> Test {
    let address: Address = "tls://127.0.0.1:0".parse()?;
    let (called, calling) = meet(&address, &papers("tls"), &papers("stranger"))?;
    assert!(called.is_err());
    let calling = told(calling);
    // The other authority has the same name, so it is its signature that does not hold.
    assert!(calling.contains("BadSignature") && calling.contains("ca.pem"), "{calling}");
    // Trusts the listener, but has no certificate of that authority.
    let folder = TempDir::new()?;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for (name, from) in [("ca.pem", "tls"), ("cert.pem", "stranger"), ("key.pem", "stranger")] {
        fs::copy(fixtures.join(from).join(name), folder.path().join(name))?;
    }
    let mixed = Security { tls: Some(folder.path().into()), token: None };
    let (called, calling) = meet(&address, &papers("tls"), &mixed)?;
    assert!(told(called).contains("BadSignature"));
    assert!(calling.is_err());
    // A key that is another certificate's.
    fs::copy(fixtures.join("tls/key.pem"), folder.path().join("key.pem"))?;
    assert!(told(Listener::bind(&address, &mixed)).contains("key.pem: it does not go with cert.pem"));
    fs::remove_file(folder.path().join("ca.pem"))?;
    assert!(told(Listener::bind(&address, &mixed)).contains("ca.pem"));
    Ok(())
}

#[test]
fn certificates_and_addresses_go_together() -> Test {
    let folder = TempDir::new()?;
    let unix = Address::Unix(folder.path().join("socket"));
    assert!(told(Listener::bind(&anywhere(), &papers("tls"))).contains("write tls://"));
    assert!(told(Listener::bind(&unix, &papers("tls"))).contains("leave --tls out"));
    let tls: Address = "tls://127.0.0.1:0".parse()?;
    assert!(told(Line::connect(&tls, &Security::default(), Duration::ZERO)).contains("--tls DIR"));
    Ok(())
}

#[test]
fn plain_meets_tls_in_words() -> Test {
    let listener = Listener::bind(&"tls://127.0.0.1:0".parse()?, &papers("tls"))?;
    let Address::Tls(host, port) = listener.address().clone() else { unreachable!("it was tls") };
    let calling = thread::spawn(move || Line::connect(&Address::Tcp(host, port), &Security::default(), Duration::ZERO));
    assert!(matches!(listener.accept(), Err(Error::Tls { .. })));
    let told = told(calling.join().expect("no panic"));
    assert!(told.contains("tcp:// where it says tls://"), "{told}");
    Ok(())
}

#[test]
fn another_protocol_is_told_so() -> Test {
    for (hello, answered) in [(&b"fedbench line 2\n"[..], true), (b"", false), (b"GET / HTTP/1.1", false), (b"\xff\xff\n", false)]
    {
        let listener = Listener::bind(&anywhere(), &Security::default())?;
        let Address::Tcp(host, port) = listener.address().clone() else { unreachable!("it was tcp") };
        let mut socket = TcpStream::connect((host.as_str(), port))?;
        socket.write_all(&(hello.len() as u64).to_le_bytes())?;
        socket.write_all(hello)?;
        let error = listener.accept().expect_err("another protocol");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        match answered {
            true => assert!(matches!(error, Error::Unwelcome { .. }) && answer.contains("refused: this side speaks"), "{answer}"),
            false => assert!(matches!(error, Error::Stranger { .. }) && answer.is_empty(), "{error}"),
        }
    }
    Ok(())
}

#[test]
fn hostile_frames_are_errors_and_take_no_memory() -> Test {
    let (mut line, mut socket) = bare()?;
    socket.write_all(&(1_u64 << 60).to_le_bytes())?;
    assert!(matches!(line.receive(MOST), Err(Error::TooLong { length, most: MOST, .. }) if length == 1 << 60));
    // Allowed, but never sent: only what arrives is kept.
    let (mut line, mut socket) = bare()?;
    socket.write_all(&(1_u64 << 60).to_le_bytes())?;
    socket.write_all(&[1; 100])?;
    drop(socket);
    assert!(matches!(line.receive(u64::MAX), Err(Error::Closed { .. })));
    // Half a length.
    let (mut line, mut socket) = bare()?;
    socket.write_all(&[1; 3])?;
    drop(socket);
    assert!(matches!(line.receive(MOST), Err(Error::Closed { .. })));
    Ok(())
}

#[test]
fn whoever_is_silent_is_waited_for_so_long() -> Test {
    let (mut line, mut socket) = bare()?;
    line.set_patience(NOT_LONG)?;
    assert!(matches!(line.receive(MOST), Err(Error::Silent { patience, .. }) if patience == NOT_LONG));
    socket.write_all(&9_u64.to_le_bytes())?;
    socket.write_all(&[0; 8])?;
    assert!(told(line.receive(MOST)).ends_with("no byte for 0.05 s"));
    // Nobody reads.
    let (mut line, _socket) = bare()?;
    line.set_patience(NOT_LONG)?;
    assert!(matches!(line.send(&vec![0; 1 << 26]), Err(Error::Silent { .. })));
    Ok(())
}

#[test]
fn one_listens_at_an_address() -> Test {
    let listener = Listener::bind(&anywhere(), &Security::default())?;
    let taken = Listener::bind(listener.address(), &Security::default());
    assert!(matches!(taken, Err(Error::Taken { .. })), "{taken:?}");

    let folder = TempDir::new()?;
    let path = folder.path().join("socket");
    let address = Address::Unix(path.clone());
    let listener = Listener::bind(&address, &Security::default())?;
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    assert!(matches!(Listener::bind(&address, &Security::default()), Err(Error::Taken { .. })));
    drop(listener);
    assert!(!path.exists());
    // What a process leaves that is killed.
    drop(UnixListener::bind(&path)?);
    assert!(UnixStream::connect(&path).is_err());
    let listener = Listener::bind(&address, &Security::default())?;
    UnixStream::connect(&path)?;
    drop(listener);
    fs::write(&path, "a file")?;
    assert!(told(Listener::bind(&address, &Security::default())).contains("no socket"));
    assert_eq!(fs::read(&path)?, b"a file");
    Ok(())
}

#[test]
fn a_caller_waits_for_a_listener() -> Test {
    let folder = TempDir::new()?;
    let address = Address::Unix(folder.path().join("socket"));
    let told = told(Line::connect(&address, &Security::default(), NOT_LONG));
    assert!(told.contains("nobody answers"), "{told}");
    let calling = thread::spawn({
        let address = address.clone();
        move || Line::connect(&address, &Security::default(), Duration::from_secs(20))
    });
    thread::sleep(NOT_LONG);
    let listener = Listener::bind(&address, &Security::default())?;
    listener.accept()?;
    calling.join().expect("no panic")?;
    Ok(())
}
