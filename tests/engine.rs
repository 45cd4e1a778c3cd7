//! Does it matter where clients are, and what becomes of messages that are lost, damaged or made up?

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device, Tensor};
use federation::checkpoint::Measured;
use federation::order::{Done, Kind};
use federation::{
    self, ADAPTERS, Client, Engine, Error, Host, InProcess, Message, Method, Order, Outcome, Payload, Plain, Reply, Round, Scope,
    Sets, Unwatched, Update, Watch,
};
use models::adapter::{AdapterSpec, Adapters};
use schema::Experiment;
use schema::experiment::{Course, PrivacyConfig, PrivacyMode, Wire};
use schema::metrics::{Metric, Variant};
use study::Study;

use crate::support::Test;
use crate::tiny::{bytes, experiment, study};

/// Two hosts, each with some of the clients; every order reaches them, and every reply the server, as bytes, and the last comes first.
pub struct Carried<'a> {
    hosts: [Host<'a>; 2],
    wave: usize,
}

impl<'a> Carried<'a> {
    /// Over all clients of a study, asked for so many orders at a time.
    pub fn new(study: &'a Study, wave: usize, method: impl Fn() -> Result<Box<dyn Method>>) -> Result<Self> {
        let clients: Vec<usize> = (0..study.shards().len()).collect();
        let (some, others) = clients.split_at(clients.len().div_ceil(2));
        let host = |clients: &[usize]| Ok::<_, anyhow::Error>(Host::new(study.federation(), method()?).of(clients));
        Ok(Self { hosts: [host(others)?, host(some)?], wave })
    }
}

impl Engine for Carried<'_> {
    fn wave(&self) -> usize {
        self.wave
    }

    fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        let mut replies = Vec::new();
        let middle = orders.iter().map(|order| order.round.clients).max().unwrap_or(0).div_ceil(2);
        for (host, others) in self.hosts.iter_mut().zip([true, false]) {
            let to_it = orders.iter().filter(|order| (order.client >= middle) == others);
            let read = to_it.map(|order| Order::from_bytes(&order.to_bytes()?)).collect::<federation::Result<_>>()?;
            for reply in host.carry_out(read, watch)?.into_iter().rev() {
                replies.push(Reply::from_bytes(&reply.to_bytes()?)?);
            }
        }
        Ok(replies)
    }
}

/// All that a run leaves behind, timings aside.
pub fn left_behind(outcome: &Outcome) -> Result<(Vec<Vec<u8>>, String)> {
    let Measured { adapters, activations, flops, steps, uploaded_parameters, examples_seen, .. } = &outcome.measured;
    let counted = (adapters, activations, flops, steps, uploaded_parameters, examples_seen, &outcome.judgement);
    let owners: Vec<usize> = outcome.personal.iter().map(|(client, _)| *client).collect();
    Ok((bytes(outcome)?, format!("{counted:?} {owners:?}")))
}

/// The same run by both engines.
fn by_both(experiment: &Experiment, wave: usize) -> Result<[federation::Result<Outcome>; 2]> {
    let (row, study) = study(experiment)?;
    let method = || Ok((row.build)(&experiment.method.options)?);
    let mut engine = Carried::new(&study, wave, method)?;
    let by = |engine: &mut dyn Engine| {
        Ok::<_, anyhow::Error>(federation::run(study.federation(), &mut *method()?, engine, &Unwatched))
    };
    Ok([by(&mut InProcess::new(study.host()?))?, by(&mut engine)?])
}

fn check_same(what: &str, experiment: &Experiment, wave: usize) -> Result<Outcome> {
    let [here, there] = by_both(experiment, wave)?;
    let here = here.with_context(|| what.to_owned())?;
    assert!(left_behind(&here)? == left_behind(&there?)?, "{what}: it matters where clients are");
    Ok(here)
}

/// Every method, judged after every round, with orders going out one by one, a few at a time, and all at once.
#[test]
fn it_does_not_matter_where_clients_are() -> Test {
    for (row, wave) in METHODS.iter().zip([1, 3, usize::MAX].into_iter().cycle()) {
        let mut experiment = experiment(row.name);
        experiment.partition.clients = 5;
        experiment.evaluation.every = 1;
        let outcome = check_same(row.name, &experiment, wave)?;
        // What the row says of a method is what it does; a row that denies it is refused.
        assert_eq!(outcome.personal.len(), if row.personal { 5 } else { 0 }, "{}", row.name);
    }
    Ok(())
}

