//! Does a run with workers, over sockets, come out as one in one process, and what of workers of another run, or that make no sense?

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device, Tensor};
use federation::order::{Done, Kind};
use federation::{
    self, ADAPTERS, Engine, Host, InProcess, Message, Order, Outcome, Payload, Reply, Scope, Sets, Unwatched, Watch,
};
use line::{Address, Line, Listener, Security};
use remote::talk::{Ask, PROTOCOL, Say, hear, say};
use remote::{Introduction, Memories, Notice, Worker, Workers};
use schema::Experiment;
use schema::metrics::Metric;
use schema::record::HostFacts;
use study::{Part, Study};

use crate::support::Test;
use crate::tiny::{bytes, experiment, part_of_study, study};

const PATIENCE: Duration = Duration::from_secs(20);

/// Nobody reads what workers say of callers.
struct Quiet;

impl Notice for Quiet {
    fn turned_away(&self, _why: &str) {}
    fn done(&self, _round: usize, _kind: Kind, _clients: &[usize]) {}
}

fn introduction(clients: &[usize]) -> Introduction {
    let host = HostFacts {
        clients: clients.into(),
        version: "0".into(),
        commit: "c".into(),
        cpu: "a".into(),
        threads: 1,
        kernels: BTreeMap::new(),
    };
    Introduction { run: "a-run".into(), backbone_sha256: "weights".into(), partition_sha256: "parts".into(), host }
}

fn address(folder: &Path, name: &str) -> Result<Address> {
    Ok(format!("unix:{}", folder.join(name).display()).parse()?)
}

/// Five clients, judged after every round.
pub fn federated(method: &str) -> Experiment {
    let mut experiment = experiment(method);
    experiment.partition.clients = 5;
    experiment.evaluation.every = 1;
    experiment
}

/// A study's run, by an engine.
pub fn run(study: &Study, engine: &mut dyn Engine) -> Result<Outcome> {
    let mut method = (study.federation().row.build)(&study.experiment().method.options)?;
    Ok(study.run(&mut *method, engine, &Unwatched)?)
}

/// The run as it is in one process.
pub fn in_process(experiment: &Experiment) -> Result<Outcome> {
    let (_, study) = study(experiment)?;
    run(&study, &mut InProcess::new(study.host()?))
}

/// Replies come last first.
struct Reversed(Workers);

impl Engine for Reversed {
    fn wave(&self) -> usize {
        self.0.wave()
    }

    fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        Ok(self.0.carry_out(orders, watch)?.into_iter().rev().collect())
    }
}

/// Ends workers when it is dropped, however a test ends: who waits for callers is called once more.
struct Ending<'a> {
    over: &'a AtomicBool,
    addresses: Vec<Address>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for address in &self.addresses {
            drop(Line::connect(address, &Security::default(), PATIENCE));
        }
    }
}

/// A worker over its part of the data, on a socket in this process until `over`.
fn serve(experiment: &Experiment, clients: &[usize], folder: &Path, listener: &Listener, over: &AtomicBool) -> Result<()> {
    let study = part_of_study(experiment, &Part::Clients(clients.into()))?;
    let memories = Memories::of_run(&folder.join("state"), &format!("of-{clients:?}"))?;
    let mut worker = Worker::new(study.host()?.of(clients), &memories, introduction(clients), &Unwatched);
    while !over.load(Ordering::SeqCst) {
        // Whatever a caller was, the next one is served.
        let _ = listener.accept().map_err(remote::Error::from).and_then(|mut line| worker.attend(&mut line, &Quiet));
    }
    Ok(())
}

