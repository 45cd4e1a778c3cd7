//! Is a trained head each client's own, or the federation's, whatever the method and wherever clients are?
//!
//! Behind the tiny backbone lies one from outside: a weight and a bias for each word's logit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use baselines::METHODS;
use candle_core::{DType, Device, Tensor};
use data::Preprocess;
use federation::order::Kind;
use federation::registry::MethodRow;
use federation::{
    self, ADAPTERS, Client, Engine, HEAD, Host, InProcess, Message, Method, Order, Outcome, Reply, Round, Scope, Sets, Task,
    Unwatched, Update, Watch,
};
use models::adapter::{Adapt, AdapterSpec, Adapters, Head};
use models::{Backbone, Batch, Embeddings, HeadTensor, Spec, Start, TextCodec};
use schema::experiment::{AdapterConfig, PrivacyConfig, PrivacyMode, Sharing};
use schema::metrics::{Metric, Variant};
use schema::{Experiment, Placement};
use study::Study;
use study::parameters::client_parameters;
use tasks::judgement::{answers_of, judge_global};

use crate::engine::{Carried, left_behind};
use crate::memories::{Mishap, Unlucky};
use crate::support::{Test, distance, flat, within};
use crate::tiny;

struct Headed(Spec);

impl Headed {
    fn new() -> Self {
        let spec = tiny::backbone().spec();
        let tensor = |name: &str, start| HeadTensor { name: name.into(), shape: vec![spec.vocabulary], start, per_class: false };
        Self(Spec { head: vec![tensor("weight", Start::Ones), tensor("bias", Start::Uniform(0.5))], ..spec.clone() })
    }

    /// A tensor for each row of logits: that of its example, where every example has its own.
    fn of_rows(tensor: &Tensor, embeddings: &Embeddings) -> candle_core::Result<Tensor> {
        if tensor.rank() == 1 {
            return Ok(tensor.clone());
        }
        let places = (embeddings.context.read.dim(0)? / embeddings.hidden.dim(0)?) as u32;
        let owners: Vec<u32> = embeddings.context.rows.to_vec1::<u32>()?.into_iter().map(|row| row / places).collect();
        tensor.index_select(&Tensor::new(owners, &Device::Cpu)?, 0)
    }
}

impl Backbone for Headed {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn text(&self) -> &TextCodec {
        tiny::backbone().text()
    }

    fn preprocess(&self) -> &Preprocess {
        tiny::backbone().preprocess()
    }

    fn weights_sha256(&self) -> &str {
        tiny::backbone().weights_sha256()
    }

    fn weights_dtype(&self) -> DType {
        tiny::backbone().weights_dtype()
    }

    fn dtype(&self) -> DType {
        tiny::backbone().dtype()
    }

    fn device(&self) -> &Device {
        tiny::backbone().device()
    }

    fn see(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        tiny::backbone().see(pixels)
    }

    fn encode(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        tiny::backbone().encode(pixels)
    }

    fn embed(&self, batch: &Batch, features: &Tensor) -> candle_core::Result<Embeddings> {
        tiny::backbone().embed(batch, features)
    }

    fn embed_unconnected(&self, batch: &Batch, seen: &Tensor) -> candle_core::Result<Embeddings> {
        tiny::backbone().embed_unconnected(batch, seen)
    }

    fn decode(&self, embeddings: &Embeddings, adapt: &dyn Adapt) -> candle_core::Result<Tensor> {
        let of_rows = |name: &str| Self::of_rows(adapt.head(name)?, embeddings);
        let words = tiny::backbone().decode(embeddings, adapt)?;
        words.broadcast_mul(&of_rows("weight")?)?.broadcast_add(&of_rows("bias")?)
    }
}

fn experiment(method: &str, sharing: Option<Sharing>) -> Experiment {
    let mut experiment = tiny::experiment(method);
    experiment.adapter.head = sharing;
    experiment
}

fn study(experiment: &Experiment) -> Result<(MethodRow, Study)> {
    tiny::study_behind(experiment, Arc::new(Headed::new()))
}

fn names_a_head(set: &Adapters) -> bool {
    set.iter().any(|(name, _)| Head::has(name))
}

/// A client's head before and after it trained, by client and round.
type Heads = Arc<Mutex<BTreeMap<(usize, usize), [Option<Vec<f64>>; 2]>>>;