type Change = fn(&mut Experiment);

fn private(mode: PrivacyMode) -> Option<PrivacyConfig> {
    Some(PrivacyConfig { mode, clip: 0.1, noise_multiplier: 1.0, delta: 1e-5 })
}

/// Few bits, unequal ranks, clients that drop out and are slow, and secrets; what should be recorded of it is.
#[test]
fn it_does_not_matter_whatever_the_federation_is_like() -> Test {
    let none: Option<Metric> = None;
    let ranks: Change = |experiment| {
        experiment.method.options.insert("ranks".into(), serde_json::json!([1, 2]));
    };
    // Learning rates that go on over rounds, whoever was there in those before.
    let scheduled: Change = |experiment| {
        let optimizer = &mut experiment.optimizer;
        (optimizer.schedule, optimizer.warmup, optimizer.clip) = (Course::Cosine, 0.3, Some(0.5));
        (experiment.federation.cohort, experiment.federation.stragglers) = (0.6, 0.5);
    };
    let table: [(&str, Change, Option<Metric>); 15] = [
        ("fedavg-lora", |experiment| experiment.federation.uplink = Wire::F16, none.clone()),
        ("scaffold", |experiment| experiment.federation.uplink = Wire::Int8, none.clone()),
        ("fednano", |experiment| experiment.federation.uplink = Wire::Int4, none.clone()),
        ("fedex-lora", |experiment| experiment.federation.uplink = Wire::Int8, none.clone()),
        ("hetlora", ranks, none.clone()),
        ("flora", ranks, none),
        ("fedavg-nano", |experiment| experiment.federation.cohort = 0.6, None),
        ("feddat", |experiment| experiment.federation.dropout = 0.4, Some(Metric::DroppedOut)),
        ("ditto", |experiment| experiment.federation.stragglers = 0.5, None),
        ("feddpa-f", |experiment| experiment.federation.rounds = 3, None),
        ("fedavg-lora", |experiment| experiment.privacy = private(PrivacyMode::Central), Some(Metric::Clipped)),
        ("fednano", |experiment| experiment.privacy = private(PrivacyMode::Local), Some(Metric::Clipped)),
        ("fedprox", |experiment| experiment.data.dataset = "scigen".into(), None),
        ("feddat", scheduled, None),
        ("fedavg-lora", scheduled, None),
    ];
    for (method, change, recorded) in table {
        let mut experiment = experiment(method);
        experiment.partition.clients = 5;
        experiment.federation.straggler_steps = 0.5;
        change(&mut experiment);
        let outcome = check_same(method, &experiment, 2)?;
        assert!(recorded.is_none_or(|metric| outcome.recorded(metric).next().is_some()), "{method}");
    }
    Ok(())
}

/// A method that goes astray at one client, in one round.
struct Astray(Box<dyn Method>);

impl Method for Astray {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.0.start(initial, spec)
    }

    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        match (client.id(), client.round().index) {
            (2, 2) => Err(Error::Diverged { client: 2, round: 2, loss: f64::NAN, learning_rate: 0.01 }),
            _ => self.0.train(client, received),
        }
    }

    fn receive(&mut self, update: Update, global: &Adapters, round: Round) -> federation::Result<()> {
        self.0.receive(update, global, round)
    }

    fn aggregate(&mut self, global: &Adapters, round: Round) -> federation::Result<Adapters> {
        self.0.aggregate(global, round)
    }
}