/// A run with two workers, each with pictures, sockets and memories of its own.
fn with_workers(experiment: &Experiment) -> Result<Outcome> {
    let (folder, over) = (tempfile::tempdir()?, AtomicBool::new(false));
    let parts: [(Address, &[usize]); 2] = [(address(folder.path(), "a")?, &[0, 2, 4]), (address(folder.path(), "b")?, &[1, 3])];
    let listeners = parts.iter().map(|(at, _)| Ok(Listener::bind(at, &Security::default())?)).collect::<Result<Vec<_>>>()?;
    let server = part_of_study(experiment, &Part::Server)?;
    thread::scope(|scope| {
        let (folder, over) = (folder.path(), &over);
        let addresses: Vec<Address> = parts.iter().map(|(address, _)| address.clone()).collect();
        let ending = Ending { over, addresses: addresses.clone() };
        let serve = |(part, listener)| scope.spawn(move || serve(experiment, part, folder, listener, over));
        let workers: Vec<ScopedJoinHandle<Result<()>>> = parts.iter().map(|(_, part)| *part).zip(&listeners).map(serve).collect();
        let met = Workers::meet(&addresses, &Security::default(), PATIENCE, &introduction(&[]), 5, remote::attempt());
        let outcome = met.map_err(Into::into).and_then(|workers| run(&server, &mut Reversed(workers)));
        drop(ending);
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))?;
        outcome
    })
}

/// The methods that clients take part in.
pub fn shard_methods() -> impl Iterator<Item = &'static str> {
    METHODS.iter().filter(|row| row.scope == Scope::Shard).map(|row| row.name)
}

/// Two workers over sockets, replies back to front, every method: the same records, predictions and adapters.
#[test]
fn workers_give_the_same_run() -> Test {
    for method in shard_methods() {
        let experiment = federated(method);
        let (here, there) = (in_process(&experiment)?, with_workers(&experiment).with_context(|| method.to_owned())?);
        assert!(bytes(&here)? == bytes(&there)?, "{method}");
        assert_eq!(
            format!("{:?}{:?}", here.measured.flops, here.measured.adapters),
            format!("{:?}{:?}", there.measured.flops, there.measured.adapters),
            "{method}"
        );
    }
    Ok(())
}

/// A process sees its own part's pictures: a worker its clients', and test pictures if they judge themselves; the server no training
/// picture.
#[test]
fn workers_see_their_own_pictures() -> Test {
    let seen = |method: &str, part: Part| {
        let study = part_of_study(&federated(method), &part)?;
        Ok::<_, anyhow::Error>((study.train_split().features_in_memory(), study.test_split().features_in_memory()))
    };
    let (all_train, all_test) = seen("fednano", Part::Whole)?;
    assert_eq!(seen("fednano", Part::Server)?, (0, all_test));
    let of_workers = [&[0, 2, 4][..], &[1, 3]].map(|clients| seen("fednano", Part::Clients(clients.into())));
    let [(a, a_test), (b, b_test)] = of_workers.map(|seen| seen.expect("prepared"));
    assert_eq!((a + b, a_test, b_test), (all_train, 0, 0));
    assert!(a > 0 && b > 0);
    assert_eq!(seen("ditto", Part::Clients(vec![1]))?.1, all_test);
    let refused = |part: Part| part_of_study(&federated("fednano"), &part).err().map(|error| error.to_string());
    assert!(refused(Part::Clients(vec![5])).is_some_and(|why| why.contains("there is no client 5")));
    assert!(refused(Part::Clients(Vec::new())).is_some_and(|why| why.contains("at least one client")));
    let pooled = part_of_study(&federated("centralized"), &Part::Server).err().context("taken")?.to_string();
    assert!(pooled.contains("no clients that could be elsewhere"), "{pooled}");
    Ok(())
}

/// A worker that says who it is, and then does as it pleases with a line on which it was asked to work.
fn with_impostor(experiment: &Experiment, act: fn(&mut Line, Vec<Reply>) -> remote::Result<()>) -> Result<Outcome> {
    let (folder, over) = (tempfile::tempdir()?, AtomicBool::new(false));
    let (good, bad) = (address(folder.path(), "good")?, address(folder.path(), "bad")?);
    let listeners = [&good, &bad].map(|at| Listener::bind(at, &Security::default()));
    let [good_ear, bad_ear] = listeners.map(|listener| listener.expect("a socket"));
    let (_, whole) = study(experiment)?;
    thread::scope(|scope| {
        let ending = Ending { over: &over, addresses: vec![good.clone(), bad.clone()] };
        let honest = scope.spawn(|| serve(experiment, &[0, 2], folder.path(), &good_ear, &over));
        let other = scope.spawn(|| {
            let mut host = whole.host()?.of(&[1]);
            while !over.load(Ordering::SeqCst) {
                let Ok(mut line) = bad_ear.accept() else { continue };
                let _ = impostor(&mut line, &mut host, act);
            }
            Ok::<_, anyhow::Error>(())
        });
        let here = introduction(&[]);
        let met = Workers::meet(
            &[good.clone(), bad.clone()],
            &Security::default(),
            Duration::from_secs(4),
            &here,
            3,
            remote::attempt(),
        );
        let outcome = met.map_err(Into::into).and_then(|mut workers| run(&whole, &mut workers));
        drop(ending);
        honest.join().expect("no panic")?;
        other.join().expect("no panic")?;
        outcome
    })
}