/// A method whose clients are watched.
struct Watched(Box<dyn Method>, Heads);

impl Method for Watched {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        assert!(spec.private_head().is_none() || !names_a_head(&initial), "the server starts with a private head");
        self.0.start(initial, spec)
    }

    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        let head = |client: &Client| client.memory.get(HEAD).map(Adapters::flat).transpose();
        let (at, before) = ((client.id(), client.round().index), head(client)?);
        let update = self.0.train(client, received)?;
        self.1.lock().expect("sound").insert(at, [before, head(client)?]);
        Ok(update)
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> federation::Result<Option<Adapters>> {
        self.0.personalize(client, global)
    }

    fn variants(&self, client: &Client, global: &Adapters) -> federation::Result<Vec<(Variant, Adapters)>> {
        self.0.variants(client, global)
    }
}

/// An engine whose messages are read on their way.
struct Read<E> {
    engine: E,
    /// Messages, and how many of them name a head.
    messages: [usize; 2],
    /// Numbers that the last orders to train held.
    sent: Vec<u64>,
}

impl<E> Read<E> {
    fn note(&mut self, message: &impl Message) -> federation::Result<()> {
        let bytes = message.to_bytes()?;
        let named = bytes.windows(5).any(|word| word == b"head.");
        self.messages = [self.messages[0] + 1, self.messages[1] + usize::from(named)];
        Ok(())
    }
}

impl<E: Engine> Engine for Read<E> {
    fn wave(&self) -> usize {
        self.engine.wave()
    }

    fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> federation::Result<Vec<Reply>> {
        if orders.iter().any(|order| matches!(order.kind, Kind::Train { .. })) {
            let numbers = |order: &Order| Ok(order.payload.open(&Sets::default(), &Device::Cpu)?.num_parameters());
            self.sent = orders.iter().map(numbers).collect::<std::result::Result<_, String>>().expect("sound");
        }
        orders.iter().try_for_each(|order| self.note(order))?;
        let replies = self.engine.carry_out(orders, watch)?;
        replies.iter().try_for_each(|reply| self.note(reply))?;
        Ok(replies)
    }
}

/// What came of a run: the outcome, messages as [`Read`] counts them, numbers sent, and the clients' heads.
struct Ran {
    outcome: Outcome,
    messages: [usize; 2],
    sent: Vec<u64>,
    heads: BTreeMap<(usize, usize), [Option<Vec<f64>>; 2]>,
}

fn run_by<'a, E: Engine>(
    (row, study): &'a (MethodRow, Study),
    engine: impl FnOnce(&'a Study, &dyn Fn() -> Result<Box<dyn Method>>) -> Result<E>,
) -> Result<Ran> {
    let heads = Heads::default();
    let build = || (row.build)(&study.experiment().method.options);
    let watched = || Ok(Box::new(Watched(build()?, heads.clone())) as Box<dyn Method>);
    let mut engine = Read { engine: engine(study, &watched)?, messages: [0, 0], sent: Vec::new() };
    let outcome = federation::run(study.federation(), &mut *build()?, &mut engine, &Unwatched)?;
    let heads = heads.lock().expect("sound").clone();
    Ok(Ran { outcome, messages: engine.messages, sent: engine.sent, heads })
}

fn run_here(both: &(MethodRow, Study)) -> Result<Ran> {
    run_by(both, |study, method| Ok(InProcess::new(Host::new(study.federation(), method()?))))
}