/// A client that diverges is left out and recorded; where all do, the run says the same, to the letter.
#[test]
fn clients_diverge_wherever_they_are() -> Test {
    let (row, study) = study(&experiment("fedavg-nano"))?;
    let astray = || Ok::<Box<dyn Method>, anyhow::Error>(Box::new(Astray((row.build)(&BTreeMap::new())?)));
    let here = study.run(&mut *astray()?, &mut InProcess::new(Host::new(study.federation(), astray()?)), &Unwatched)?;
    let there = study.run(&mut *astray()?, &mut Carried::new(&study, 2, astray)?, &Unwatched)?;
    assert!(left_behind(&here)? == left_behind(&there)?);
    let left_out: Vec<_> =
        there.measured.records.iter().filter(|r| r.metric == Metric::LeftOut).map(|r| (r.round, r.client)).collect();
    assert_eq!(left_out, [(2, Some(2))]);

    let mut experiment = experiment("fedavg-nano");
    experiment.optimizer.learning_rate = 1e38;
    let said = by_both(&experiment, 2)?.map(|outcome| outcome.err().map(|error| (error.to_string(), error.has_diverged())));
    let (message, has_diverged) = said[0].as_ref().context("it diverges")?;
    assert!(message.contains("every update was left out") && message.contains("lower `optimizer.learning_rate`"), "{message}");
    assert!(*has_diverged && said[0] == said[1], "{said:?}");
    Ok(())
}

/// What is done to messages.
type Meddle<M> = fn(&mut Vec<M>);

/// An engine that does something to the orders and replies of the second round.
struct Meddling<'a> {
    engine: InProcess<'a>,
    orders: Meddle<Order>,
    replies: Meddle<Reply>,
}

impl Engine for Meddling<'_> {
    fn wave(&self) -> usize {
        self.engine.wave()
    }

    fn carry_out(&mut self, mut orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        let second = orders.iter().any(|order| order.round.index == 2);
        if second {
            (self.orders)(&mut orders);
        }
        let mut replies = self.engine.carry_out(orders, watch)?;
        if second {
            (self.replies)(&mut replies);
        }
        Ok(replies)
    }
}

fn meddled(method: &str, orders: Meddle<Order>, replies: Meddle<Reply>) -> Result<federation::Result<Outcome>> {
    let (row, study) = study(&experiment(method))?;
    let mut engine = Meddling { engine: InProcess::new(study.host()?), orders, replies };
    Ok(federation::run(study.federation(), &mut *(row.build)(&BTreeMap::new())?, &mut engine, &Unwatched))
}

fn lose(reply: &mut Reply) {
    reply.done = Done::Lost("its line broke".into());
}

/// A sound payload of what nobody asked for.
fn foreign(shape: &[usize], dtype: DType) -> Payload {
    let tensor = Tensor::zeros(shape, dtype, &Device::Cpu).expect("zeros");
    Payload::plain(&Sets::default().with(ADAPTERS, [("image.down".to_owned(), tensor)].into_iter().collect())).expect("encoded")
}

fn trained(reply: &mut Reply) -> &mut federation::order::Trained {
    match &mut reply.done {
        Done::Trained(trained) => trained,
        other => panic!("it has trained: {other:?}"),
    }
}

/// A client whose update is lost, or is nothing that could be averaged, costs the round its update and no more.
#[test]
fn the_round_goes_on_without_a_client() -> Test {
    let table: [(Meddle<Reply>, Metric); 7] = [
        (|replies| lose(&mut replies[1]), Metric::DroppedOut),
        (|replies| replies[1].done = Done::Own(None), Metric::LeftOut),
        (|replies| trained(&mut replies[1]).payload = foreign(&[2, 3], DType::F32), Metric::LeftOut),
        (|replies| trained(&mut replies[1]).payload = foreign(&[2, 16], DType::F64), Metric::LeftOut),
        (|replies| trained(&mut replies[1]).finite = false, Metric::LeftOut),
        (|replies| trained(&mut replies[1]).steps = usize::MAX, Metric::LeftOut),
        (|replies| replies[1].flops.decoder = f64::NAN, Metric::LeftOut),
    ];
    for (at, (meddle, metric)) in table.into_iter().enumerate() {
        let outcome = meddled("fedavg-nano", |_| {}, meddle)?.with_context(|| format!("case {at}"))?;
        let recorded: Vec<_> =
            outcome.measured.records.iter().filter(|r| r.metric == metric).map(|r| (r.round, r.client)).collect();
        assert_eq!(recorded, [(2, Some(1))], "case {at}");
        let trained: Vec<_> =
            outcome.measured.records.iter().filter(|r| r.metric == Metric::TrainLoss && r.round == 2).map(|r| r.client).collect();
        assert_eq!(trained, [Some(0), Some(2)], "case {at}");
    }
    Ok(())
}