fn impostor(line: &mut Line, host: &mut Host, act: fn(&mut Line, Vec<Reply>) -> remote::Result<()>) -> Result<()> {
    match hear(line)? {
        Some(Ask::Who { .. }) => say(line, &Say::Who(Box::new(introduction(&[1]))))?,
        Some(Ask::Work { orders, .. }) => {
            let read = (0..orders).map(|_| Ok(Order::from_bytes(&line.receive(1 << 30)?.context("an order")?)?));
            let orders = read.collect::<Result<Vec<_>>>()?;
            let trains_second = |order: &Order| order.round.index == 2 && matches!(order.kind, Kind::Train { .. });
            let acts = orders.iter().any(trains_second);
            let replies = host.carry_out(orders, &Unwatched)?;
            if acts { act(line, replies)? } else { answer(line, replies)? }
        }
        None => {}
    }
    Ok(())
}

fn answer(line: &mut Line, replies: Vec<Reply>) -> remote::Result<()> {
    say(line, &Say::Replies { replies: replies.len() })?;
    replies.iter().try_for_each(|reply| Ok(line.send(&reply.to_bytes().expect("bytes"))?))
}

/// The reply with another payload: zeros of this shape, or ones that are not numbers.
fn with_payload(mut replies: Vec<Reply>, shape: &[usize], fill: f32) -> Vec<Reply> {
    let tensor = (Tensor::zeros(shape, DType::F32, &Device::Cpu).expect("zeros") + f64::from(fill)).expect("filled");
    let set = [("image.down".to_owned(), tensor)].into_iter().collect();
    if let Done::Trained(trained) = &mut replies[0].done {
        trained.payload = Payload::plain(&Sets::default().with(ADAPTERS, set)).expect("encoded");
    }
    replies
}

/// Whatever a worker says, it costs the round its client and no more.
#[test]
fn a_worker_that_makes_no_sense_costs_its_client() -> Test {
    type Act = fn(&mut Line, Vec<Reply>) -> remote::Result<()>;
    let table: [(&str, Act, Metric); 10] = [
        ("hangs up", |_, _| Ok(()), Metric::DroppedOut),
        (
            "says nothing",
            |_, _| {
                thread::sleep(Duration::from_secs(6));
                Ok(())
            },
            Metric::DroppedOut,
        ),
        ("refuses", |line, _| say(line, &Say::Refused { why: "no".into() }), Metric::DroppedOut),
        ("is another program", |line, _| Ok(line.send(b"HTTP/1.1 200 OK")?), Metric::DroppedOut),
        ("has replies of others", |line, _| say(line, &Say::Replies { replies: 7 }), Metric::DroppedOut),
        ("promises a reply", |line, _| say(line, &Say::Replies { replies: 1 }), Metric::DroppedOut),
        (
            "sends half a reply",
            |line, replies| {
                say(line, &Say::Replies { replies: 1 })?;
                let bytes = replies[0].to_bytes().expect("bytes");
                Ok(line.send(&bytes[..bytes.len() / 2])?)
            },
            Metric::DroppedOut,
        ),
        (
            "answers for another",
            |line, mut replies| {
                replies[0].client = 0;
                answer(line, replies)
            },
            Metric::DroppedOut,
        ),
        ("sends other shapes", |line, replies| answer(line, with_payload(replies, &[2, 3], 0.0)), Metric::LeftOut),
        ("sends what is no number", |line, replies| answer(line, with_payload(replies, &[2, 16], f32::NAN)), Metric::LeftOut),
    ];
    let experiment = experiment("fedavg-nano");
    for (what, act, metric) in table {
        let outcome = with_impostor(&experiment, act).with_context(|| what.to_owned())?;
        let recorded: Vec<_> =
            outcome.measured.records.iter().filter(|r| r.metric == metric).map(|r| (r.round, r.client)).collect();
        assert_eq!(recorded, [(2, Some(1))], "{what}");
    }
    let failed = with_impostor(&experiment, |line, _| say(line, &Say::Failed { why: "the loss is NaN\u{1b}[2J".into() }));
    let said = failed.err().context("it goes on")?.to_string();
    assert!(said.contains("an error of a worker") && said.contains("the loss is NaN") && !said.contains('\u{1b}'), "{said}");
    Ok(())
}