/// Private heads: no message names one, no set holds one; each client has its own, goes on with it and is judged with it; hosts elsewhere
/// and waves of any size make no difference.
#[test]
fn a_private_head_stays_with_its_client() -> Test {
    for (row, wave) in METHODS.iter().filter(|row| row.scope == Scope::Shard).zip([1, 2, usize::MAX].into_iter().cycle()) {
        let name = row.name;
        // Private is what nobody need ask for.
        let both = study(&experiment(name, None))?;
        let ran = run_here(&both).context(name)?;
        let (outcome, study) = (&ran.outcome, &both.1);
        assert!(ran.messages[0] > 12 && ran.messages[1] == 0, "{name}: {:?}", ran.messages);
        assert!(!names_a_head(&outcome.global) && !outcome.personal.iter().any(|(_, own)| names_a_head(own)), "{name}");

        let fresh = study.head().flat()?;
        let after = |client, round| ran.heads[&(client, round)][1].clone().expect("trained");
        for client in 0..3 {
            assert_eq!(ran.heads[&(client, 1)][0], None, "{name}");
            assert_eq!(ran.heads[&(client, 2)][0], Some(after(client, 1)), "{name}: client {client} goes on from another head");
            assert!(after(client, 1) != fresh && after(client, 2) != after(client, 1), "{name}: nothing was trained");
            assert_ne!(after(client, 2), after((client + 1) % 3, 2), "{name}: two clients have one head");
            let head = with_values(&study.head(), &after(client, 2))?;
            let own = outcome.personal.iter().find(|(id, _)| *id == client).map_or(&outcome.global, |(_, own)| own);
            let wanted = answers_of(study.judge(), client, &own.with(&head), true)?;
            let found: Vec<_> = outcome.predictions.iter().filter(|p| p.client == Some(client as u32)).cloned().collect();
            assert_eq!(found, wanted, "{name}: client {client} is judged with another head");
        }
        let elsewhere = run_by(&both, |study, method| Carried::new(study, wave, method)).context(name)?;
        assert!(left_behind(outcome)? == left_behind(&elsewhere.outcome)? && ran.heads == elsewhere.heads, "{name}");
        assert_eq!(elsewhere.messages[1], 0, "{name}");
    }
    Ok(())
}

/// A private head is among what a host keeps of its clients: one that is killed goes on with it, and training that never arrived leaves
/// no trace in it.
#[test]
fn a_private_head_survives_its_host() -> Test {
    for name in ["fedavg-nano", "scaffold", "feddat"] {
        let mut experiment = experiment(name, None);
        experiment.federation.rounds = 3;
        let both = study(&experiment)?;
        let with = |mishap| Ok::<_, anyhow::Error>(run_by(&both, |study, _| Unlucky::new(study, mishap))?.outcome);
        let whole = left_behind(&run_here(&both)?.outcome)?;
        assert!(left_behind(&with(Mishap::Restarts)?)? == whole, "{name}: killed before every exchange");
        let never = left_behind(&with(Mishap::OrderLost)?)?;
        assert!(left_behind(&with(Mishap::ReplyLost)?)? == never && never != whole, "{name}: a reply that was lost");
    }
    Ok(())
}

/// Tensors of these names and shapes, with these numbers one after the other.
fn with_values(like: &Adapters, values: &[f64]) -> Result<Adapters> {
    let mut rest = values;
    let mut take = |(name, tensor): (&String, &Tensor)| {
        let (numbers, after) = rest.split_at(tensor.elem_count());
        rest = after;
        Ok((name.clone(), Tensor::from_slice(numbers, tensor.shape(), &Device::Cpu)?.to_dtype(tensor.dtype())?))
    };
    like.iter().map(&mut take).collect()
}

/// A shared head is one more tensor of the adapters, for every method: counted as its row says, averaged, and saved; and it does not
/// matter where clients are. Where nobody trains, or all data are in one place, a head is nobody's own.
#[test]
fn a_shared_head_travels_as_adapters_do() -> Test {
    for (row, wave) in METHODS.iter().zip([1, 2, usize::MAX].into_iter().cycle()) {
        let name = row.name;
        let sharing = if row.scope == Scope::Shard { Sharing::Shared } else { Sharing::Private };
        let both = study(&experiment(name, Some(sharing)))?;
        let ran = run_here(&both).context(name)?;
        let (outcome, study) = (&ran.outcome, &both.1);
        let [up, down] = (row.traffic)(study.adapter(), 3);
        assert_eq!(outcome.recorded(Metric::LeftOut).count(), 0, "{name}");
        // A client's own adapters go into the run folder, the shared head among them.
        assert_eq!(ran.messages[1] > 0, up > 0 || row.personal || row.scope == Scope::Pooled, "{name}: {:?}", ran.messages);
        assert_eq!(
            outcome.measured.uploaded_parameters,
            if row.scope == Scope::Shard { up } else { outcome.measured.uploaded_parameters },
            "{name}"
        );
        // HetLoRA's clients may have pruned themselves by the second round.
        let as_said = |sent: &u64| *sent == down || (row.unequal_ranks && *sent <= down);
        assert!(row.scope != Scope::Shard || ran.sent.iter().all(as_said), "{name}: {:?} numbers sent, not {down}", ran.sent);
        assert!(ran.heads.values().all(|[before, after]| before.is_none() && after.is_none()), "{name} keeps a head");

        let head = |set: &Adapters| study.adapter().head_of(set);
        assert_eq!(names_a_head(&outcome.global), name != "local", "{name}");
        if name != "local" {
            let moved = head(&outcome.global).flat()? != head(study.initial()).flat()?;
            assert_eq!(moved, row.scope != Scope::Nothing, "{name}: its head");
        }
        assert_eq!(outcome.predictions.iter().all(|p| p.client.is_some()), row.personal, "{name}");
        let elsewhere = run_by(&both, |study, method| Carried::new(study, wave, method)).context(name)?;
        assert!(left_behind(outcome)? == left_behind(&elsewhere.outcome)?, "{name}: it matters where clients are");
    }
    Ok(())
}