/// So does a client whose statistics are missing, of other tensors than its adapters, or not asked for.
#[test]
fn statistics_go_with_their_adapters() -> Test {
    fn change(reply: &mut Reply, change: impl FnOnce(Sets) -> Sets) {
        let trained = trained(reply);
        let sets = trained.payload.open(&Sets::default(), &Device::Cpu).expect("sets");
        trained.payload = Payload::plain(&change(sets)).expect("encoded");
    }
    fn without_first(set: &Adapters) -> Adapters {
        let first = set.iter().next().map(|(name, _)| name.clone()).expect("a tensor");
        set.filter(|name| name != first)
    }
    let table: [(&str, Meddle<Reply>); 6] = [
        ("fednano", |replies| {
            change(&mut replies[1], |sets| Sets::default().with(ADAPTERS, sets.get(ADAPTERS).expect("it").clone()))
        }),
        ("fednano", |replies| {
            change(&mut replies[1], |sets| {
                let fisher = without_first(sets.get("fisher").expect("it"));
                sets.with("fisher", fisher)
            });
        }),
        ("fednano", |replies| {
            change(&mut replies[1], |sets| {
                let turned = sets.get("fisher").expect("it").map(|tensor| tensor.flatten_all()).expect("flat");
                sets.with("fisher", turned)
            });
        }),
        ("scaffold", |replies| {
            change(&mut replies[1], |sets| {
                let control = without_first(sets.get("control").expect("it"));
                sets.with("control", control)
            });
        }),
        ("fedavg-nano", |replies| {
            change(&mut replies[1], |sets| {
                let adapters = sets.get(ADAPTERS).expect("it").clone();
                sets.with("more", adapters)
            });
        }),
        ("fedavg-nano", |replies| {
            change(&mut replies[1], |sets| {
                let fewer = without_first(sets.get(ADAPTERS).expect("it"));
                sets.with(ADAPTERS, fewer)
            });
        }),
    ];
    for (at, (method, meddle)) in table.into_iter().enumerate() {
        let outcome = meddled(method, |_| {}, meddle)?.with_context(|| format!("case {at}"))?;
        let left_out = outcome.measured.records.iter().filter(|r| r.metric == Metric::LeftOut).map(|r| (r.round, r.client));
        assert_eq!(left_out.collect::<Vec<_>>(), [(2, Some(1))], "case {at}");
    }
    Ok(())
}

/// What an engine may not do, and what no round can do without, ends the run with the reason, and never with a number.
#[test]
fn what_cannot_be_helped_is_said() -> Test {
    type Case = (&'static str, Meddle<Order>, Meddle<Reply>, &'static str);
    let table: [Case; 10] = [
        (
            "fedavg-nano",
            |_| {},
            |replies| replies.truncate(2),
            "the engine brought replies of client 0 (round 2), client 1 (round 2), and",
        ),
        ("fedavg-nano", |_| {}, |replies| replies.push(replies[0].clone()), "expected one reply for each"),
        ("fedavg-nano", |_| {}, |replies| replies[0].round = 1, "client 0 (round 1), client 1"),
        ("fedavg-nano", |_| {}, |replies| replies.clear(), "replies of nobody, and orders went to client 0"),
        ("fedavg-nano", |orders| orders[2].client = 9, |replies| replies[2].client = 2, "dropped"),
        ("fedavg-nano", |_| {}, |replies| replies.iter_mut().for_each(lose), "client 0, round 2: it is lost: its line broke"),
        (
            "local",
            |_| {},
            |replies| replies.iter_mut().filter(|reply| judged(reply)).for_each(lose),
            "it is lost: its line broke",
        ),
        (
            "local",
            |_| {},
            |replies| replies.iter_mut().filter(|reply| judged(reply)).for_each(|r| r.done = Done::Own(None)),
            "another order",
        ),
        (
            "local",
            |_| {},
            |replies| replies.iter_mut().for_each(cheat),
            "client 0, round 2: its message answers another example than `",
        ),
        ("local", |_| {}, |replies| replies.iter_mut().for_each(boast), "client 0, round 2: its message scores example `"),
    ];
    for (method, orders, replies, said) in table {
        match meddled(method, orders, replies)? {
            // An order that no host has is a client that is lost.
            Ok(outcome) if said == "dropped" => assert_eq!(outcome.recorded(Metric::DroppedOut).count(), 1),
            outcome => {
                let error = outcome.err().context(said)?.to_string();
                assert!(error.contains(said), "{said}: {error}");
            }
        }
    }
    Ok(())
}