/// Servers of one run that come to one worker, the second when the first has done a round: the clients are the second's, which gives the
/// whole run, and the first loses them; it never goes on from what they remember of the second's rounds.
#[test]
fn a_worker_serves_one_attempt() -> Test {
    struct Overtaken<'a> {
        first: Workers,
        meet: &'a dyn Fn() -> remote::Result<Workers>,
        study: &'a Study,
        second: Option<Result<Outcome>>,
    }
    impl Engine for Overtaken<'_> {
        fn wave(&self) -> usize {
            usize::MAX
        }

        fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
            if orders.iter().any(|order| order.after == 1) && self.second.is_none() {
                let second = (self.meet)().map_err(Into::into).and_then(|mut second| run(self.study, &mut second));
                self.second = Some(second);
            }
            self.first.carry_out(orders, watch)
        }
    }
    let (folder, over) = (tempfile::tempdir()?, AtomicBool::new(false));
    let at = address(folder.path(), "w")?;
    let listener = Listener::bind(&at, &Security::default())?;
    let experiment = experiment("scaffold");
    let (_, whole) = study(&experiment)?;
    let (first, second) = thread::scope(|scope| {
        let ending = Ending { over: &over, addresses: vec![at.clone()] };
        let worker = scope.spawn(|| serve(&experiment, &[0, 1, 2], folder.path(), &listener, &over));
        let meet =
            || Workers::meet(std::slice::from_ref(&at), &Security::default(), PATIENCE, &introduction(&[]), 3, remote::attempt());
        let both = meet().map(|first| {
            let mut engine = Overtaken { first, meet: &meet, study: &whole, second: None };
            (run(&whole, &mut engine), engine.second)
        });
        drop(ending);
        worker.join().expect("no panic")?;
        Ok::<_, anyhow::Error>(both?)
    })?;
    let first = first.err().context("it goes on")?.to_string();
    assert!(first.contains("another server has begun this run anew"), "{first}");
    assert!(bytes(&second.context("it ran")??)? == bytes(&in_process(&experiment)?)?);
    Ok(())
}

