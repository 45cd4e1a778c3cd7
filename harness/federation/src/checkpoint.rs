//! Where a run stands between two rounds: all that the next one needs and that neither the config nor the seed says.
//!
//! It is taken once a round is aggregated and before it is judged, so a run that goes on from it judges that round first. What clients
//! remember is not in it but with their hosts ([`crate::Memories`]), and no random stream is: each is named by its round.

use models::adapter::Adapters;
use models::flops::Flops;
use schema::Record;
use schema::record::RoundTiming;
use serde::{Deserialize, Serialize};

use crate::link::Traffic;
use crate::parts::Federation;
use crate::{Error, Message, Method, Payload, Result, Round, Sets};

/// Where a run stands after a round.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The round that was aggregated last.
    pub round: Round,
    /// Of each client, the last round of which its reply came back.
    pub after: Vec<usize>,
    /// What was measured so far.
    pub measured: Measured,
    /// The global adapters, and what the method remembers.
    payload: Payload,
}

/// What a run has measured, round by round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// One row per measured value.
    pub records: Vec<Record>,
    /// Seconds per round.
    pub timings: Vec<RoundTiming>,
    /// All adapter traffic.
    pub adapters: Traffic,
    /// All activation traffic.
    pub activations: Traffic,
    /// What training computed, without the images' way through the frozen tower.
    pub flops: Flops,
    /// Optimizer steps over all clients and rounds.
    pub steps: usize,
    /// The most numbers that a client uploaded in a round.
    pub uploaded_parameters: u64,
    /// Training examples seen, repeats counted.
    pub examples_seen: usize,
}

/// Who keeps a run's checkpoints, and gives the last one back.
pub trait Checkpoints {
    /// Where the run is to go on from; nothing where it begins.
    fn last(&mut self) -> Result<Option<Checkpoint>>;

    /// Keeps one; what was kept before it need not stay.
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<()>;
}

/// Keeps none.
impl Checkpoints for () {
    fn last(&mut self) -> Result<Option<Checkpoint>> {
        Ok(None)
    }

    fn keep(&mut self, _checkpoint: &Checkpoint) -> Result<()> {
        Ok(())
    }
}

/// The set of the global adapters; a method's own have [`OF_METHOD`] before their names.
const GLOBAL: &str = "global";
const OF_METHOD: &str = "method/";

impl Checkpoint {
    pub(crate) fn new(
        round: Round,
        after: &[usize],
        global: &Adapters,
        method: &dyn Method,
        measured: &Measured,
    ) -> Result<Self> {
        let mut sets = Sets::default().with(GLOBAL, global.clone());
        for (name, set) in method.state()?.iter() {
            sets = sets.with(&format!("{OF_METHOD}{name}"), set.clone());
        }
        Ok(Self { round, after: after.to_vec(), measured: measured.clone(), payload: Payload::plain(&sets)? })
    }

    /// The global adapters; the method, which has been started, has again what it remembered. An error unless it is of this run's rounds,
    /// of which there may have been fewer before.
    pub(crate) fn restore(&self, method: &mut dyn Method, run: Round, federation: Federation) -> Result<Adapters> {
        let wrong = |what: String| Error::Usage(format!("a checkpoint after round {}: {what}", self.round.index));
        if self.round.clients != run.clients || self.after.len() != run.clients || self.round.index > run.total {
            let (rounds, clients) = (run.total, run.clients);
            let held = self.round.clients;
            return Err(wrong(format!("is of {held} clients; expected one of {clients}, of at most {rounds} rounds")));
        }
        let looks_ahead = method.looks_ahead() || !federation.experiment().optimizer.is_steady();
        if self.round.total != run.total && looks_ahead {
            let (before, now) = (self.round.total, run.total);
            return Err(wrong(format!(
                "is of a run of {before} rounds, and what is done in a round depends on that; there are {now}"
            )));
        }
        let (mut global, mut state) = (None, Sets::default());
        for (name, set) in self.payload.open(&Sets::default(), federation.device).map_err(wrong)?.iter() {
            match name.strip_prefix(OF_METHOD) {
                Some(name) => state = state.with(name, set.clone()),
                None => global = Some(set.clone()),
            }
        }
        method.resume(state)?;
        global.ok_or_else(|| wrong("holds no global adapters".into()))
    }
}

impl Message for Checkpoint {
    fn payload(&self) -> Option<&Payload> {
        Some(&self.payload)
    }

    fn payload_mut(&mut self) -> Option<&mut Payload> {
        Some(&mut self.payload)
    }
}