fn judged(reply: &Reply) -> bool {
    matches!(reply.done, Done::Judged(_))
}

/// Answers the first question twice.
fn cheat(reply: &mut Reply) {
    if let Done::Judged(federation::order::Judged { own: Some(own), .. }) = &mut reply.done {
        own[1] = own[0].clone();
    }
}

/// Is better than can be.
fn boast(reply: &mut Reply) {
    if let Done::Judged(federation::order::Judged { own: Some(own), .. }) = &mut reply.done {
        own[0].score = Some(2.0);
    }
}

/// An order that a client cannot read is an error that names the client.
#[test]
fn orders_are_not_trusted_either() -> Test {
    let error = |orders| Ok::<_, anyhow::Error>(meddled("fedavg-nano", orders, |_| {})?.err().context("not taken")?.to_string());
    let said = error(|orders| {
        let bytes = orders[1].to_bytes().expect("written");
        let text = String::from_utf8_lossy(&bytes[16..]).into_owned();
        assert!(text.contains("\"f32\""));
        // The head says another type than the sets have; both words have three letters.
        let at = bytes.windows(5).position(|word| word == b"\"f32\"").expect("a type");
        let at = at + bytes[at + 5..].windows(5).position(|word| word == b"\"f32\"").expect("a tensor's type") + 5;
        let damaged = [&bytes[..at], b"\"f64\"", &bytes[at + 5..]].concat();
        orders[1] = Order::from_bytes(&damaged).expect("a message");
    })?;
    assert!(said.starts_with("client 1, round 2: its message holds the set `adapters`: tensor `"), "{said}");
    assert!(said.contains("expected f64"), "{said}");
    Ok(())
}

/// Clients that keep something of their own, which the row of the method does not know of.
struct Secretive;

impl Method for Secretive {
    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        let fit = client.fit(received.get(ADAPTERS)?, &mut Plain)?;
        Ok(client.update(fit.work).with(ADAPTERS, fit.adapters))
    }

    fn variants(&self, _client: &Client, global: &Adapters) -> federation::Result<Vec<(Variant, Adapters)>> {
        Ok(vec![(Variant::Shared, global.clone())])
    }
}

/// Adapters of their own that a row denies would never be judged: that is an error, and not a run that leaves them out.
#[test]
fn rows_do_not_deny_what_clients_have() -> Test {
    let (_, study) = study(&experiment("fedavg-nano"))?;
    let mut engine = InProcess::new(Host::new(study.federation(), Box::new(Secretive)));
    let error = study.run(&mut Secretive, &mut engine, &Unwatched).err().context("taken")?.to_string();
    assert!(error.contains("method `fedavg-nano`") && error.contains("expected `personal: true`"), "{error}");
    Ok(())
}

/// A host answers for the clients that it has, and says of the others that it does not.
#[test]
fn a_host_knows_its_clients() -> Test {
    let (row, study) = study(&experiment("fedavg-nano"))?;
    assert_eq!((row.scope, study.shards().len()), (Scope::Shard, 3));
    let mut host = study.host()?.of(&[1]);
    let round = Round { index: 1, total: 2, clients: 3 };
    let payload = Payload::plain(&Sets::default().with(ADAPTERS, study.initial().clone()))?;
    let order = |client| Order { client, round, after: 0, kind: Kind::Own, payload: payload.clone() };
    let mut replies = host.carry_out(vec![order(2), order(1)], &Unwatched)?;
    replies.sort_by_key(|reply| reply.client);
    assert!(matches!(&replies[0].done, Done::Own(None)) && replies[0].client == 1);
    assert!(matches!(&replies[1].done, Done::Lost(why) if why.contains("does not have it")) && replies[1].client == 2);
    Ok(())
}