/// After a round the shared head is the mean of the clients', by their examples: also where adapters are stacked, split or merged.
#[test]
fn a_shared_head_is_averaged() -> Test {
    for name in ["fedavg", "ffa-lora", "fedsa-lora", "flexlora", "flora", "fedex-lora"] {
        let mut experiment = experiment(name, Some(Sharing::Shared));
        experiment.partition.scheme = schema::experiment::PartitionScheme::Quantity;
        let (row, study) = study(&experiment)?;
        let (mut method, first) = ((row.build)(&BTreeMap::new())?, Round { index: 1, total: 2, clients: 3 });
        let global = method.start(study.initial().clone(), study.adapter());
        let mut updates = Vec::new();
        for mut client in study.federation().clients(row.scope) {
            client.begin_round(first)?;
            let received = method.send(client.id(), &global, first)?;
            updates.push(method.train(&mut client, &received)?);
        }
        let all: usize = updates.iter().map(|update| update.num_examples).sum();
        assert!(updates.iter().any(|update| update.num_examples * 3 != all), "shards are unequal");
        let merged = federation::merge(&mut *method, &global, updates.clone(), first)?;
        for tensor in ["weight", "bias"] {
            let of = |set: &Adapters| set.get(&Head::name(tensor)).cloned().context("no head");
            let mut wanted = vec![0.0; 320];
            for update in &updates {
                let share = update.num_examples as f64 / all as f64;
                wanted.iter_mut().zip(flat(&of(update.set(ADAPTERS)?)?)?).for_each(|(sum, x)| *sum += share * x);
            }
            let wanted = Tensor::new(wanted, &Device::Cpu)?;
            within(&format!("{name}: head.{tensor} against the mean"), distance(&of(&merged)?, &wanted)?, 1e-6);
        }
    }
    Ok(())
}

/// Both ledgers: a client stores its head whoever's it is and holds the whole model beside it; it uploads it if it is shared, and not a
/// byte more if it is private.
#[test]
fn ledgers_count_a_head() -> Test {
    let uplink = |outcome: &Outcome| outcome.recorded(Metric::UplinkBytes).sum::<f64>();
    for row in METHODS.iter().filter(|row| row.scope == Scope::Shard && !row.unequal_ranks) {
        let (_, plain, before) = tiny::run(&tiny::experiment(row.name))?;
        let of_plain = (row.traffic)(plain.adapter(), 3);
        for sharing in [Sharing::Private, Sharing::Shared] {
            let both = study(&experiment(row.name, Some(sharing)))?;
            let (adapter, spec) = (both.1.adapter(), both.1.backbone().spec());
            assert_eq!(adapter.parameters(), plain.adapter().parameters() + 640, "{}", row.name);
            assert_eq!(row.placement(adapter.is_split()), Placement::Client, "{}", row.name);
            let stored = client_parameters(spec, adapter, Placement::Client);
            assert_eq!(stored.deployed, spec.parameters.total() + adapter.parameters(), "{}", row.name);
            let [up, down] = (row.traffic)(adapter, 3);
            let more = [up - of_plain[0], down - of_plain[1]];
            let is_shared = sharing == Sharing::Shared && of_plain[0] > 0;
            assert_eq!(more.map(|more| more > 0 && more.is_multiple_of(640)), [is_shared; 2], "{}: {more:?}", row.name);
            let sent = uplink(&run_here(&both)?.outcome);
            assert_eq!(sent > uplink(&before), is_shared, "{}: {sent} bytes up", row.name);
            assert!(is_shared || sent == uplink(&before), "{}: {sent} bytes up", row.name);
        }
    }
    Ok(())
}

