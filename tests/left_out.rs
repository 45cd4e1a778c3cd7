//! What a client remembers of a round that is left out: nothing, or its memory would say what the server never heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use federation::{ADAPTERS, Client, Method, Round, Sets, Update};
use models::adapter::{AdapterSpec, Adapters};
use schema::metrics::Metric;

use crate::support::Test;
use crate::tiny::{self, experiment, run_with, study};

/// What each client remembered, by name, when each round began.
type Seen = Arc<Mutex<BTreeMap<(usize, usize), Vec<String>>>>;

/// A method whose client 1 sends no number in the first round.
struct Poisoned {
    method: Box<dyn Method>,
    seen: Seen,
}

impl Method for Poisoned {
    fn start(&mut self, initial: Adapters, spec: &AdapterSpec) -> Adapters {
        self.method.start(initial, spec)
    }

    fn send(&self, client: usize, global: &Adapters, round: Round) -> federation::Result<Sets> {
        self.method.send(client, global, round)
    }

    fn train(&self, client: &mut Client, received: &Sets) -> federation::Result<Update> {
        let names = client.memory.keys().cloned().collect();
        self.seen.lock().expect("nobody panicked").insert((client.round().index, client.id()), names);
        let update = self.method.train(client, received)?;
        if (client.round().index, client.id()) != (1, 1) {
            return Ok(update);
        }
        let broken = update.set(ADAPTERS)?.scale(f64::NAN)?;
        Ok(update.with(ADAPTERS, broken))
    }

    fn sends(&self, round: Round) -> &'static [&'static str] {
        self.method.sends(round)
    }

    fn receive(&mut self, update: Update, global: &Adapters, round: Round) -> federation::Result<()> {
        self.method.receive(update, global, round)
    }

    fn aggregate(&mut self, global: &Adapters, round: Round) -> federation::Result<Adapters> {
        self.method.aggregate(global, round)
    }
}

#[test]
fn a_refused_update_leaves_nothing_behind() -> Test {
    for (name, kept) in [("scaffold", "control"), ("feddyn", "pull")] {
        let (_, study) = study(&experiment(name))?;
        let seen = Seen::default();
        let outcome = run_with(&study, || Poisoned { method: tiny::method(name).expect(name), seen: seen.clone() })?;
        let left_out: Vec<_> = outcome.measured.records.iter().filter(|record| record.metric == Metric::LeftOut).collect();
        assert_eq!(left_out.iter().map(|record| (record.round, record.client)).collect::<Vec<_>>(), [(1, Some(1))], "{name}");
        let seen = seen.lock().expect("nobody panicked");
        let remembered = |client: usize| -> Result<&Vec<String>> { seen.get(&(2, client)).context("it did not train") };
        assert!(remembered(1)?.is_empty(), "{name}: {:?}", remembered(1)?);
        assert_eq!(*remembered(0)?, [kept], "{name}");
    }
    Ok(())
}