/// A frame's length that nobody could mean is refused before memory is taken for it; the line's own tests have the rest.
#[test]
fn a_worker_outlives_its_callers() -> Test {
    let (folder, over) = (tempfile::tempdir()?, AtomicBool::new(false));
    let path = folder.path().join("w");
    let at: Address = format!("unix:{}", path.display()).parse()?;
    let listener = Listener::bind(&at, &Security::default())?;
    let experiment = experiment("fedavg-nano");
    let greeting = |rest: &[u8]| {
        let hello = b"fedbench line 1\n";
        [&(hello.len() as u64).to_le_bytes()[..], hello, rest].concat()
    };
    thread::scope(|scope| {
        let ending = Ending { over: &over, addresses: vec![at.clone()] };
        let worker = scope.spawn(|| serve(&experiment, &[0, 1, 2], folder.path(), &listener, &over));
        for rude in
            [b"GET / HTTP/1.1\r\n\r\n".to_vec(), greeting(&(1u64 << 60).to_le_bytes()), greeting(b"\x05\0\0\0\0\0\0\0abc")]
        {
            UnixStream::connect(&path)?.write_all(&rude)?;
        }
        let asked = |ask: Ask, frames: &[&[u8]]| -> Result<Option<Say>> {
            let mut line = Line::connect(&at, &Security::default(), PATIENCE)?;
            say(&mut line, &ask)?;
            for frame in frames {
                line.send(frame)?;
            }
            Ok(hear(&mut line)?)
        };
        let work = |orders| Ask::Work { protocol: PROTOCOL, run: "a-run".into(), attempt: "one".into(), orders };
        let refused = |said: Option<Say>, part: &str| match said {
            Some(Say::Refused { why }) => assert!(why.contains(part), "{why}"),
            other => panic!("{part}: {other:?}"),
        };
        refused(asked(Ask::Who { protocol: PROTOCOL + 1, run: "a-run".into(), attempt: "one".into() }, &[])?, "another version");
        refused(
            asked(Ask::Work { protocol: PROTOCOL, run: "b".into(), attempt: "one".into(), orders: 1 }, &[])?,
            "belongs to the run a-run",
        );
        for senseless in [usize::MAX, 0] {
            assert!(asked(work(senseless), &[])?.is_none());
        }
        assert!(asked(work(1), &[b"fedm"])?.is_none());

        let here = introduction(&[]);
        let (_, whole) = study(&experiment)?;
        let mut workers = Workers::meet(std::slice::from_ref(&at), &Security::default(), PATIENCE, &here, 3, remote::attempt())?;
        let outcome = run(&whole, &mut workers)?;
        assert!(bytes(&outcome)? == bytes(&in_process(&experiment)?)?);
        drop(ending);
        worker.join().expect("no panic")
    })
}

/// Workers of another experiment, other data or weights, too many, too few: refused before the first round, with what would be right.
#[test]
fn workers_of_another_run_are_refused() -> Test {
    let folder = tempfile::tempdir()?;
    let meet = |workers: &[Introduction]| -> Result<String> {
        let at: Vec<Address> = (0..workers.len()).map(|i| address(folder.path(), &format!("w{i}"))).collect::<Result<_>>()?;
        thread::scope(|scope| {
            for (at, worker) in at.iter().zip(workers) {
                let listener = Listener::bind(at, &Security::default())?;
                scope.spawn(move || {
                    let Ok(mut line) = listener.accept() else { return };
                    let asked: Option<Ask> = hear(&mut line).unwrap_or_default();
                    let _ = asked.map(|_| say(&mut line, &Say::Who(Box::new(worker.clone()))));
                });
            }
            let met = Workers::meet(&at, &Security::default(), PATIENCE, &introduction(&[]), 3, remote::attempt());
            for at in &at {
                drop(Line::connect(at, &Security::default(), Duration::ZERO));
            }
            Ok(met
                .map_or_else(|error| format!("{} {}", error.is_usage(), error), |workers| format!("{:?}", workers.hosts().len())))
        })
    };
    type Change = fn(&mut Introduction);
    let table: [(Change, &str); 4] = [
        (
            |worker| worker.backbone_sha256 = "other".into(),
            "w0 has the run a-run, and here it is a-run: it is of other weights; both",
        ),
        (|worker| worker.partition_sha256 = "other".into(), "it is of another partition; both sides need"),
        (|worker| worker.host.version = "1".into(), "it is by another version of fedbench; both"),
        (
            |worker| worker.run = "b-run".into(),
            "w0 has the run b-run, and here it is a-run: it is of another name; both sides need",
        ),
    ];
    for (change, expected) in table {
        let mut worker = introduction(&[0, 1, 2]);
        change(&mut worker);
        let said = meet(&[worker])?;
        assert!(said.starts_with("true unix:") && said.contains(expected), "{said}");
    }
    assert_eq!(meet(&[introduction(&[2, 0]), introduction(&[1])])?, "2");
    let twice = meet(&[introduction(&[0, 1]), introduction(&[1, 2])])?;
    assert!(twice.contains("client 1 is at") && twice.contains("expected one worker for each client"), "{twice}");
    let missing = meet(&[introduction(&[1])])?;
    assert!(missing.contains("no worker has clients 0,2; start one with `--clients 0,2`"), "{missing}");
    assert!(meet(&[introduction(&[0, 1, 2, 3])])?.contains("has client 3; the experiment's are 0 to 2"));
    Ok(())
}