/// A head is drawn from a stream of its own, so adapters start as they do without one.
#[test]
fn a_head_shifts_no_other_draw() -> Test {
    let plain = tiny::study(&tiny::experiment("fedavg"))?.1.initial().to_bytes()?;
    let of = |sharing, seed| -> Result<(Vec<u8>, Vec<f64>)> {
        let (_, study) = study(&Experiment { seed, ..experiment("fedavg", Some(sharing)) })?;
        let (head, adapters) = (study.adapter().head_of(study.initial()), study.initial().filter(|name| !Head::has(name)));
        Ok((adapters.to_bytes()?, head.with(&study.head()).flat()?))
    };
    let (private, shared) = (of(Sharing::Private, 1)?, of(Sharing::Shared, 1)?);
    assert!(private == shared && private.0 == plain, "a head shifts what adapters are drawn from");
    assert_ne!(of(Sharing::Private, 2)?.1, private.1);
    assert_eq!(private.1.iter().filter(|&&number| number == 1.0).count(), 320);
    Ok(())
}

/// Clips and noise are of what is sent: with a private head they are what they are of adapters alone.
#[test]
fn privacy_knows_no_private_head() -> Test {
    for mode in [PrivacyMode::Local, PrivacyMode::Central] {
        let mut experiment = experiment("fedavg", None);
        experiment.privacy = Some(PrivacyConfig { mode, clip: 1e-3, noise_multiplier: 0.0, delta: 1e-5 });
        experiment.federation.rounds = 1;
        experiment.partition.clients = 1;
        let both = study(&experiment)?;
        let ran = run_here(&both)?;
        assert_eq!((ran.messages[1], ran.outcome.recorded(Metric::Clipped).count()), (0, 1));
        let learnt = ran.outcome.global.sub(both.1.initial())?.flat()?;
        within("what was learnt, clipped", (crate::support::length(&learnt) - 1e-3).abs(), 1e-8);
    }
    Ok(())
}

/// A method that gives a client's head away.
struct Leaking(bool);

impl Method for Leaking {
    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        let fit = client.fit(received.get(ADAPTERS)?, &mut federation::Plain)?;
        let update = client.update(fit.work).with(ADAPTERS, fit.adapters);
        Ok(if self.0 { update.with("more", client.memory[HEAD].clone()) } else { update })
    }

    fn personalize(&self, client: &Client, global: &Adapters) -> federation::Result<Option<Adapters>> {
        Ok(Some(global.with(&client.memory[HEAD])))
    }
}

/// What would leak a head, or judge without it, or asks for one where there is none, is an error that says what would be right.
#[test]
fn heads_are_not_led_astray() -> Test {
    let (_, both) = study(&experiment("ditto", None))?;
    for (leaks, set) in [(true, "more"), (false, "adapters")] {
        let mut engine = InProcess::new(Host::new(both.federation(), Box::new(Leaking(leaks))));
        let error = both.run(&mut Leaking(leaks), &mut engine, &Unwatched).err().context("taken")?.to_string();
        let said = format!("method `ditto` sends `head.bias` in the set `{set}`: a private head stays with its client");
        assert!(error.contains(&said) && error.contains("adapter.head = \"shared\""), "{error}");
    }
    let (row, both) = study(&experiment("fedavg", None))?;
    let error = judge_global(both.judge(), both.initial()).err().context("judged")?.to_string();
    assert!(error.contains("the backbone's trained head is missing (`weight`)"), "{error}");

    let config = AdapterConfig { head: Some(Sharing::Shared), ..AdapterConfig::default() };
    let error = row.resolve(&config, tiny::backbone().spec()).err().context("taken")?.to_string();
    assert_eq!(error, "adapter.head: backbone `tiny` has no head that is trained; leave the key out");
    let known = row.resolve(&config, &Headed::new().0)?.config();
    assert_eq!(serde_json::to_value(&known)?["head"], "shared");
    let error = toml::from_str::<AdapterConfig>("head = \"mine\"").err().context("taken")?.to_string();
    assert!(error.contains("`private` or `shared`"), "{error}");

    // A reply that holds a head all the same fits nothing.
    assert_eq!(both.adapter().misfit(&both.head(), false), Some("head.bias [320]".into()));
    Ok(())
}
